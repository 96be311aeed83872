"""Reads variables: our own ROLLOUTS_EXPORTER_<SECTION>__<KEY>, the standard OTEL_* ones, and Last9's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.config.errors import closest_match
from exporter.config.layers import Layer, flatten
from exporter.config.otel import (
    ParsedVariable,
    attributes_variable,
    authorization_variable,
    boolean_variable,
    choice_variable,
    headers_variable,
    milliseconds_variable,
    text_variable,
)
from exporter.config.outputs import Endpoint
from exporter.config.schema import SettingPath, is_mapping, iter_fields
from exporter.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.config.errors import IssueCollector
    from exporter.config.yaml_lines import Variable

PREFIX = "ROLLOUTS_EXPORTER_"
CONFIG_VARIABLE = "ROLLOUTS_EXPORTER_CONFIG"
"""Path of the configuration file, for the command line; it is no setting."""

_SERVICE_LINK = re.compile(
    r"ROLLOUTS_EXPORTER(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9]+)*|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""What Kubernetes itself sets in each pod for a Service named rollouts-exporter, or rollouts-exporter-…."""


@dataclass(frozen=True, slots=True)
class VariableRule:
    """Variables that say the same (the first with a usable text wins, E05), the path, and how they are read."""

    variables: tuple[str, ...]
    path: SettingPath
    parse: Callable[[str], ParsedVariable]


def _exact(text: str) -> ParsedVariable:
    return ParsedVariable(Endpoint(text.strip(), exact=True))


def _otlp_rule(option: str, path: SettingPath, read: Callable[[str], ParsedVariable]) -> VariableRule:
    return VariableRule((f"OTEL_EXPORTER_OTLP_METRICS_{option}", f"OTEL_EXPORTER_OTLP_{option}"), ("otlp", *path), read)


BELOW_FILE: tuple[VariableRule, ...] = (
    VariableRule(("OTEL_RESOURCE_ATTRIBUTES",), ("attributes",), attributes_variable),
    VariableRule(("OTEL_SERVICE_NAME",), ("attributes", "service.name"), text_variable),
)
"""Rows that even the file beats, the weakest first (E14)."""

ABOVE_FILE: tuple[VariableRule, ...] = (
    VariableRule(("LAST9_OTLP_ENDPOINT",), ("otlp", "endpoint"), text_variable),
    VariableRule(("LAST9_AUTH_HEADER",), ("otlp", "headers"), authorization_variable),
    VariableRule(("OTEL_EXPORTER_OTLP_ENDPOINT",), ("otlp", "endpoint"), text_variable),
    VariableRule(("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",), ("otlp", "endpoint"), _exact),
    _otlp_rule("PROTOCOL", ("protocol",), choice_variable("http/protobuf", "grpc", refused=("http/json",))),
    _otlp_rule("HEADERS", ("headers",), headers_variable),
    _otlp_rule("TIMEOUT", ("timeout",), milliseconds_variable),
    _otlp_rule("COMPRESSION", ("compression",), choice_variable("gzip", "none")),
    _otlp_rule("INSECURE", ("insecure",), boolean_variable),
    _otlp_rule("CERTIFICATE", ("tls", "ca_file"), text_variable),
    _otlp_rule("CLIENT_KEY", ("tls", "key_file"), text_variable),
    _otlp_rule("CLIENT_CERTIFICATE", ("tls", "cert_file"), text_variable),
)
"""Rows that beat the file and that our own variables beat, the weakest first."""


def nest(path: SettingPath, value: object) -> object:
    """Put a value under a path: (a, b) and 1 make {a: {b: 1}}."""
    for key in reversed(path):
        value = {key: value}
    return value


def _variable_name(path: SettingPath) -> str:
    return PREFIX + "__".join(map(str, path)).upper()


PREFIXED: dict[str, SettingPath] = {_variable_name(path): path for path, _ in iter_fields(Settings)}
"""The path of each variable of ours, sections among them."""
MAPPING_PREFIXES: dict[str, SettingPath] = {
    f"{_variable_name(path)}__": path for path, field in iter_fields(Settings) if is_mapping(field)
}
"""What begins the variables under a mapping, where the rest of the name is a key of the user's."""


def read_variables(variables: Iterable[Variable], findings: IssueCollector) -> tuple[list[Layer], list[Layer]]:
    """Turn variables into layers, the weakest first: those that the file beats, and those that beat it."""
    given = {variable.name: variable for variable in variables if variable.text.strip()}
    beneath = [_row_layer(row, given, findings) for row in BELOW_FILE]
    above = [_row_layer(row, given, findings) for row in ABOVE_FILE]
    above.extend(_own_layer(given[name], findings) for name in sorted(given) if _is_prefixed(name))
    return beneath, above


def _is_prefixed(name: str) -> bool:
    return name.startswith(PREFIX) and name != CONFIG_VARIABLE and not _SERVICE_LINK.fullmatch(name)


def _row_layer(row: VariableRule, given: dict[str, Variable], findings: IssueCollector) -> Layer:
    for variable in (given[name] for name in row.variables if name in given):
        reading = row.parse(variable.text)
        for problem, advice in reading.errors:
            findings.add_error(variable.location, problem, advice, str(row.path[-1]))
        for problem, advice in reading.warnings:
            findings.add_warning(variable.location, problem, advice)
        if reading.value is not None:
            return _layer(variable, row.path, reading.value, findings)
    return {}


def _own_layer(variable: Variable, findings: IssueCollector) -> Layer:
    name = variable.name.upper()
    if name in PREFIXED:
        return _layer(variable, PREFIXED[name], variable.text, findings)
    for beginning, path in MAPPING_PREFIXES.items():
        if name.startswith(beginning):
            return _layer(variable, (*path, variable.name[len(beginning) :]), variable.text, findings)
    near = closest_match(name.removeprefix(PREFIX), (one.removeprefix(PREFIX) for one in PREFIXED))
    advice = f"did you mean {PREFIX}{near}?" if near else "remove it; `rollouts-exporter config` lists the settings"
    findings.add_error(variable.location, "belongs to no setting", advice)
    return {}


def _layer(variable: Variable, path: SettingPath, value: object, findings: IssueCollector) -> Layer:
    return flatten(nest(path, value), lambda _: variable.origin, findings)
