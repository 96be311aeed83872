"""The commands of the exporter itself, and the options that all of them share."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from exporter import __version__, log
from exporter.cli.gate import gate
from exporter.cli.options import Seconds, refusals, say, wait_for
from exporter.config import CONFIG_VARIABLE, ConfigError, LoadedConfig, as_yaml, load

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMATS: Final = ("jsonl", "prom", "otlp-json")


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rollouts-exporter")
@click.option(
    "-c", "--config", "file", type=click.Path(path_type=Path), envvar=CONFIG_VARIABLE, help="YAML or .env file."
)
@click.option("-s", "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one setting; repeatable.")
@click.pass_context
def main(context: click.Context, file: Path | None, overrides: tuple[str, ...]) -> None:
    """Make progressive delivery visible: watch Argo Rollouts, push what is true to Last9, or serve it.

    Without a command: run.
    """
    context.obj = (file, overrides)
    if context.invoked_subcommand is None:
        context.invoke(run)


def _settings(context: click.Context) -> LoadedConfig:
    """Load the configuration; print every fault and exit 2 when it has any."""
    file, overrides = context.obj
    try:
        loaded = load(file, os.environ, dict(_pair(text) for text in overrides))
    except ConfigError as error:
        for fault in error.issues:
            click.echo(f"error: {fault}", err=True)
        sys.exit(2)
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    log.configure(loaded.settings.log.level, loaded.settings.log.format)
    return loaded


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} has no =; write --set otlp.endpoint=http://localhost:4318")
    return key, value


def _complain(lacks: Sequence[str]) -> None:
    for lack in lacks:
        click.echo(f"warning: {lack}", err=True)
    sys.exit(1 if lacks else 0)


@main.command("run")
@click.pass_context
@refusals
def run(context: click.Context) -> None:
    """Watch, push and serve until told to stop (the default); exit 3 when points were lost at the end."""
    from exporter.service import app

    whole = wait_for(app.run(_settings(context)))
    sys.exit(0 if whole else app.EXIT_POINTS_LOST)


@main.command("once")
@click.option(
    "--format", "form", type=click.Choice(["prom", "otlp-json", "targets"]), default="prom", show_default=True
)
@click.pass_context
@refusals
def once(context: click.Context, form: str) -> None:
    """Go round once and print what would be said, or who answered; exit 1 with the reason when something lacks."""
    from exporter.commands.once import run_cycle, to_otlp_json
    from exporter.web.exposition_writer import render

    settings = _settings(context).settings
    done = wait_for(run_cycle(settings))
    match form:
        case "prom":
            say(block.decode().removesuffix("\n") for block in render(done.snapshot.families))
        case "targets":
            say(done.target_lines)
        case _:
            say(to_otlp_json(done.snapshot, settings))
    _complain(done.problems)


@main.command("check")
@click.argument("file", metavar="[FILE]", type=click.Path(path_type=Path), required=False)
@click.pass_context
@refusals
def check(context: click.Context, file: Path | None) -> None:
    """Validate the configuration: every fault at once, with its place and cure; exit 2 when there is any."""
    if file is not None:
        context.obj = (file, context.obj[1])
    loaded = _settings(context)
    pushing = loaded.settings.otlp.endpoint
    click.echo(
        f"ok: {len(loaded.settings.sources())} sources, pushing to {pushing or 'nobody (otlp.endpoint is not set)'}"
    )


@main.command("config")
@click.pass_context
@refusals
def config(context: click.Context) -> None:
    """Print the settings as they hold and where each came from, secrets masked."""
    click.echo(as_yaml(_settings(context)), nl=False)


@main.command("series")
@click.option("--estimate", is_flag=True, help="Go round once and reckon series and points a day for each family.")
@click.pass_context
@refusals
def series(context: click.Context, *, estimate: bool) -> None:
    """Print the catalogue of derived series, or what it would cost here."""
    if not estimate:
        from exporter.commands.series import catalogue_lines

        say(catalogue_lines())
        return
    from exporter.commands.once import family_costs, run_cycle

    settings = _settings(context).settings
    done = wait_for(run_cycle(settings))
    rows = family_costs(done.snapshot, settings.tick)
    click.echo(f"{'family':60} {'series':>9} {'points/day':>13}")
    say(f"{row.family:60} {row.series:9,} {row.points_per_day:13,}" for row in rows)
    click.echo(f"{'all':60} {sum(row.series for row in rows):9,} {sum(row.points_per_day for row in rows):13,}")
    _complain(done.problems)


@main.command("record")
@click.argument("directory", metavar="DIRECTORY", type=click.Path(path_type=Path, file_okay=False))
@click.option("--for", "seconds", type=Seconds(), default="2m", show_default=True, help="How long to record.")
@click.pass_context
@refusals
def record(context: click.Context, directory: Path, seconds: float) -> None:
    """Save what every target answers, for bug reports and tests: DIRECTORY/frames.jsonl and DIRECTORY/pages."""
    from exporter.commands import record as recording

    settings = _settings(context).settings
    frames = wait_for(recording.record(directory, settings, recording.intervals(settings.tick, seconds)))
    click.echo(f"{frames} frames in {directory / recording.FRAMES_FILE}")


@main.command("replay")
@click.argument("frames", metavar="FRAMES", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--format", "form", type=click.Choice(FORMATS), default="jsonl", show_default=True)
@click.option("--passthrough", is_flag=True, help="With jsonl: print the families that pass through, too.")
@click.pass_context
@refusals
def replay(context: click.Context, frames: Path, form: str, *, passthrough: bool) -> None:
    """Run recorded frames through the core, at their recorded times, and print what would be said after each."""
    from exporter.commands.once import to_otlp_json
    from exporter.commands.replay import replay_frames, snapshot_json
    from exporter.web.exposition_writer import render

    settings = _settings(context).settings
    for frame, cycle, _ in replay_frames(frames, settings):
        match form:
            case "jsonl":
                click.echo(snapshot_json(frame.at, cycle, passthrough=passthrough))
            case "prom":
                click.echo(f"# at {frame.at}")
                say(block.decode().removesuffix("\n") for block in render(cycle.families))
            case _:
                say(to_otlp_json(cycle, settings))


@main.command("explain")
@click.argument("rollout", metavar="NAMESPACE/NAME")
@click.option("--address", default="http://127.0.0.1:9464", show_default=True, help="A running exporter.")
@click.option("--recording", "frames", type=click.Path(path_type=Path, dir_okay=False), help="A recording instead.")
@click.option("--at", type=float, help="With --recording: the time to look at (Unix seconds); default: its end.")
@click.pass_context
@refusals
def explain(context: click.Context, rollout: str, address: str, frames: Path | None, at: float | None) -> None:
    """Say in plain words what state a rollout is in, by which evidence, and how its canary fraction came about."""
    from exporter.commands import explain as words

    if frames is None:
        found = wait_for(words.fetch_rollouts(address))
    else:
        from exporter.commands.replay import rollouts_at

        found = rollouts_at(frames, _settings(context).settings, at)
    say(words.explain_lines(words.select(found, rollout)))


@main.command("demo")
@click.option("--for", "seconds", type=Seconds(), help="End by itself after so long; default: when interrupted.")
@click.option("--replay", "frames", type=click.Path(path_type=Path, dir_okay=False), help="Play a recording instead.")
@refusals
def demo(seconds: float | None, frames: Path | None) -> None:
    """Show it all on this machine alone: a simulated cluster, the real exporter, a Last9 stand-in, on loopback.

    Exit code 0 only if everything made arrived.
    """
    from rich.console import Console

    from exporter.demo.command import play, summary

    outcome = wait_for(play(Console(), seconds, frames))
    click.echo(summary(outcome))
    sys.exit(0 if outcome.whole else 1)


@main.command("verify")
@click.option("--timeout", "seconds", type=Seconds(), default="2m", show_default=True, help="How long to wait for it.")
@click.option("--address", help="A running exporter, such as http://127.0.0.1:9464: look for its series, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for scripts.")
@click.pass_context
@refusals
def verify(context: click.Context, seconds: float, address: str | None, *, as_json: bool) -> None:
    """Push a heartbeat and read it back; exit 1: something is missing, 2: not configured, 3 and 4: it was refused."""
    from exporter.commands.verify import report
    from exporter.commands.verify.heartbeat import verify

    found = wait_for(verify(_settings(context).settings, seconds, address, lambda line: click.echo(line, err=True)))
    say([report.report_json(found)] if as_json else report.report_lines(found))
    sys.exit(0 if found.ok else 1)


@main.command("spool")
@click.argument("action", type=click.Choice(["ls", "verify", "drain", "clear"]))
@click.option("--for", "seconds", type=Seconds(), default="5m", show_default=True, help="With drain: how long at most.")
@click.option("--yes", is_flag=True, help="With clear: do it; what waits is lost.")
@click.pass_context
@refusals
def spool(context: click.Context, action: str, seconds: float, *, yes: bool) -> None:
    """Look after what waits on disk, in otlp.queue.directory.

    ls: list it. verify: look at every byte; exit 1 when something is damaged. drain: send it; exit 1 when something is
    left. clear: throw it away. For the last two no exporter may be running.
    """
    from exporter.commands import spool as spooling

    settings = _settings(context).settings
    if action == "drain":
        told = wait_for(spooling.drain(settings, seconds))
    elif action == "clear" and yes:
        told = spooling.discard_all(settings)
    else:
        told = spooling.verify_segments(settings) if action == "verify" else spooling.list_segments(settings)
    say(told.lines)
    if action == "clear" and not yes:
        raise click.UsageError("nothing was thrown away; add --yes to do it")
    sys.exit(0 if told.ok else 1)


main.add_command(gate)
