"""The command line: the commands of `rollouts-exporter`, and the only package that prints or exits.

`root` has the commands that load the configuration, `gate` those for canary gates, `options` what both share. A command
imports its implementation from `exporter.commands` or `exporter.service` when it runs, so that `--help` starts fast.
"""

from exporter.cli.root import main

__all__ = ["main"]
