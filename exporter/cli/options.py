"""What every command needs at the door: durations, printing, refusals that become one line and an exit code."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import click

from exporter.config.values import parse_duration as read_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable


P = ParamSpec("P")
T = TypeVar("T")


class Seconds(click.ParamType[float]):
    """A duration on the command line, such as 20s or 2m."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a duration."""
        try:
            return float(str(read_seconds(value)))
        except ValueError:
            self.fail(f"{value!r} is no duration; write 20s or 2m", param, ctx)


def say(lines: Iterable[str]) -> None:
    """Print lines."""
    for line in lines:
        click.echo(line)


def refusals(command: Callable[P, T]) -> Callable[P, T]:
    """Turn what the edges refuse at the start into one line and its exit code."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        from exporter.commands.errors import EXIT_CODES, USER_ERRORS

        try:
            return command(*args, **kwargs)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read has gone
            sys.exit(0)
        except USER_ERRORS as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(EXIT_CODES.get(type(error), 1))

    return guarded


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; Ctrl-C ends the process with 130."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        sys.exit(130)


# The answers of `gate render` as options and as questions: made from the model, so that they cannot differ from it.


TIMES: Final = {"interval", "scrape_interval", "read_delay"}


class AnswersCommand(click.Command):
    """A command with an option for each answer; none has a default, so that what a file says holds."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the options of the answers before the command's own."""
        return [*self._answers, *super().get_params(ctx)]

    @cached_property
    def _answers(self) -> list[click.Parameter]:
        from exporter.gate.render.answers import QUESTIONS

        return [_option(name, field) for name, field in QUESTIONS.items()]


def ask(name: str, question: str) -> str:
    """Ask a person, on the terminal."""
    from exporter.gate.render.answers import QUESTIONS, Signal

    field = QUESTIONS[name]
    default = None if field.is_required() else field.get_default() or None
    kind = click.Choice([str(one) for one in Signal]) if name == "signal" else str
    return str(click.prompt(question.rstrip("."), type=kind, default=default, err=True))


def asked_credential() -> str:
    """Ask for the credential; what is typed does not show."""
    return str(click.prompt("user:token, its base64, or the whole header", hide_input=True, err=True))


def _option(name: str, field: Any) -> click.Option:  # noqa: ANN401 - pydantic's own
    told = str(field.description or "")
    default = None if field.is_required() else field.get_default()
    if default not in {None, "", False}:
        told = f"{told.rstrip('.')}; default: {_written(name, default)}."
    flag = default is False
    return click.Option(
        [f"--{name.replace('_', '-')}", name], help=told, is_flag=flag, default=None, type=bool if flag else str
    )


def _written(name: str, default: object) -> str:
    from exporter.gate.go_format import written

    return written(default) if name in TIMES and isinstance(default, int) else str(default)
