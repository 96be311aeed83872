"""The answers of `gate render` as options and as questions: made from the model, so that they cannot differ from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from exporter.gate.render.answers import Answers

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


def answer_options(command: F) -> F:
    """Give a command an option for each answer; none has a default, so that a file's answers hold."""
    for name, field in reversed(Answers.model_fields.items()):
        told = field.description or ""
        default = field.get_default()
        if not field.is_required() and default not in {None, "", False}:
            told = f"{told.rstrip('.')}; default: {_written(name, default)}."
        kind = {"type": bool, "is_flag": True, "default": None} if default is False else {"type": str}
        command = click.option(f"--{name.replace('_', '-')}", name, help=told, **kind)(command)
    return command


def ask(name: str, question: str) -> str:
    """Ask a person, on the terminal."""
    from exporter.gate.render.answers import Signal

    kind = click.Choice([str(one) for one in Signal]) if name == "signal" else str
    default = Answers.model_fields[name].get_default() if not Answers.model_fields[name].is_required() else None
    return str(click.prompt(question.rstrip("."), type=kind, default=default or None, err=True))


def asked_credential() -> str:
    """Ask for the credential; what is typed does not show."""
    return str(click.prompt("user:token, its base64, or the whole header", hide_input=True, err=True))


def _written(name: str, default: object) -> str:
    from exporter.gate.span import written

    timed = name in {"interval", "scrape_interval", "read_delay"} and isinstance(default, int)
    return written(default) if timed and isinstance(default, int) else str(default)
