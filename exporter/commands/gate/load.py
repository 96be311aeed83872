"""Loads a gate: the selected template of a file, and its arguments from options, files and the environment."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from exporter import log
from exporter.gate.arguments import ResolutionError
from exporter.gate.load import read_objects, resolve_spec, select
from exporter.gate.provider import ADDRESS_VARIABLE
from exporter.gate.render.manifest import PASSWORD, USER
from exporter.gate.template import TemplateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.gate.render.answers import Credential
    from exporter.gate.template import AnalysisSpec, AnalysisTemplate, Argument


class GateError(Exception):
    """A gate, answer or file that a `gate` command cannot use; the message contains a hint."""


@dataclass(frozen=True, slots=True)
class GateSource:
    """A gate on the command line: file (- for standard input), template name, arguments as NAME=VALUE and NAME=FILE.

    The credential is the value of the arguments that come from a Secret, unless they are among the others.
    """

    file: str
    template: str | None = None
    arguments: Sequence[str] = field(default=(), repr=False)
    argument_files: Sequence[str] = ()
    credential: Credential | None = None


@dataclass(frozen=True, slots=True)
class LoadedGate:
    """A template with its arguments resolved; `secrets` are the values of arguments that come from Secrets."""

    name: str
    spec: AnalysisSpec
    secrets: Mapping[str, str] = field(repr=False)


def argument_names_of(source: GateSource, text: str) -> tuple[str, ...]:
    """Return the names of a gate's arguments. Raises GateError."""
    try:
        return tuple(argument.name for argument in select(read_objects(text).templates, source.template).spec.args)
    except TemplateError as error:
        raise GateError(f"{source.file}: {error}") from None


def load_gate(source: GateSource, *, need_secrets: bool, text: str | None = None) -> LoadedGate:
    """Load a gate; `text` is the file's, if it has been read. Raises GateError."""
    try:
        objects = read_objects(read_text(source.file) if text is None else text)
        template = select(objects.templates, source.template)
        values = _argument_values(source, template)
        secrets = _take_secrets(template, values, objects.secrets)
        spec = resolve_spec(template, objects.templates, values)
    except (TemplateError, ResolutionError) as error:
        raise GateError(f"{source.file}: {error}") from None
    # As written, and as a header: user and password may be inside of base64.
    log.register_secrets(*secrets.values())
    log.register_auth_headers(*secrets.values())
    _require_arguments(spec.args, secrets if need_secrets else None)
    _require_prometheus(spec)
    return LoadedGate(template.name, spec, secrets)


def read_text(file: str | Path, option: str = "") -> str:
    """Return the text of a file of the user, - for standard input. Raises GateError, which begins with the option."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise GateError(f"{option} {file} cannot be read: {reason}".lstrip()) from None


def _argument_values(source: GateSource, template: AnalysisTemplate) -> dict[str, str]:
    """Return the values of arguments: from --arg, else --arg-file, the environment, and the credential."""
    variables = {argument.name: os.environ.get(variable_name(argument.name)) for argument in template.spec.args}
    values = _credential_values(source.credential, template) if source.credential else {}
    values |= {name: value for name, value in variables.items() if value is not None}
    for text in source.argument_files:
        name, path = split_option(text, "--arg-file")
        values[name] = read_text(path)
    values |= dict(split_option(text, "--arg") for text in source.arguments)
    return values


def _credential_values(credential: Credential, template: AnalysisTemplate) -> dict[str, str]:
    """Return the values of the arguments that come from Secrets: user and password, or a header. Raises GateError."""
    names = {argument.name for argument in template.spec.args if argument.secret}
    if names == {USER, PASSWORD}:
        return {USER: credential.user, PASSWORD: credential.password}
    if len(names) == 1:
        return dict.fromkeys(names, credential.header)
    raise GateError(
        f"the gate has {len(names)} arguments from Secrets, so that it is not clear which is the credential; set each "
        "with --arg-file NAME=FILE"
    )


def split_option(text: str, option: str) -> tuple[str, str]:
    """Return name and value of an option NAME=VALUE. Raises GateError."""
    name, equals, value = text.partition("=")
    if not equals:
        raise GateError(f"{option} takes NAME=VALUE, and there is no =")  # without the text, which may be a secret
    return name, value


def variable_name(argument: str) -> str:
    """Return the environment variable of an argument."""
    return f"GATE_ARG_{re.sub(r'[^A-Za-z0-9]', '_', argument).upper()}"


def _take_secrets(
    template: AnalysisTemplate, values: dict[str, str], secrets: Mapping[tuple[str, str], str]
) -> dict[str, str]:
    """Remove the values of arguments that come from Secrets, and return them; else those of the file's Secrets."""
    secret_values = {}
    for argument in template.spec.args:
        if argument.secret:
            # Among the other values it would replace the reference, and no longer be redacted in the plan.
            value = values.pop(argument.name, secrets.get((argument.secret.name, argument.secret.key)))
            if value is not None:
                secret_values[argument.name] = value
    return secret_values


def _require_arguments(arguments: Sequence[Argument], secrets: Mapping[str, str] | None) -> None:
    """Raise GateError for arguments whose value only the cluster has; with `secrets` None not for Secrets."""
    for argument in arguments:
        name = argument.name
        if argument.secret and secrets is not None and name not in secrets:
            raise GateError(
                f"argument {name} comes from key {argument.secret.key} of Secret {argument.secret.name}: set it with "
                f"--arg-file {name}=FILE, {variable_name(name)} or --credential-file, or add the Secret to the file"
            )
        if argument.value is None and argument.field_path:
            raise GateError(f"argument {name} comes from the Rollout; set it with --arg {name}=VALUE")


def _require_prometheus(spec: AnalysisSpec) -> None:
    for metric in spec.metrics:
        if metric.prometheus is None and len(metric.other_providers) == 1:
            raise GateError(f"metric {metric.name} uses {metric.other_providers[0]}; only prometheus is supported here")


def with_default_address(gate: LoadedGate) -> LoadedGate:
    """Return a gate whose metrics without an address have that of the controller's environment."""
    address = os.environ.get(ADDRESS_VARIABLE, "")
    metrics = tuple(
        replace(metric, prometheus=replace(metric.prometheus, address=metric.prometheus.address or address))
        if metric.prometheus
        else metric
        for metric in gate.spec.metrics
    )
    return replace(gate, spec=replace(gate.spec, metrics=metrics))
