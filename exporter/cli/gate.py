"""The `gate` commands: a Prometheus API, such as Last9's, as an automated canary gate."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from exporter.cli.options import (
    DURATION,
    FILE,
    AnswersCommand,
    TrafficAnswersCommand,
    print_lines,
    prompt_answer,
    prompt_credential,
    run_async,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.commands.gate.load import GateSource
    from exporter.gate.controller import ControllerVersion
    from exporter.gate.render.answers import Credential


@click.group("gate")
def gate() -> None:
    """Generate, lint, run and simulate canary gates.

    A gate is an AnalysisTemplate whose queries decide whether a rollout is promoted or rolled back.
    """


class ControllerVersionParam(click.ParamType["ControllerVersion"]):
    """Type of options that are versions of Argo Rollouts' controller."""

    name = "version"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> ControllerVersion:
        """Return the version."""
        from exporter.gate.controller import parse_version

        try:
            return parse_version(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class TimeParam(click.ParamType[float]):
    """Type of options that are times; the value is in Unix seconds."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the time."""
        from exporter.commands.gate.run import parse_time

        try:
            return parse_time(str(value))
        except ValueError as error:
            self.fail(f"{error}; write 2026-11-24T10:00:00Z, Unix seconds, or -2h for two hours ago", param, ctx)


_DURATION_AGO: Final = re.compile(r"(?:[0-9.]+[a-zµ]+)+")
"""A duration such as 30d; a time in RFC 3339 may end in a letter, too, and have a space in place of its T."""


class SinceParam(TimeParam):
    """Type of options that are past times; a duration such as 30d is that long ago."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the time."""
        text = str(value)
        return super().convert(f"-{text}" if _DURATION_AGO.fullmatch(text) else text, param, ctx)


PATH: Final = click.Path(path_type=Path)
# Written out, as are the formats of `lint`: an import from exporter.gate would slow down every --help.
CONTROLLER = click.option(
    "--controller", type=ControllerVersionParam(), default="1.9.3", help="Version of the Argo Rollouts controller."
)
SOURCE_OPTIONS = (
    click.option("--template", help="Name of the template. Default: the only one to which no other template refers."),
    click.option("--arg", "arguments", multiple=True, metavar="NAME=VALUE", help="Value of an argument; repeatable."),
    click.option("--arg-file", "files", multiple=True, metavar="NAME=FILE", help="File with the value; repeatable."),
    CONTROLLER,
)
CREDENTIAL_OPTIONS = (
    click.option("--credential-file", type=FILE, help="File: user:token or Basic …."),
    click.option("--credential-env", metavar="NAME", help="Environment variable that contains the credential."),
    click.option("--ask-credential", is_flag=True, help="Prompt for the credential, without echoing it."),
)
GATE_OPTIONS = (
    *SOURCE_OPTIONS,
    click.option("--json", "as_json", is_flag=True, help="Print the status as JSON, as the controller writes it."),
    click.option("--explain", is_flag=True, help="Print the value of every sub-expression of the conditions."),
)


def gate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select a gate, its arguments and the output."""
    return _with_options(command, GATE_OPTIONS)


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select a gate and its arguments."""
    return _with_options(command, SOURCE_OPTIONS)


def _with_options(command: Callable[..., Any], options: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    for option in reversed(options):  # decorators apply from the last to the first
        command = option(command)
    return command


def _credential_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select the source of the credential."""
    return _with_options(command, CREDENTIAL_OPTIONS)


def _pop_source(file: str, options: dict[str, Any]) -> GateSource:
    """Remove the options that select the gate, its arguments and the credential, and return them."""
    from exporter.commands.gate.load import GateSource

    template, arguments, files = (options.pop(name) for name in ("template", "arguments", "files"))
    return GateSource(file, template, arguments, files, _pop_credential(options))


def _pop_credential(options: dict[str, Any]) -> Credential | None:
    """Remove the options that select the source of the credential, where a command has them, and read it."""
    from exporter.commands.gate.render import load_credential

    file, variable = options.pop("credential_file", None), options.pop("credential_env", None)
    prompt = prompt_credential if options.pop("ask_credential", False) else None
    return load_credential(file, variable, prompt)


@gate.command("run")
@click.argument("file", metavar="FILE")
@gate_options
@_credential_options
@click.option("--speed", type=click.FloatRange(0, min_open=True), default=1.0, help="Factor by which time runs faster.")
@click.option("--at", "start", type=TimeParam(), help="Evaluate against past data starting at TIME, without waiting.")
@click.option("--until", "end", type=TimeParam(), help="With --at and --every: repeat the run until this start time.")
@click.option("--every", "step", type=DURATION, help="With --at and --until: interval between the start times.")
@click.option("--plot", is_flag=True, help="Draw the measured values over time.")
@click.option("--for", "max_duration", type=DURATION, help="Terminate the run after this time, as a step's end does.")
def run(file: str, **options: Any) -> None:  # noqa: ANN401 - click's
    """Run a gate against the real endpoint.

    Performs the AnalysisRun of FILE (- for standard input) as the controller would. Exit code 0: Successful, 1: Failed,
    2: Error, or the gate could not be run, 3: Inconclusive. Of several runs, the worst counts.
    """
    from exporter.commands.gate import run as command

    source = _pop_source(file, options)
    sys.exit(run_async(command.run(source, command.RunOptions(**options))))


@gate.command("simulate")
@click.argument("file", metavar="[FILE]", required=False)
@gate_options
@click.option("--answers", type=PATH, help='JSON file: {"QUERY": [result, result, …]}.')
@click.option("--cases", type=PATH, help="Recorded runs to simulate instead, one JSON object per line.")
@click.option("--for", "max_duration", type=DURATION, help="Maximum simulated time. Default: 1h.")
def simulate(file: str | None, *, answers: Path | None, cases: Path | None, **options: Any) -> None:  # noqa: ANN401 - click's
    """Run a gate on prepared query results, without a network.

    Performs the AnalysisRun of FILE without waiting. Exit codes as for run, and 4 if it does not end in time.

    A result is a list of numbers (an instant vector), {"scalar": x}, {"string": "x"}, {"matrix": [[…], …]}, an HTTP
    status from 400 on, or {"error": "text"} for a query without a response. Each query takes its results in turn; the
    last one repeats.
    """
    from exporter.commands.gate import simulate as command
    from exporter.commands.gate.run import RunOptions

    if cases is not None:
        print_lines(command.simulate_recorded(cases, options["controller"]))
        return
    if file is None or answers is None:
        raise click.UsageError("give a FILE and --answers, or --cases")
    source = _pop_source(file, options)
    sys.exit(command.simulate(source, answers, RunOptions(**options)))


class FactorParam(click.ParamType[float]):
    """Type of options that are factors, such as 2x."""

    name = "factor"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the factor."""
        try:
            factor = float(str(value).strip().removesuffix("x"))
        except ValueError:
            factor = 0.0
        if not 0 < factor < float("inf"):
            self.fail(f"{value!r} is not a factor above 0; write 2x", param, ctx)
        return factor


@gate.command("backtest")
@click.argument("file", metavar="FILE")
@click.option("--since", "start", type=SinceParam(), default="30d", help="How long ago to begin, or a time.")
@click.option("--service", default="", help="Service whose updates to test. Default: those of every rollout.")
@click.option("--rollout", default="", help="[NAMESPACE/]NAME of the Rollout. Default: as the service.")
@click.option("--inject", "factor", type=FactorParam(), help="Test also with the canary's bad requests times FACTOR.")
@click.option("--json", "as_json", is_flag=True, help="Print updates and summary as one JSON object.")
@source_options
@_credential_options
def backtest(file: str, **options: Any) -> None:  # noqa: ANN401 - click's
    """Try a gate on past updates.

    Finds the updates in the store from the exporter's own series, and runs the gate of FILE over the canary of each as
    the controller would have. Prints what it would have done, against how the update ended: false alarms, catches, and
    minutes to decide.

    The arguments service-name, canary-hash, namespace and rollout-name are those of each update, unless set by --arg.
    """
    from exporter.commands.gate import backtest as command

    source = _pop_source(file, options)
    run_async(command.backtest(source, command.BacktestOptions(**options)))


@gate.command("lint")
@click.argument("paths", nargs=-1, required=True, metavar="FILE|DIR|-…")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    help="Format of the findings.",
)
@CONTROLLER
@click.option(
    "--store",
    type=click.Choice(["auto", "prometheus", "metricsql"]),
    default="auto",
    help="What evaluates the queries: Prometheus, or VictoriaMetrics and its like. Default: by the address.",
)
@click.option("--scrape-interval", type=DURATION, default="30s", help="Scrape interval of the queried metrics.")
@click.option("--read-delay", type=DURATION, help="Delay until a sample can be read. Default: 30s; metricsql: 45s.")
@click.option("--read-url", metavar="URL", help="Store whose traffic is read, for few-requests and bursty.")
@click.option("--credential-file", type=FILE, help="With --read-url: file with user:token or Basic ….")
@click.option("--arg", "arguments", multiple=True, metavar="NAME=VALUE", help="With --read-url: value of an argument.")
@click.option("--skip-others", is_flag=True, help="Ignore files without gates, as pre-commit passes all files.")
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings, too.")
def lint(  # noqa: PLR0913 - one for each option
    paths: Sequence[str],
    output_format: str,
    *,
    skip_others: bool,
    read_url: str | None,
    credential_file: Path | None,
    arguments: Sequence[str],
    strict: bool,
    **context: Any,  # noqa: ANN401 - the fields of LintContext
) -> None:
    """Check gates for errors.

    Prints each finding with its line, rule, reason and a hint on how to fix it. A comment `# gate-lint: allow RULE` on
    a line, or above it, suppresses a finding. Exit code 0: no errors (and with --strict no warnings), 1: errors, 2:
    a file or the store cannot be read, or there is nothing to check.
    """
    from exporter.commands.gate import lint as command
    from exporter.gate.dialect import StoreKind
    from exporter.gate.lint.findings import FORMATS
    from exporter.gate.lint.inputs import LintContext
    from exporter.gate.lint.rules import apply_rules, is_failure
    from exporter.gate.lint.sarif import format_sarif

    store = StoreKind(context.pop("store"))
    lint_context = LintContext(**context, store=store)
    lint_input = command.load_files(tuple(paths), sys.stdin, lint_context, skips_others=skip_others)
    if read_url is not None:
        lint_input = run_async(command.with_traffic(lint_input, read_url, credential_file, arguments))
    findings = apply_rules(lint_input)
    formats = {**FORMATS, "sarif": format_sarif}
    print_lines(formats[output_format](findings, len(lint_input.gates)))
    sys.exit(1 if is_failure(findings, strict=strict) else 0)


@gate.command("suggest", cls=TrafficAnswersCommand)
@click.option("--since", "start", type=SinceParam(), default="28d", help="How long ago to begin, or a time.")
@click.option("--updates", type=click.FloatRange(0, min_open=True), help="Updates a month. Default: counted, or 20.")
@_credential_options
@click.option("--json", "as_json", is_flag=True, help="Print the suggestions as one JSON object.")
def suggest(
    start: float,
    updates: float | None,
    credential_file: Path | None,
    credential_env: str | None,
    *,
    ask_credential: bool,
    as_json: bool,
    **answers: Any,  # noqa: ANN401 - the options of the answers
) -> None:
    """Suggest how to judge a service.

    Reads the service's traffic of the past weeks from the store, and prints for each weight of a canary: the sequential
    test (signals error-rate and latency) with the minutes to decide and the regressions that it finds, also in quiet
    hours, and a threshold (error-rate) with its expected false aborts a month.
    """
    from exporter.commands.gate import render as command
    from exporter.commands.gate.suggest import SuggestOptions
    from exporter.commands.gate.suggest import suggest as suggestions

    options = {name: value for name, value in answers.items() if value is not None}
    prompt = prompt_answer if sys.stdin.isatty() else None
    completed = command.complete_answers({**options, "test": "sequential"}, prompt)
    credential = command.load_credential(credential_file, credential_env, prompt_credential if ask_credential else None)
    print_lines(run_async(suggestions(completed, credential, SuggestOptions(start, updates, as_json))))


@gate.command("render", cls=AnswersCommand)
@click.option("--answers", "file", type=FILE, help="YAML file of answers.")
@_credential_options
@click.option("--offline", is_flag=True, help="Sequential: do not query the service's traffic, for the estimate.")
@click.option(
    "--part",
    type=click.Choice(["template", "secret", "rollout"]),
    help="Print only this part. Default: template and rollout; a Secret is printed only by --part secret.",
)
@click.option("--into", type=PATH, metavar="FILE", help="File of the Rollout into which the step is inserted.")
def render(  # noqa: PLR0913 - one for each option
    file: Path | None,
    credential_file: Path | None,
    credential_env: str | None,
    part: str | None,
    into: Path | None,
    *,
    ask_credential: bool,
    offline: bool,
    **answers: Any,  # noqa: ANN401 - the options of the answers
) -> None:
    """Generate a gate from a few answers.

    Prints the AnalysisTemplate, and the steps of the Rollout unless --into inserts them. In a terminal it prompts for
    missing answers. Only the Secret contains the credential, and only --part secret prints it. With --test sequential
    it reads the service's present traffic from the store, and prints how long the gate will take, on standard error.
    """
    from exporter.commands.gate import render as command

    options = {name: value for name, value in answers.items() if value is not None}
    prompt = prompt_answer if sys.stdin.isatty() else None
    completed = command.complete_answers({**command.read_answers(file), **options}, prompt)
    credential = command.load_credential(credential_file, credential_env, prompt_credential if ask_credential else None)
    if into is not None:
        for warning in command.warnings_about(into, completed):
            click.echo(f"warning: {warning}", err=True)
        command.insert_into(into, completed)
        part = part or "template"
    text = command.render(completed, part, credential)
    if credential and part != "secret":
        click.echo("The Secret is not printed: add --part secret, and pipe it to kubectl apply -f -", err=True)
    for warning in command.lint_warnings(completed):
        click.echo(f"warning: {warning}", err=True)
    if completed.is_sequential and not offline and part != "secret":
        from exporter.commands.gate.estimate import estimate

        for line in run_async(estimate(completed, credential)):
            click.echo(f"estimate: {line}", err=True)
    click.echo(text, nl=False)
