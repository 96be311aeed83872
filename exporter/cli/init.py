"""The command `init`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from exporter.cli.options import FILE

if TYPE_CHECKING:
    from pathlib import Path

_QUESTIONS: Final = {
    "cluster": ("Name of this cluster, as in Last9", None),
    "environment": ("Environment, such as production", "production"),
    "endpoint": ("OTLP endpoint", "https://otlp.last9.io"),
    "argo_namespace": ("Namespace of Argo Rollouts", "argo-rollouts"),
    "exact": ("Exact weights and causes, with a small kube-state-metrics of the chart's own (yes or no)", "yes"),
}
"""The questions by option; without a default an answer is needed."""


@click.command("init")
@click.option("--cluster", help="Name of this cluster, as in Last9.")
@click.option("--environment", help="Environment, such as production.")
@click.option("--endpoint", help="OTLP endpoint.")
@click.option("--argo-namespace", help="Namespace of Argo Rollouts.")
@click.option("--exact", type=click.Choice(["yes", "no"]), help="Whether the chart brings a kube-state-metrics.")
@click.option("--output", type=FILE, default="config.yaml", help="File to write.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
def init(output: Path, *, force: bool, **options: str | None) -> None:
    """Write a configuration, and print how to install it.

    Asks five questions: cluster, environment, endpoint, namespace and whether numbers are to be exact. An option
    answers one; without a terminal --cluster is required, and the others have defaults.
    """
    from exporter.commands.init import InitAnswers, config_text, next_steps

    if output.exists() and not force:
        raise click.UsageError(f"{output} exists; pass --force to overwrite it, or another --output")
    cluster, environment, endpoint, argo_namespace, exact = (options[name] or _ask(name) for name in _QUESTIONS)
    parsed = InitAnswers(cluster, environment, endpoint, argo_namespace, exact == "yes")
    authorization = output.absolute().with_name("authorization")
    output.write_text(config_text(parsed, authorization))
    click.echo(f"wrote {output}; next:\n", err=True)
    click.echo(next_steps(parsed, output, authorization), nl=False)


def _ask(name: str) -> str:
    question, default = _QUESTIONS[name]
    if sys.stdin.isatty():
        # On standard error: standard output is the commands.
        kind = click.Choice(["yes", "no"]) if name == "exact" else str
        return str(click.prompt(question, default=default, type=kind, err=True))
    if default is None:
        raise click.UsageError(f"standard input is no terminal; pass --{name.replace('_', '-')}")
    return default
