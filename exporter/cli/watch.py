"""The command `watch`: rollouts live in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from exporter.cli.completion import rollout_names
from exporter.cli.options import exporter_options, run_async
from exporter.cli.rollouts import DIRECT, JSON, RolloutOrigin, closing

if TYPE_CHECKING:
    from exporter.commands.api_client import ExporterAddress
    from exporter.commands.watch.state import WatchState
    from exporter.commands.watch.view import View


@click.command("watch")
@click.argument("rollout", metavar="[NAMESPACE/]NAME", required=False, default="", shell_complete=rollout_names)
@click.option("--once", is_flag=True, help="Print the present state and end.")
@DIRECT
@exporter_options
@JSON
@click.pass_context
def watch(
    context: click.Context, rollout: str, address: ExporterAddress, *, once: bool, direct: bool, as_json: bool
) -> None:
    """Watch all rollouts, or one in full, live.

    On a terminal the view is redrawn until q ends it; j and k move it. Those that need a person come first. The bar is
    the canary's share of the traffic, its mark the weight that is set. While the exporter is away, the last known state
    stays, in grey, with its age. Elsewhere than on a terminal it prints a line for each change; with --json an object
    for each scrape.
    """
    from rich.console import Console

    from exporter.commands.watch.fleet import fleet_view
    from exporter.commands.watch.reader import RolloutsReader
    from exporter.commands.watch.rollout import rollout_view
    from exporter.commands.watch.terminal import print_json, print_view
    from exporter.commands.watch.terminal import watch as watch_terminal

    source = RolloutOrigin(address, direct, frames=None).source(context)
    origin = "the targets" if direct else address.shown_url
    reader = RolloutsReader(source, origin, rollout, None if direct else address)

    def view_of(state: WatchState, width: int) -> View:
        return rollout_view(state, reader.name, width) if rollout else fleet_view(state, width)

    console = Console()
    if as_json:
        run_async(closing(source, print_json(console, reader, once=once)))
    elif once:
        print_view(console, view_of(run_async(closing(source, reader.read())), console.width))
    else:
        run_async(closing(source, watch_terminal(console, reader, view_of)))
