"""The answers of `gate render` as options and as questions: made from the model, so that they cannot differ from it."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import click

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
    from exporter.gate.span import written

    return written(default) if name in TIMES and isinstance(default, int) else str(default)
