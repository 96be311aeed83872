"""The door: the commands, and the only place that prints or exits."""

from exporter.cli.root import main

__all__ = ["main"]
