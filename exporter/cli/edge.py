"""What every command needs at the door: durations, printing, refusals that become one line and an exit code."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from exporter.config.values import seconds as read_seconds

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
        from exporter.commands.refusals import CODES, REFUSALS

        try:
            return command(*args, **kwargs)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read has gone
            sys.exit(0)
        except REFUSALS as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(CODES.get(type(error), 1))

    return guarded


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; Ctrl-C ends the process with 130."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        sys.exit(130)
