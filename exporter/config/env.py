"""Environment variables: ROLLOUTS_EXPORTER_<SECTION>__<KEY>, OTEL_* of OpenTelemetry (E05 to E14), and Last9's.

Each `…_variable` parser turns the text of a variable into a `ParsedVariable`. Header values are secret, so no message
here quotes one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.config.errors import ConfigIssue, closest_match
from exporter.config.model import SettingPath
from exporter.config.otel_file import FORMER_NAME, OTEL_CONFIG_FILE, OTEL_FILE, DeclaredSettings, read_otel_file
from exporter.config.outputs import Endpoint
from exporter.config.schema import iter_fields, replacements
from exporter.config.settings import Settings
from exporter.config.values import MessageAndHint, SettingError, decode_headers, parse_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from exporter.config.errors import IssueCollector
    from exporter.config.yaml_lines import Variable

PREFIX = "ROLLOUTS_EXPORTER_"
CONFIG_VARIABLE = "ROLLOUTS_EXPORTER_CONFIG"
"""Path of the configuration file. The command line reads it; it is not a setting."""

_SERVICE_LINK = re.compile(
    r"ROLLOUTS_EXPORTER(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9]+)*|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""Variables that Kubernetes sets in every pod for a Service named rollouts-exporter or rollouts-exporter-…."""
_AUTHORIZATION_NAME = re.compile(r"authorization\s*[=:]\s*", re.IGNORECASE)

Assignment = tuple["Variable", SettingPath, object]
"""A variable, the setting that it sets, and the value."""


@dataclass(frozen=True, slots=True)
class ParsedVariable:
    """Parsed text of a variable: a value (None: as if the variable were unset), and what is wrong with the text."""

    value: object = None
    errors: tuple[MessageAndHint, ...] = ()
    warnings: tuple[MessageAndHint, ...] = ()


@dataclass(frozen=True, slots=True)
class VariableRule:
    """Equivalent variables (the first with a usable text wins, E05), the setting that they set, and their parser."""

    variables: tuple[str, ...]
    path: SettingPath
    parse: Callable[[str], ParsedVariable]


def text_variable(text: str) -> ParsedVariable:
    """Return the text without outer white space."""
    return ParsedVariable(text.strip())


def endpoint_variable(text: str) -> ParsedVariable:
    """Parse an endpoint for metrics, to which no path is added (E02)."""
    return ParsedVariable(Endpoint(text.strip(), exact=True))


def headers_variable(text: str) -> ParsedVariable:
    """Parse headers: an item that is not a header is skipped with a warning, an invalid value is an error."""
    headers, invalid_values, invalid_items = decode_headers(text)
    return ParsedVariable(headers or None, invalid_values, invalid_items)


def attributes_variable(text: str) -> ParsedVariable:
    """Parse resource attributes; one invalid item drops the entire variable with a warning (E14)."""
    try:
        return ParsedVariable(dict(parse_attributes(text)))
    except SettingError as error:
        return ParsedVariable(warnings=((f"{error}; the variable is ignored", error.hint),))


def boolean_variable(text: str) -> ParsedVariable:
    """Parse a boolean: "true" in any case is true, other words are false with a warning (E06)."""
    word = text.strip().lower()
    warning = ("is neither true nor false; false is used", "write true or false")
    return ParsedVariable(word == "true", warnings=() if word in {"true", "false"} else (warning,))


def milliseconds_variable(text: str) -> ParsedVariable:
    """Parse whole milliseconds into seconds, 0 for no limit (E07); other text is ignored with a warning."""
    if re.fullmatch(r"[0-9]{1,12}", text.strip()):
        return ParsedVariable(int(text) / 1000)
    warning = ("is not a whole number of milliseconds; it is ignored", "write 10000 for ten seconds")
    return ParsedVariable(warnings=(warning,))


def choice_variable(*choices: str, unsupported: tuple[str, ...] = ()) -> Callable[[str], ParsedVariable]:
    """Return a parser of one of the choices in any case; other words are ignored with a warning (E06).

    `unsupported` words are passed on: the setting's own check rejects them with a better message.
    """

    def parse(text: str) -> ParsedVariable:
        word = text.strip().lower()
        if word in choices or word in unsupported:
            return ParsedVariable(word)
        return ParsedVariable(warnings=(("is not a valid choice; it is ignored", f"write {' or '.join(choices)}"),))

    return parse


def authorization_variable(text: str) -> ParsedVariable:
    """Parse an Authorization header as copied from Last9's page, also with its name or with %20 for the space."""
    value = _AUTHORIZATION_NAME.sub("", text.strip(), count=1).replace("Basic%20", "Basic ", 1)
    return ParsedVariable({"authorization": value})


def _otlp_rule(option: str, path: SettingPath, parse: Callable[[str], ParsedVariable]) -> VariableRule:
    variables = (f"OTEL_EXPORTER_OTLP_METRICS_{option}", f"OTEL_EXPORTER_OTLP_{option}")
    return VariableRule(variables, ("otlp", *path), parse)


BELOW_FILE: tuple[VariableRule, ...] = (
    # Of Last9's collectors and charts; as aliases they are below the names of the standard.
    VariableRule(("LAST9_CLUSTER_NAME", "K8S_CLUSTER_NAME"), ("attributes", "k8s.cluster.name"), text_variable),
    VariableRule(
        ("LAST9_ENVIRONMENT", "DEPLOYMENT_ENVIRONMENT"), ("attributes", "deployment.environment"), text_variable
    ),
    VariableRule(("OTEL_RESOURCE_ATTRIBUTES",), ("attributes",), attributes_variable),
    VariableRule(("OTEL_SERVICE_NAME",), ("attributes", "service.name"), text_variable),
)
"""Rules that the file overrides, lowest precedence first (E14)."""

ABOVE_FILE: tuple[VariableRule, ...] = (
    # Last9's names are aliases, so the names of the standard override them.
    VariableRule(("LAST9_OTLP_ENDPOINT",), ("otlp", "endpoint"), text_variable),
    VariableRule(("LAST9_AUTH_HEADER",), ("otlp", "headers"), authorization_variable),
    # As Last9's Terraform provider has them.
    VariableRule(("LAST9_API_BASE_URL",), ("last9", "address"), text_variable),
    VariableRule(("LAST9_ORG",), ("last9", "organization"), text_variable),
    VariableRule(("LAST9_REFRESH_TOKEN",), ("last9", "refresh_token"), text_variable),
    VariableRule(("LAST9_DELETE_REFRESH_TOKEN",), ("last9", "delete_refresh_token"), text_variable),
    # The variable of the signal overrides the general one (E05), and gets no path (E02): two rules, not one.
    VariableRule(("OTEL_EXPORTER_OTLP_ENDPOINT",), ("otlp", "endpoint"), text_variable),
    VariableRule(("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",), ("otlp", "endpoint"), endpoint_variable),
    _otlp_rule("PROTOCOL", ("protocol",), choice_variable("http/protobuf", "grpc", unsupported=("http/json",))),
    _otlp_rule("HEADERS", ("headers",), headers_variable),
    _otlp_rule("TIMEOUT", ("timeout",), milliseconds_variable),
    _otlp_rule("COMPRESSION", ("compression",), choice_variable("gzip", "none")),
    _otlp_rule("INSECURE", ("insecure",), boolean_variable),
    _otlp_rule("CERTIFICATE", ("tls", "ca_file"), text_variable),
    _otlp_rule("CLIENT_KEY", ("tls", "key_file"), text_variable),
    _otlp_rule("CLIENT_CERTIFICATE", ("tls", "cert_file"), text_variable),
)
"""Rules that override the file, and that ROLLOUTS_EXPORTER_* overrides, lowest precedence first."""


def variable_name(path: SettingPath) -> str:
    """Return the exporter's own variable for a setting."""
    return PREFIX + "__".join(map(str, path)).upper()


PREFIXED: dict[str, SettingPath] = {variable_name(path): path for path, _ in iter_fields(Settings)}
"""The setting of each ROLLOUTS_EXPORTER_* variable; sections can be set as JSON."""
MAPPING_PREFIXES: dict[str, SettingPath] = {
    f"{variable_name(path)}__": path for path, field in iter_fields(Settings) if field.is_mapping
}
"""Prefixes of the variables for keys of a mapping: the remainder of the name is the key."""


def assignments(variables: Iterable[Variable], issues: IssueCollector) -> tuple[list[Assignment], list[Assignment]]:
    """Return the assignments that a file overrides, and those that override it, each lowest precedence first.

    An empty variable counts as unset (E05).
    """
    by_name = {variable.name: variable for variable in variables if variable.text.strip()}
    declared = _declared(by_name, issues)
    below_file = [*_apply_rules(BELOW_FILE, by_name, issues), *declared.below_file]
    above_file = [*_apply_rules(ABOVE_FILE, by_name, issues), *declared.above_file]
    return below_file, [*above_file, *_prefixed(by_name, issues)]


def _declared(by_name: dict[str, Variable], issues: IssueCollector) -> DeclaredSettings:
    """Return what the file of OTEL_CONFIG_FILE sets; remove the other OTEL_* variables, as the standard demands."""
    name = next((name for name in (OTEL_CONFIG_FILE, FORMER_NAME) if name in by_name), None)
    if name is None:
        return DeclaredSettings()
    texts = {each.name: each.text for each in by_name.values()}
    ignored = [other for other in by_name if other.startswith("OTEL_") and other not in {OTEL_CONFIG_FILE, FORMER_NAME}]
    variable = by_name.pop(name)
    for other in ignored:
        del by_name[other]
        issues.add_warning(
            other, f"is ignored, since {name} is set", f"set it in the file, which may have ${{{other}}}", OTEL_FILE
        )
    return read_otel_file(variable, texts, issues)


def _apply_rules(
    rules: Iterable[VariableRule], by_name: Mapping[str, Variable], issues: IssueCollector
) -> Iterator[Assignment]:
    for rule in rules:
        for variable in (by_name[name] for name in rule.variables if name in by_name):
            parsed = rule.parse(variable.text)
            for message, hint in parsed.errors:
                issues.add_error(variable.location, message, hint, rule.path)
            for message, hint in parsed.warnings:
                issues.add_warning(variable.location, message, hint)
            if parsed.value is not None:
                yield variable, rule.path, parsed.value
                break


def _prefixed(by_name: Mapping[str, Variable], issues: IssueCollector) -> Iterator[Assignment]:
    """Yield the assignments of ROLLOUTS_EXPORTER_* in any case; names of no setting are errors."""
    # Names match in any case: of two spellings of one name the last in this order wins.
    for name, variable in sorted(by_name.items()):
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE or _SERVICE_LINK.fullmatch(name):
            continue
        path = _prefixed_path(name)
        if path is not None:
            yield variable, path, variable.text
            continue
        hint = _unknown_variable_hint(name.upper())
        issues.add_errors(ConfigIssue(variable.location, "matches no setting", hint, "environment"))


def _unknown_variable_hint(name: str) -> str:
    replaced = replacements(tuple(name.removeprefix(PREFIX).lower().split("__")))
    if replaced:
        return f"set {' and '.join(variable_name(tuple(setting.split('.'))) for setting in replaced)} instead"
    match = closest_match(name.removeprefix(PREFIX), (item.removeprefix(PREFIX) for item in PREFIXED))
    return f"did you mean {PREFIX}{match}?" if match else "remove it; `rollouts-exporter config` lists the settings"


def _prefixed_path(name: str) -> SettingPath | None:
    """Return the setting of a prefixed variable, None if there is none."""
    upper = name.upper()
    mappings = ((*path, name[len(prefix) :]) for prefix, path in MAPPING_PREFIXES.items() if upper.startswith(prefix))
    return PREFIXED.get(upper) or next(mappings, None)
