"""Generates gates: answers → AnalysisTemplate, Secret and the steps of the Rollout, as YAML with comments. Pure.

`answers` has the questions with their defaults and parses the credential, `signals` builds the query and the
conditions, `manifest` writes the YAML.
"""
