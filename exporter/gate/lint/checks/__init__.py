"""The checks of the linter: a module for each part of a gate, a function for each rule.

A check takes the `LintInput` and yields an `Issue` for each place that breaks its rule.
"""
