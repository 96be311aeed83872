"""The commands about rollouts as they are: `explain`, `list` and `wait`."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from exporter.cli.completion import rollout_names
from exporter.cli.options import DURATION, MOMENT, RECORDING, exporter_options, print_lines, run_async
from exporter.cli.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from exporter.commands.api_client import ExporterAddress
    from exporter.commands.rollout_source import RolloutSource, RolloutsPage

T = TypeVar("T")

DIRECT = click.option(
    "--direct", is_flag=True, help="Scrape the targets of the configuration instead of reading a running exporter."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@dataclass(frozen=True, slots=True)
class RolloutOrigin:
    """Where a command reads rollouts, by its options: a running exporter, unless `direct` or `frames` is set."""

    address: ExporterAddress
    direct: bool
    frames: Path | None

    def source(self, context: click.Context, timestamp: float | None = None) -> RolloutSource:
        """Return the source; `timestamp` is a time in a recording."""
        from exporter.commands.rollout_source import ExporterRollouts, RecordedRollouts, ScrapedRollouts

        if self.direct and self.frames is not None:
            raise click.UsageError("--direct and --recording exclude each other")
        if self.frames is not None:
            return RecordedRollouts(self.frames, load_settings(context).settings, timestamp)
        return ScrapedRollouts(load_settings(context).settings) if self.direct else ExporterRollouts(self.address)


def _origin_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose where rollouts are read; the command gets a RolloutOrigin as `origin`."""

    @DIRECT
    @RECORDING
    @exporter_options
    @wraps(command)
    def with_origin(
        *arguments: object, address: ExporterAddress, direct: bool, frames: Path | None, **options: object
    ) -> None:
        command(*arguments, origin=RolloutOrigin(address, direct, frames), **options)

    return with_origin


async def closing(source: RolloutSource, result: Awaitable[T]) -> T:
    """Return a result, and close the source in any case."""
    try:
        return await result
    finally:
        await source.close()


async def _read_all(source: RolloutSource) -> RolloutsPage:
    await source.refresh()
    return await source.read_all()


def _print_json(value: Any) -> None:  # noqa: ANN401 - anything that JSON can hold
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _print_page(page: RolloutsPage, *, as_json: bool) -> None:
    from exporter.commands.list import list_lines

    if as_json:
        _print_json(page.rollouts)
        return
    # Not a terminal: every line is complete, for grep and awk.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print_lines(list_lines(page, width))


@click.command("explain")
@click.argument("rollout", metavar="[NAMESPACE/]NAME", required=False, shell_complete=rollout_names)
@_origin_options
@click.option(
    "--at", "timestamp", type=MOMENT,
    help="Unix seconds, or -2h before now: the last transition until then in the history of a running exporter. With "
    "--recording: the state at that time; -2h is before its end. Default: now, or its end.",
)  # fmt: skip # as the options around it
@JSON
@click.pass_context
def explain(
    context: click.Context, rollout: str | None, origin: RolloutOrigin, timestamp: float | None, *, as_json: bool
) -> None:
    """Explain why a rollout is where it is, and what to do.

    Also prints the evidence, and the canary fraction with its estimates. Without a name, lists all rollouts. Reads a
    running exporter, a recording, or the targets of the configuration.
    """
    from exporter.commands.explain import explain_lines, history_at, history_lines, read_rollout

    if timestamp is not None and origin.frames is None:
        if origin.direct:
            raise click.UsageError("--at needs a running exporter, or --recording")
        moments = run_async(history_at(origin.address, rollout, timestamp))
        if as_json:
            _print_json(moments[0] if rollout is not None else moments)
        else:
            print_lines(line for moment in moments for line in history_lines(moment))
        return
    source = origin.source(context, timestamp)
    if rollout is None:
        _print_page(run_async(closing(source, _read_all(source))), as_json=as_json)
        return
    selected = run_async(closing(source, read_rollout(source, rollout)))
    if as_json:
        _print_json(selected)
    else:
        print_lines(explain_lines(selected))


@click.command("list")
@_origin_options
@JSON
@click.pass_context
def list_rollouts(context: click.Context, origin: RolloutOrigin, *, as_json: bool) -> None:
    """List all rollouts, those that need attention first.

    On a terminal, in its width; elsewhere a line for each rollout. STEP is the present step of a canary, counted from
    1; CANARY the share of the canary while an update is under way.
    """
    source = origin.source(context)
    _print_page(run_async(closing(source, _read_all(source))), as_json=as_json)


@click.command("wait")
@click.argument("rollout", metavar="NAMESPACE/NAME", shell_complete=rollout_names)
@click.option("--for", "goal", type=click.Choice(["promoted", "paused", "ended"]), default="promoted")
@click.option("--timeout", "seconds", type=DURATION, default="30m")
@DIRECT
@exporter_options
@click.option("--json", "as_json", is_flag=True, help="Print how the wait ended as a JSON object.")
@click.pass_context
def wait(  # noqa: PLR0913 - one for each option
    context: click.Context,
    rollout: str,
    goal: str,
    seconds: float,
    address: ExporterAddress,
    *,
    direct: bool,
    as_json: bool,
) -> None:
    """Wait until an update of a rollout is promoted, paused or ended.

    Judges what the first scrape after 3 s shows, and what follows, so that a pipeline can deploy and wait at once.
    If no update is under way then, `promoted` and `ended` are reached, `paused` waits for the next update; after an
    abort only `ended` is reached. Prints each new state to standard error, the last one to standard output.

    \b
    --for:
      promoted  the revision is promoted
      paused    it pauses, for a person, a timer or an analysis
      ended     the update ends: promoted, aborted, rolled back or superseded

    \b
    Exit codes:
      0  reached
      1  aborted, rolled back, superseded or deleted; --for ended: deleted
      2  usage, or no such rollout
      3  waits for a person: to promote or resume it, to judge an inconclusive
         analysis, to correct an invalid spec; not --for paused
      4  timeout
      5  exporter or controller not reached: at the start, or for 2 minutes

    --json prints {"rollout", "goal", "outcome", "exit_code", "text"} for each code but that of wrong usage; `outcome`
    is reached, not_promoted, no_rollout, needs_person, timeout or unreachable.
    """  # noqa: D301 - click keeps the lines of a paragraph that begins with a backspace
    from exporter.commands.explain import ExplainError
    from exporter.commands.wait import WaitCode, WaitGoal, WaitOutcome, outcome_json
    from exporter.commands.wait import wait as wait_for

    source = RolloutOrigin(address, direct, frames=None).source(context)
    try:
        waiting = wait_for(source, rollout, WaitGoal(goal), seconds, partial(click.echo, err=True))
        outcome = run_async(closing(source, waiting))
    except ExplainError as error:
        outcome = WaitOutcome(WaitCode.NO_ROLLOUT, str(error))
    if as_json:
        _print_json(outcome_json(outcome, rollout, goal))
    else:
        prefix = "error: " if outcome.code is WaitCode.NO_ROLLOUT else ""
        click.echo(prefix + outcome.text, err=outcome.code in {WaitCode.UNREACHABLE, WaitCode.NO_ROLLOUT})
    sys.exit(outcome.code)
