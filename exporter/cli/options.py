"""Shared parts of the commands: duration options, printing, user errors as exit codes, and answers as options."""

from __future__ import annotations

import asyncio
import os
import sys
from enum import StrEnum
from functools import cached_property, partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from exporter.config.values import MAX_SECONDS, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from exporter.commands.api_client import ExporterAddress


T = TypeVar("T")


class DurationParam(click.ParamType[float]):
    """Type of options that are durations, such as 20s or 2m; the value is in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the duration in seconds."""
        try:
            seconds = float(str(parse_duration(value)))
        except ValueError:
            self.fail(f"{value!r} is not a duration; write 20s or 2m", param, ctx)
        if seconds > MAX_SECONDS:
            self.fail("is longer than ten years; write at most 3650d", param, ctx)
        return seconds


DURATION: Final = DurationParam()


class MomentParam(click.ParamType[float]):
    """Type of options that are moments: Unix seconds, or a duration ago, such as -2h, which is negative."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return Unix seconds, or negative seconds."""
        text = str(value)
        try:
            return -float(str(parse_duration(text[1:]))) if text.startswith("-") else float(text)
        except ValueError:
            self.fail(f"{value!r} is no moment; write Unix seconds, or -2h for two hours ago", param, ctx)


MOMENT: Final = MomentParam()
FILE: Final = click.Path(path_type=Path, dir_okay=False)
RECORDING: Final = click.option("--recording", "frames", type=FILE, help="Use a recording instead (its frames.jsonl).")


_ACCESS_OPTIONS: Final = (
    click.option("--username", default="", help="User name of its pages (web.basic_auth)."),
    # No option for the password itself: the arguments of a process are no secret.
    click.option("--password-file", type=FILE, help="File with the password of its pages."),
    click.option("--ca-file", type=FILE, help="Certificate authorities (PEM) to trust for https://."),
)


def exporter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a running exporter to a command, which gets an ExporterAddress as `address`."""
    return _with_address(
        command, click.option("--address", default="http://127.0.0.1:9464", help="URL of a running exporter.")
    )


def optional_exporter_options(help_text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator for the same options where `address` may be None, with the help of --address."""
    return lambda command: _with_address(command, click.option("--address", help=help_text))


def exporter_address(
    address: str, *, username: str, password_file: Path | None, ca_file: Path | None
) -> ExporterAddress:
    """Return what the options of a running exporter mean."""
    from exporter.commands.api_client import ExporterAddress
    from exporter.config.section import BasicAuthSection, ClientTlsSection

    credential = BasicAuthSection(username=username, password_file=password_file)
    return ExporterAddress(address, credential, ClientTlsSection(ca_file=ca_file))


def _with_address(
    command: Callable[..., None], option: Callable[[Callable[..., None]], Callable[..., None]]
) -> Callable[..., None]:
    @wraps(command)
    def with_address(
        *arguments: object, address: str | None, username: str, password_file: Path | None, ca_file: Path | None,
        **options: object,
    ) -> None:  # fmt: skip # a parameter per line would hide the body
        access = partial(exporter_address, username=username, password_file=password_file, ca_file=ca_file)
        command(*arguments, address=None if address is None else access(address), **options)

    result: Callable[..., None] = with_address
    for access_option in reversed(_ACCESS_OPTIONS):
        result = access_option(result)
    return option(result)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines to standard output."""
    for line in lines:
        click.echo(line)


class UserErrorGroup(click.Group):
    """A group that prints a user error of a command as one line and exits with its code."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as in click
        """Run the command; exit with 0 if the reader of the output has gone."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the flush at exit does not fail
            sys.exit(0)
        except Exception as error:
            # Only now, since it imports the modules of all commands: an exporter that runs has no use for them.
            from exporter.commands.errors import EXIT_CODES, USER_ERRORS

            if not isinstance(error, USER_ERRORS):
                raise
            click.echo(f"error: {error}", err=True)
            sys.exit(EXIT_CODES.get(type(error), 1))


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; exit with 130 on Ctrl-C."""
    try:
        return asyncio.run(coroutine)
    except KeyboardInterrupt:
        sys.exit(130)  # 128 + SIGINT, as shells do


DURATION_ANSWERS: Final = {"interval", "scrape_interval", "read_delay"}
"""Answers of `gate render` that are durations; the default of one is in seconds."""


class AnswersCommand(click.Command):
    """A command with an option for each answer of `gate render`, made from the answers' model.

    The options have no defaults, so that an answer in a file counts.
    """

    answers: tuple[str, ...] = ()
    """The answers that are options; all if empty."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the options of the answers before the command's own."""
        return [*self._answer_options, *super().get_params(ctx)]

    @cached_property
    def _answer_options(self) -> list[click.Parameter]:
        from exporter.gate.render.answers import QUESTIONS

        return [_answer_option(name, QUESTIONS[name]) for name in self.answers or QUESTIONS]


class TrafficAnswersCommand(AnswersCommand):
    """A command with an option for each answer to which requests count, and where they are stored."""

    answers = (
        "signal", "service", "namespace", "rollout", "address", "cluster_id", "organization", "metric",
        "service_label", "errors", "slower_than", "miss", "scrape_interval", "store",
    )  # fmt: skip


def prompt_answer(name: str, question: str) -> str:
    """Prompt for an answer on the terminal."""
    from exporter.gate.render.answers import QUESTIONS, Signal

    field = QUESTIONS[name]
    default = None if field.is_required() else field.get_default() or None
    kind = click.Choice([str(signal) for signal in Signal]) if name == "signal" else str
    # On standard error: standard output is the generated YAML.
    return str(click.prompt(question.rstrip("."), type=kind, default=default, err=True))


def prompt_credential() -> str:
    """Prompt for the credential, without echoing it."""
    return str(click.prompt("user:token, its base64, or the complete header", hide_input=True, err=True))


def _answer_option(name: str, field: Any) -> click.Option:  # noqa: ANN401 - pydantic's FieldInfo
    help_text = str(field.description or "")
    default = None if field.is_required() else field.get_default()
    if default not in {None, "", False}:
        help_text = f"{help_text} Default: {_default_text(name, default)}."
    names = [f"--{name.replace('_', '-')}", name]
    kind, is_flag = field.annotation, default is False
    # The values are only shown: the model checks them, also those of a file.
    metavar = f"[{'|'.join(kind)}]" if isinstance(kind, type) and issubclass(kind, StrEnum) else None
    return click.Option(
        names, help=help_text, is_flag=is_flag, default=None, type=bool if is_flag else str, metavar=metavar
    )


def _default_text(name: str, default: object) -> str:
    from exporter.gate.go_format import format_duration

    return format_duration(default) if name in DURATION_ANSWERS and isinstance(default, int) else str(default)
