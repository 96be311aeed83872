"""The commands about what happened: `events tail` and `story`."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING

import click

from exporter.cli.completion import rollout_names
from exporter.cli.options import DURATION, RECORDING, exporter_options, print_lines, run_async
from exporter.cli.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.commands.api_client import ExporterAddress
    from exporter.commands.events import HeldTransitions
    from exporter.commands.timeline import TransitionObject


@click.group("events")
def events() -> None:
    """Show what happened to rollouts."""


@events.command("tail")
@exporter_options
@RECORDING
@click.option("--since", "seconds", type=DURATION, help="How far back to begin. Default: 1h; a recording: its start.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@click.option(
    "--undelivered",
    is_flag=True,
    help="Print the messages that wait in storage.directory, or those that a recording would send, and end.",
)
@click.pass_context
def tail(
    context: click.Context,
    address: ExporterAddress,
    frames: Path | None,
    seconds: float | None,
    *,
    as_json: bool,
    undelivered: bool,
) -> None:
    """Print what happened, and what happens from now on.

    Follows a running exporter until Ctrl-C, also over its restarts. Of a recording it prints everything and ends.
    """
    from exporter.commands.events import message_lines, recorded_transitions, undelivered_lines

    if undelivered:
        settings = load_settings(context).settings
        print_lines(undelivered_lines(settings) if frames is None else message_lines(frames, settings))
    elif frames is not None:
        held = recorded_transitions(frames, load_settings(context).settings, seconds)
        _print_held(held, as_json=as_json)
    else:
        since = time.time() - (3600.0 if seconds is None else seconds)
        run_async(_follow(address, since, as_json=as_json))


async def _follow(address: ExporterAddress, since: float, *, as_json: bool) -> None:
    from exporter.commands.events import fetch_transitions, follow_transitions

    held = await fetch_transitions(address, since)
    _print_held(held, as_json=as_json)
    emit = partial(_print_transition, as_json=as_json)
    await follow_transitions(address, held.last, emit, partial(click.echo, err=True))


def _print_held(held: HeldTransitions, *, as_json: bool) -> None:
    from exporter.commands.timeline import time_text, timeline_lines

    click.echo(f"history is held since {time_text(held.held_since)}", err=True)
    if as_json:
        print_lines(json.dumps(transition, ensure_ascii=False) for transition in held.transitions)
    else:
        print_lines(timeline_lines(held.transitions))


def _print_transition(transition: TransitionObject, *, as_json: bool) -> None:
    from exporter.commands.timeline import transition_lines

    if as_json:
        click.echo(json.dumps(transition, ensure_ascii=False))
    else:
        print_lines(transition_lines(transition))


@click.command("story")
@click.argument("rollout", metavar="NAMESPACE/NAME", shell_complete=rollout_names)
@exporter_options
@RECORDING
@click.option("--since", "seconds", type=DURATION, help="How far back to begin. Default: 1d; a recording: its start.")
@click.pass_context
def story(
    context: click.Context, rollout: str, address: ExporterAddress, frames: Path | None, seconds: float | None
) -> None:
    """Write a post-mortem of a rollout, in Markdown.

    It has what the history of a running exporter holds, or what a recording shows.
    """
    from exporter.commands.events import fetch_transitions, recorded_transitions
    from exporter.commands.replay import first_and_last_time
    from exporter.commands.story import story_lines

    if "/" not in rollout:
        raise click.UsageError("write NAMESPACE/NAME; `explain` lists the rollouts")
    if frames is not None:
        held = recorded_transitions(frames, load_settings(context).settings, seconds, rollout)
        until = first_and_last_time(frames)[1]
    else:
        until = time.time()
        held = run_async(fetch_transitions(address, until - (86_400.0 if seconds is None else seconds), rollout))
    print_lines(story_lines(rollout, held, until))
