"""The commands outside `gate`, and the options that all commands share.

Each command's docstring is its help: the first sentence is listed by `--help` of the group and fits 80 columns there.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from exporter import __version__
from exporter.cli.completion import completion
from exporter.cli.config import config
from exporter.cli.doctor import doctor
from exporter.cli.events import events, story
from exporter.cli.gate import gate
from exporter.cli.init import init
from exporter.cli.last9 import last9
from exporter.cli.manual import manual
from exporter.cli.options import DURATION, FILE, UserErrorGroup, optional_exporter_options, print_lines, run_async
from exporter.cli.progress import show_progress
from exporter.cli.rollouts import explain, list_rollouts, wait
from exporter.cli.settings import exit_on_config_error, load_settings, parsed_overrides, print_warnings
from exporter.cli.watch import watch
from exporter.commands.progress import shown_by
from exporter.config import CONFIG_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.commands.api_client import ExporterAddress

_REPLAY_FORMATS: Final = ("jsonl", "prom", "otlp-json", "explanations", "events", "timeline")


@click.group(
    cls=UserErrorGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(__version__, prog_name="rollouts-exporter")
@click.option(
    "-c", "--config", "file", type=click.Path(path_type=Path), envvar=CONFIG_VARIABLE, help="YAML or .env file."
)
@click.option("-s", "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting; repeatable.")
@click.pass_context
def main(context: click.Context, file: Path | None, overrides: tuple[str, ...]) -> None:
    """Export the state of Argo Rollouts to OTLP backends and to Prometheus.

    Without a command, the exporter runs.
    """
    context.obj = (file, overrides)
    context.with_resource(shown_by(show_progress))
    if context.invoked_subcommand is None:
        context.invoke(run)


def _report_problems(problems: Sequence[str]) -> None:
    """Print the problems as warnings; exit with 1 if there are any, else with 0."""
    for problem in problems:
        click.echo(f"warning: {problem}", err=True)
    sys.exit(1 if problems else 0)


@main.command("run")
@click.pass_context
def run(context: click.Context) -> None:
    """Run the exporter (default).

    Scrapes the sources, serves the pages and pushes to the OTLP endpoint until SIGTERM or SIGINT. Exits with 3 if
    undelivered data points were lost at shutdown.
    """
    from exporter.service import app

    all_delivered = run_async(app.run(load_settings(context)))
    sys.exit(0 if all_delivered else app.EXIT_POINTS_LOST)


@main.command("once")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["prom", "otlp-json", "targets"]),
    default="prom",
    help="Print the metrics as Prometheus text or OTLP JSON, or the result of each target.",
)
@click.pass_context
def once(context: click.Context, output_format: str) -> None:
    """Run one scrape cycle and print the metrics.

    Nothing is pushed. Exits with 1 and prints the reason if no controller leads or a source is missing.
    """
    from exporter.commands.once import run_cycle, to_otlp_json
    from exporter.web.exposition_writer import render

    settings = load_settings(context).settings
    result = run_async(run_cycle(settings))
    match output_format:
        case "prom":
            print_lines(block.decode().removesuffix("\n") for block in render(result.snapshot.families))
        case "targets":
            print_lines(result.target_lines)
        case _:
            print_lines(to_otlp_json(result.snapshot, settings))
    _report_problems(result.problems)


@main.command("check")
@click.argument("file", metavar="[FILE]", type=click.Path(path_type=Path), required=False)
@click.pass_context
def check(context: click.Context, file: Path | None) -> None:
    """Validate the configuration.

    Prints all errors together, each with its location and a hint. Exits with 2 if there are any.
    """
    if file is not None:
        context.obj = (file, context.obj[1])
    loaded = load_settings(context, shows_warnings=False)
    if loaded.settings.gates:
        from exporter.service.shadow_gates import gate_issues

        issues = list(gate_issues(loaded.settings))
        for issue in issues:
            click.echo(f"error: {issue}", err=True)
        if issues:
            sys.exit(2)
    endpoint = loaded.settings.otlp.endpoint
    push = f"pushing to {endpoint}" if endpoint else "no push (otlp.endpoint is not set)"
    # An exporter starts with it, and delivers from memory, but it can never store.
    can_store = all(warning.kind != "impossible_directory" for warning in loaded.warnings)
    if can_store:
        click.echo(f"ok: {len(loaded.settings.sources())} sources, {push}")
    print_warnings(loaded)
    if not can_store:
        click.echo("error: nothing can be stored; see the warning about storage.directory", err=True)
        sys.exit(2)


@main.command("series")
@click.option("--estimate", is_flag=True, help="Run one scrape cycle and count series and data points.")
@click.option("--price", type=click.FloatRange(min=0), metavar="PER_MILLION", help="Price of a million data points.")
@click.pass_context
def series(context: click.Context, *, estimate: bool, price: float | None) -> None:
    """Print the catalogue of derived series.

    With --estimate or --price, print the number of series and data points per month instead, the largest first.
    """
    if not estimate and price is None:
        from exporter.commands.series import catalogue_lines

        print_lines(catalogue_lines())
        return
    from exporter.commands.once import estimate_lines, family_costs, run_cycle

    settings = load_settings(context).settings
    result = run_async(run_cycle(settings))
    print_lines(estimate_lines(family_costs(result.snapshot, settings.tick_seconds), price))
    _report_problems(result.problems)


@main.command("record")
@click.argument("directory", metavar="DIRECTORY", type=click.Path(path_type=Path, file_okay=False))
@click.option("--for", "seconds", type=DURATION, default="2m", help="Duration of the recording.")
@click.option("--storage", "with_storage", is_flag=True, help="Also copy the database of storage.directory.")
@click.pass_context
def record(context: click.Context, directory: Path, seconds: float, *, with_storage: bool) -> None:
    """Record the responses of all targets.

    A recording is for bug reports, replay and tests. Writes DIRECTORY/frames.jsonl and the response bodies to
    DIRECTORY/pages.
    """
    from exporter.commands import record as recording

    settings = load_settings(context).settings
    interval = settings.tick_seconds
    ticks = recording.intervals(interval, seconds)
    frames = run_async(recording.record(directory, settings, ticks, frames=max(math.ceil(seconds / interval), 1)))
    click.echo(f"{frames} frames in {directory / recording.FRAMES_FILE}")
    if with_storage:
        from exporter.commands.storage import copy_database

        click.echo(f"a copy of the database in {copy_database(settings, directory)}")


@main.command("replay")
@click.argument("frames", metavar="FRAMES", type=FILE)
@click.option("--format", "output_format", type=click.Choice(_REPLAY_FORMATS), default="jsonl")
@click.option("--passthrough", is_flag=True, help="With jsonl: also print the families that pass through.")
@click.pass_context
def replay(context: click.Context, frames: Path, output_format: str, *, passthrough: bool) -> None:
    """Replay a recording and print the metrics after each frame.

    FRAMES is the frames.jsonl of a recording. Frames are processed at their recorded times, without waiting.
    """
    from exporter.commands.once import to_otlp_json
    from exporter.commands.replay import explanations_json, replay_frames, replay_transitions, snapshot_json
    from exporter.commands.timeline import timeline_lines
    from exporter.web.exposition_writer import render

    settings = load_settings(context).settings
    if output_format == "events":
        print_lines(json.dumps(each, ensure_ascii=False) for each in replay_transitions(frames, settings))
        return
    if output_format == "timeline":
        print_lines(timeline_lines(tuple(replay_transitions(frames, settings))))
        return
    if sys.stdout.isatty():
        context.with_resource(shown_by())  # its frames show how far it is, and a bar between them could not be read
    for frame, snapshot, tracker in replay_frames(frames, settings):
        match output_format:
            case "jsonl":
                click.echo(snapshot_json(frame.timestamp, snapshot, passthrough=passthrough))
            case "explanations":
                click.echo(explanations_json(frame.timestamp, tracker))
            case "prom":
                click.echo(f"# at {frame.timestamp}")
                print_lines(block.decode().removesuffix("\n") for block in render(snapshot.families))
            case _:
                print_lines(to_otlp_json(snapshot, settings))


@main.command("demo")
@click.option("--for", "seconds", type=DURATION, help="Stop after this duration. Default: run until interrupted.")
@click.option("--replay", "frames", type=FILE, help="Replay a recording instead (its frames.jsonl).")
@click.option("--listen", metavar="HOST:PORT", help="Address of its pages. Default: 127.0.0.1, first free port ≥ 9464.")
@click.pass_context
def demo(context: click.Context, seconds: float | None, frames: Path | None, listen: str | None) -> None:
    """Run a demo with a simulated cluster and backend.

    Simulated Argo Rollouts, the real exporter and a fake backend run on this machine, on loopback only unless --listen
    is another address. Shows what `watch` shows; q, Ctrl-C or SIGTERM ends it: it delivers what is left and prints the
    result. Exits with 0 if the backend received every data point, else with 1. It reads no configuration file and no
    environment variables; settings are those of -s.
    """
    from rich.console import Console

    from exporter.demo.command import FIXED_SETTINGS, run_demo, summary_line

    overrides = parsed_overrides(context)
    refused = [f"-s {name}" for name in overrides if name.startswith(FIXED_SETTINGS)]
    parent = context.parent
    if parent is not None and parent.get_parameter_source("file") is ParameterSource.COMMANDLINE:
        refused.append("--config")
    if refused:
        raise click.UsageError(f"demo does not use {', '.join(refused)}; leave it out")
    settings = {**overrides, **({"web.listen": listen} if listen is not None else {})}
    with exit_on_config_error():
        outcome = run_async(run_demo(Console(), seconds, frames, settings))
    click.echo(summary_line(outcome))
    sys.exit(0 if outcome.ok else 1)


@main.command("verify")
@click.option("--timeout", "seconds", type=DURATION, default="2m", help="How long to wait for the heartbeat.")
@optional_exporter_options("URL of a running exporter, such as http://127.0.0.1:9464: also look for its series.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_context
def verify(context: click.Context, seconds: float, address: ExporterAddress | None, *, as_json: bool) -> None:
    """Push a heartbeat and read it back from the store.

    Exits with 1 if something is missing in the store, 2 if push or read access is not configured, 3 if the push was
    rejected and 4 if reading was rejected.
    """
    from exporter.commands.verify import report
    from exporter.commands.verify.heartbeat import verify

    settings = load_settings(context).settings
    result = run_async(verify(settings, seconds, address, lambda line: click.echo(line, err=True)))
    print_lines([report.report_json(result)] if as_json else report.report_lines(result))
    sys.exit(0 if result.ok else 1)


@main.command("storage")
@click.argument("action", type=click.Choice(["ls", "verify", "drain", "clear"]))
@click.option("--for", "seconds", type=DURATION, default="5m", help="With drain: maximum duration.")
@click.option("--yes", is_flag=True, help="With clear: confirm that the queue is discarded.")
@click.pass_context
def storage(context: click.Context, action: str, seconds: float, *, yes: bool) -> None:
    """List, verify, drain or clear what is stored.

    The database is in storage.directory. ls lists what is in it. verify reads every row and exits with 1 if one is
    damaged. drain sends the queue and exits with 1 if something is left. clear discards the queue. Stop the exporter
    before drain and clear.
    """
    from exporter.commands import storage as commands

    settings = load_settings(context).settings
    if action == "drain":
        result = run_async(commands.drain(settings, seconds))
    elif action == "clear" and yes:
        result = commands.discard_all(settings)
    elif action == "verify":
        result = commands.verify(settings)
    else:
        result = commands.list_contents(settings)
    print_lines(result.lines)
    if action == "clear" and not yes:
        raise click.UsageError("nothing was discarded; add --yes to discard the queue")
    sys.exit(0 if result.ok else 1)


main.add_command(storage, "spool")  # its former name
main.add_command(config)
main.add_command(init)
main.add_command(doctor)
main.add_command(explain)
main.add_command(list_rollouts)
main.add_command(wait)
main.add_command(watch)
main.add_command(events)
main.add_command(story)
main.add_command(last9)
main.add_command(completion)
main.add_command(gate)
main.add_command(manual)
