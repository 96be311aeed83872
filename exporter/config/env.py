"""Reads variables: our own ROLLOUTS_EXPORTER_<SECTION>__<KEY>, the standard OTEL_* ones, and Last9's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.config.errors import nearest
from exporter.config.layers import Layer, spread
from exporter.config.otel import (
    Reading,
    read_attributes,
    read_authorization,
    read_boolean,
    read_headers,
    read_milliseconds,
    read_text,
    read_word,
)
from exporter.config.otlp import Endpoint
from exporter.config.schema import Path, fields, is_mapping
from exporter.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.config.errors import Findings
    from exporter.config.yaml_lines import Variable

PREFIX = "ROLLOUTS_EXPORTER_"
CONFIG_VARIABLE = "ROLLOUTS_EXPORTER_CONFIG"
"""Path of the configuration file, for the command line; it is no setting."""

_SERVICE_LINK = re.compile(
    r"ROLLOUTS_EXPORTER(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9]+)*|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""What Kubernetes itself sets in each pod for a Service named rollouts-exporter, or rollouts-exporter-…."""


@dataclass(frozen=True, slots=True)
class Row:
    """Variables that say the same (the first with a usable text wins, E05), the path, and how they are read."""

    variables: tuple[str, ...]
    path: Path
    read: Callable[[str], Reading]


def _exact(text: str) -> Reading:
    return Reading(Endpoint(text.strip(), exact=True))


def _otlp(option: str, path: Path, read: Callable[[str], Reading]) -> Row:
    return Row((f"OTEL_EXPORTER_OTLP_METRICS_{option}", f"OTEL_EXPORTER_OTLP_{option}"), ("otlp", *path), read)


BENEATH: tuple[Row, ...] = (
    Row(("OTEL_RESOURCE_ATTRIBUTES",), ("attributes",), read_attributes),
    Row(("OTEL_SERVICE_NAME",), ("attributes", "service.name"), read_text),
)
"""Rows that even the file beats, the weakest first (E14)."""

STANDARD: tuple[Row, ...] = (
    Row(("LAST9_OTLP_ENDPOINT",), ("otlp", "endpoint"), read_text),
    Row(("LAST9_AUTH_HEADER",), ("otlp", "headers"), read_authorization),
    Row(("OTEL_EXPORTER_OTLP_ENDPOINT",), ("otlp", "endpoint"), read_text),
    Row(("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",), ("otlp", "endpoint"), _exact),
    _otlp("PROTOCOL", ("protocol",), read_word("http/protobuf", "grpc", refused=("http/json",))),
    _otlp("HEADERS", ("headers",), read_headers),
    _otlp("TIMEOUT", ("timeout",), read_milliseconds),
    _otlp("COMPRESSION", ("compression",), read_word("gzip", "none")),
    _otlp("INSECURE", ("insecure",), read_boolean),
    _otlp("CERTIFICATE", ("tls", "ca_file"), read_text),
    _otlp("CLIENT_KEY", ("tls", "key_file"), read_text),
    _otlp("CLIENT_CERTIFICATE", ("tls", "cert_file"), read_text),
)
"""Rows that beat the file and that our own variables beat, the weakest first."""


def nest(path: Path, value: object) -> object:
    """Put a value under a path: (a, b) and 1 make {a: {b: 1}}."""
    for key in reversed(path):
        value = {key: value}
    return value


def _variable(path: Path) -> str:
    return PREFIX + "__".join(map(str, path)).upper()


OWN: dict[str, Path] = {_variable(path): path for path, _ in fields(Settings)}
"""The path of each variable of ours, sections among them."""
OPEN: dict[str, Path] = {f"{_variable(path)}__": path for path, field in fields(Settings) if is_mapping(field)}
"""What begins the variables under a mapping, where the rest of the name is a key of the user's."""


def read_variables(variables: Iterable[Variable], findings: Findings) -> tuple[list[Layer], list[Layer]]:
    """Turn variables into layers, the weakest first: those that the file beats, and those that beat it."""
    given = {variable.name: variable for variable in variables if variable.text.strip()}
    beneath = [_row_layer(row, given, findings) for row in BENEATH]
    above = [_row_layer(row, given, findings) for row in STANDARD]
    above.extend(_own_layer(given[name], findings) for name in sorted(given) if _is_ours(name))
    return beneath, above


def _is_ours(name: str) -> bool:
    return name.startswith(PREFIX) and name != CONFIG_VARIABLE and not _SERVICE_LINK.fullmatch(name)


def _row_layer(row: Row, given: dict[str, Variable], findings: Findings) -> Layer:
    for variable in (given[name] for name in row.variables if name in given):
        reading = row.read(variable.text)
        for problem, advice in reading.faults:
            findings.fault(variable.place, problem, advice, str(row.path[-1]))
        for problem, advice in reading.warnings:
            findings.warn(variable.place, problem, advice)
        if reading.value is not None:
            return _layer(variable, row.path, reading.value, findings)
    return {}


def _own_layer(variable: Variable, findings: Findings) -> Layer:
    name = variable.name.upper()
    if name in OWN:
        return _layer(variable, OWN[name], variable.text, findings)
    for beginning, path in OPEN.items():
        if name.startswith(beginning):
            return _layer(variable, (*path, variable.name[len(beginning) :]), variable.text, findings)
    near = nearest(name.removeprefix(PREFIX), (one.removeprefix(PREFIX) for one in OWN))
    advice = f"did you mean {PREFIX}{near}?" if near else "remove it; `rollouts-exporter config` lists the settings"
    findings.fault(variable.place, "belongs to no setting", advice)
    return {}


def _layer(variable: Variable, path: Path, value: object, findings: Findings) -> Layer:
    return spread(nest(path, value), lambda _: variable.origin, findings)
