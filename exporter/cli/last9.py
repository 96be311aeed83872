"""The commands below `last9`: dashboards in Last9."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from exporter.cli.options import UserErrorGroup, print_lines, run_async
from exporter.cli.settings import load_settings

if TYPE_CHECKING:
    from exporter.commands.last9.dashboards import Change


@click.group("last9", cls=UserErrorGroup)
def last9() -> None:
    """Keep the dashboards in Last9 equal to those of this version.

    Needs last9.region and last9.refresh_token_file (or LAST9_REFRESH_TOKEN). Only dashboards that `last9 apply` created
    are changed. Alerts are in charts/last9, for Terraform.
    """


@last9.command("diff")
@click.pass_context
def diff(context: click.Context) -> None:
    """Print what `last9 apply` would change.

    Nothing is changed. Exits with 1 if there is a difference.
    """
    from exporter.commands.last9 import apply as commands

    changes = run_async(commands.diff(load_settings(context).settings))
    print_lines(commands.change_lines(changes))
    click.echo(commands.NO_ALERTS, err=True)
    sys.exit(0 if all(change.action == "unchanged" for change in changes) else 1)


@last9.command("apply")
@click.pass_context
def apply(context: click.Context) -> None:
    """Create and update the dashboards, and print each change.

    Exits with 1 if a dashboard of the same name belongs to somebody else.
    """
    from exporter.commands.last9 import apply as commands

    changes = run_async(commands.apply(load_settings(context).settings, _print_change))
    print_lines(commands.change_lines([change for change in changes if change.action not in {"create", "update"}]))
    click.echo(commands.NO_ALERTS, err=True)
    sys.exit(1 if any(change.action == "conflict" for change in changes) else 0)


@last9.command("remove")
@click.pass_context
def remove(context: click.Context) -> None:
    """Delete the dashboards that `last9 apply` created.

    Needs last9.delete_refresh_token_file (or LAST9_DELETE_REFRESH_TOKEN) as well.
    """
    from exporter.commands.last9 import apply as commands

    changes = run_async(commands.remove(load_settings(context).settings, _print_change))
    click.echo(f"{len(changes)} dashboards removed")


def _print_change(change: Change) -> None:
    from exporter.commands.last9.apply import change_lines

    print_lines(change_lines([change]))
