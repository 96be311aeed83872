"""The commands of `gate`: Last9, or any Prometheus API, as an automated canary gate."""

from __future__ import annotations

import click


@click.group()
def gate() -> None:
    """Write, check, try and simulate canary gates: AnalysisTemplates that ask Last9 and promote or roll back."""
