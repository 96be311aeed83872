"""The commands of `gate`: Last9, or any Prometheus API, as an automated canary gate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exporter.cli.options import AnswersCommand, Seconds, ask, asked_credential, refusals, say, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.gate.controller import Controller


@click.group("gate")
def gate() -> None:
    """Write, check, try and simulate canary gates: AnalysisTemplates that ask Last9 and promote or roll back."""


class Version(click.ParamType["Controller"]):
    """A version of Argo Rollouts' controller on the command line."""

    name = "version"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Controller:
        """Look a version up."""
        from exporter.gate.controller import controller

        try:
            return controller(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[float]):
    """A time on the command line, in Unix seconds."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a time."""
        from exporter.commands.gate.run import moment

        try:
            return moment(str(value))
        except ValueError as error:
            self.fail(f"{error}; write 2026-11-24T10:00:00Z, Unix seconds, or -2h for so long ago", param, ctx)


CONTROLLER = click.option(
    "--controller", "controller", type=Version(), default="1.9.1", show_default=True, help="The controller's version."
)
TEMPLATE = click.option(
    "--template", "template", help="Which of the file's templates; default: the one no other refers to."
)
ARGUMENTS = click.option("--arg", "arguments", multiple=True, metavar="NAME=VALUE", help="An argument's value.")
FILES = click.option(
    "--arg-file", "files", multiple=True, metavar="NAME=FILE", help="An argument's value from a file, as it is there."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print the status as the controller would write it.")
EXPLAIN = click.option(
    "--explain", "explain", is_flag=True, help="Print every value, each sub-expression's value, and why."
)


def a_gate(command: Callable[..., Any]) -> Callable[..., Any]:
    """Take the options that say which gate is meant."""
    for option in (EXPLAIN, AS_JSON, CONTROLLER, FILES, ARGUMENTS, TEMPLATE):
        command = option(command)
    return command


@gate.command("run")
@click.argument("file", metavar="FILE")
@a_gate
@click.option(
    "--speed", "speed", type=click.FloatRange(0, min_open=True), default=1.0, help="Let time pass so much faster."
)
@click.option("--at", "start", type=Moment(), help="Try it on the past from this time on, without waiting.")
@click.option("--until", "end", type=Moment(), help="With --at and --every: try it again and again until this time.")
@click.option("--every", "step", type=Seconds(), help="With --at and --until: how far apart the tries are.")
@click.option("--for", "longest", type=Seconds(), help="Terminate it after so long, as the end of a step would.")
@refusals
def run(file: str, *, template: str | None, arguments: tuple[str, ...], files: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401 - click's
    """Perform the AnalysisRun of FILE (- for standard input) against the real endpoint, as the controller would.

    Exit code 0: Successful, 1: Failed, 2: Error, or it could not be tried, 3: Inconclusive.
    """
    from exporter.commands.gate.load import Given
    from exporter.commands.gate.run import Wish, play

    wish = Wish(
        controller=options["controller"],
        as_json=options["as_json"],
        explain=options["explain"],
        speed=options["speed"],
        start=options["start"],
        end=options["end"],
        step=options["step"],
        longest=options["longest"],
    )
    sys.exit(wait_for(play(Given(file, template, arguments, files), wish)))


@gate.command("simulate")
@click.argument("file", metavar="[FILE]", required=False)
@a_gate
@click.option("--answers", "answers", type=click.Path(path_type=Path), help='JSON: {"QUERY": [answer, answer, …]}.')
@click.option("--cases", "cases", type=click.Path(path_type=Path), help="Recorded runs instead, a JSON object a line.")
@click.option("--for", "longest", type=Seconds(), help="How much time to simulate at most; default: 1h.")
@refusals
def simulate(
    file: str | None,
    *,
    template: str | None,
    arguments: tuple[str, ...],
    files: tuple[str, ...],
    **options: Any,  # noqa: ANN401
) -> None:
    """Perform the AnalysisRun of FILE on given answers: no network, no waiting; the same exit codes as run.

    An answer is a list of numbers (an instant vector), {"scalar": x}, {"string": "x"}, {"matrix": [[…], …]}, an HTTP
    status from 400 on, or {"error": "why"} for none. They are taken one after the other, the last one for ever.
    """
    from exporter.commands.gate import simulate as gate_simulate
    from exporter.commands.gate.load import Given

    if options["cases"] is not None:
        say(gate_simulate.cases(options["cases"], options["controller"]))
        return
    if file is None or options["answers"] is None:
        raise click.UsageError("give a FILE and --answers, or --cases")
    code = gate_simulate.play(
        Given(file, template, arguments, files),
        answers=options["answers"],
        controller=options["controller"],
        longest=options["longest"],
        as_json=options["as_json"],
        explain=options["explain"],
    )
    sys.exit(code)


@gate.command("lint")
@click.argument("paths", nargs=-1, required=True, metavar="FILE|DIR|-…")
@click.option("--format", "form", type=click.Choice(["text", "json", "github"]), default="text", show_default=True)
@CONTROLLER
@click.option("--scrape-interval", type=Seconds(), default="30s", show_default=True, help="How often is scraped.")
@click.option("--read-delay", type=Seconds(), default="30s", show_default=True, help="How long until it can be read.")
@click.option("--strict", is_flag=True, help="Warnings make exit code 1, too.")
@refusals
def lint(
    paths: Sequence[str], form: str, controller: Controller, scrape_interval: float, read_delay: float, *, strict: bool
) -> None:
    """Find what is wrong with gates: which rule, where, why, and the cure.

    Exit code 0: no error (warnings alone are no error, unless --strict); 1: errors; 2: nothing to look at.
    `# gate-lint: allow RULE` beside a line, or above it, allows what a rule finds there.
    """
    from exporter.commands.gate.lint import given
    from exporter.gate.lint.inputs import Surroundings
    from exporter.gate.lint.report import FORMATS
    from exporter.gate.lint.rules import failing, lint

    gates = given(tuple(paths), sys.stdin, Surroundings(controller, scrape_interval, read_delay))
    findings = lint(gates)
    say(FORMATS[form](findings, len(gates.gates)))
    sys.exit(1 if failing(findings, strict=strict) else 0)


@gate.command("render", cls=AnswersCommand)
@click.option("--answers", "file", type=click.Path(path_type=Path, dir_okay=False), help="YAML file of answers.")
@click.option("--credential-file", type=click.Path(path_type=Path, dir_okay=False), help="Holds user:token or Basic ….")
@click.option("--credential-env", metavar="NAME", help="Variable that holds it.")
@click.option("--ask-credential", is_flag=True, help="Ask for it; it is not shown.")
@click.option("--part", type=click.Choice(["template", "secret", "rollout"]), help="Print this alone; default: all.")
@refusals
def render(
    file: Path | None,
    credential_file: Path | None,
    credential_env: str | None,
    part: str | None,
    *,
    ask_credential: bool,
    **answers: Any,  # noqa: ANN401 - the options of the answers
) -> None:
    """Write a gate: the AnalysisTemplate, the Secret if a credential is named, and what the Rollout needs.

    What is not said is asked for, in a terminal. The credential is in the Secret that is printed, and nowhere else.
    """
    from exporter.commands.gate import render as gate_render

    said = {name: value for name, value in answers.items() if value is not None}
    whole = gate_render.completed({**gate_render.from_file(file), **said}, ask if sys.stdin.isatty() else None)
    proof = gate_render.proof(credential_file, credential_env, asked_credential if ask_credential else None)
    text = gate_render.rendered(whole, part, proof)
    for remark in gate_render.remarks(whole):
        click.echo(f"warning: {remark}", err=True)
    click.echo(text, nl=False)
