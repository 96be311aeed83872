"""A gate's file, and the values of its arguments, wherever they are given."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from exporter import log
from exporter.gate.arguments import ResolutionError
from exporter.gate.load import TemplateError, read
from exporter.gate.template_selection import chosen, whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.gate.template import Argument, Spec, Template


class GateError(Exception):
    """Why a gate cannot be tried at all; the message names the cure."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says about a gate: its file (- for standard input), which template, and its arguments."""

    file: str
    template: str | None = None
    arguments: Sequence[str] = field(default=(), repr=False)
    argument_files: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Gate:
    """A template that is ready to be tried; `secrets` are the values of arguments that come from Secrets."""

    name: str
    spec: Spec
    secrets: Mapping[str, str] = field(repr=False)


def load(given: Given, *, need_secrets: bool) -> Gate:
    """Read a gate. Raises GateError."""
    try:
        objects = read(_text(given.file))
        template = chosen(objects.templates, given.template)
        values = _values(given, template)
        secrets = {
            one.name: found
            for one in template.spec.args
            if one.secret
            and (found := values.pop(one.name, objects.secrets.get((one.secret.name, one.secret.key)))) is not None
        }
        spec = whole(template, objects.templates, values)
    except (TemplateError, ResolutionError) as error:
        raise GateError(f"{given.file}: {error}") from None
    log.register_secrets(*secrets.values())
    log.register_auth_headers(*secrets.values())
    _needed(spec.args, secrets if need_secrets else None)
    _prometheus_only(spec)
    return Gate(template.name, spec, secrets)


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise GateError(f"{file} cannot be read: {reason}") from None


def _values(given: Given, template: Template) -> dict[str, str]:
    """Return the arguments that are given: on the command line, in a file, or else in the environment."""
    variables = {one.name: os.environ.get(variable(one.name)) for one in template.spec.args}
    values = {name: value for name, value in variables.items() if value is not None}
    for text in given.argument_files:
        name, path = _pair(text, "--arg-file")
        values[name] = _text(path)
    values |= dict(_pair(text, "--arg") for text in given.arguments)
    return values


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise GateError(f"{option} takes NAME=VALUE; what it was given has no =")
    return name, value


def variable(name: str) -> str:
    """Return the environment variable of an argument."""
    return f"GATE_ARG_{re.sub(r'[^A-Za-z0-9]', '_', name).upper()}"


def _needed(arguments: Sequence[Argument], secrets: Mapping[str, str] | None) -> None:
    """Refuse arguments that only a cluster knows; `secrets` None: those may stay unknown."""
    for one in arguments:
        if one.secret and secrets is not None and one.name not in secrets:
            raise GateError(
                f"argument {one.name} comes from key {one.secret.key} of Secret {one.secret.name}: give it with "
                f"--arg-file {one.name}=FILE or {variable(one.name)}, or add the Secret to the file"
            )
        if one.value is None and one.field_path:
            raise GateError(f"argument {one.name} comes from the Rollout; give it with --arg {one.name}=VALUE")


def _prometheus_only(spec: Spec) -> None:
    for metric in spec.metrics:
        if metric.prometheus is None and len(metric.others) == 1:
            raise GateError(f"metric {metric.name} asks {metric.others[0]}; only prometheus is tried here")


def with_address(spec: Spec, address: str) -> Spec:
    """Return a spec whose metrics without an address have this one, as the controller's environment gives it."""
    return replace(
        spec,
        metrics=tuple(
            replace(metric, prometheus=replace(metric.prometheus, address=metric.prometheus.address or address))
            if metric.prometheus
            else metric
            for metric in spec.metrics
        ),
    )
