"""The manifest itself: whether it is YAML, and whether its fields, their types and its metrics fit the CRD."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from exporter.gate.lint.checks.references import rollout_analyses
from exporter.gate.lint.findings import Issue, issue
from exporter.gate.lint.inputs import mapping
from exporter.gate.template import FieldType, crd_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.gate.lint.inputs import GateView, LintInput
    from exporter.gate.template import FieldSchema
    from exporter.yaml_nodes import Path

BASIC_AUTH: Final = "basicAuth"
SPEC_SCHEMA: Final = crd_schema()
_TYPES: Final[Mapping[FieldType, tuple[str, tuple[type, ...]]]] = {
    FieldType.TEXT: ("text", (str,)),
    FieldType.INT_OR_TEXT: ("a whole number", (int, str)),
    FieldType.INTEGER: ("a whole number", (int,)),
    FieldType.FLAG: ("true or false", (bool,)),
    FieldType.MAP: ("a map", (dict,)),
    FieldType.LIST: ("a list", (list,)),
}
"""The name in messages, and the types of a YAML value."""


def check_yaml(lint_input: LintInput) -> Iterator[Issue]:
    """Report text that is not YAML."""
    for item in lint_input.manifest_issues:
        if not item.is_duplicate_key:
            helm = "render it first: helm template … | rollouts-exporter gate lint -"
            hint = helm if "Helm" in item.reason else item.hint or "fix the syntax"
            reason = item.reason if item.hint else f"this is not YAML: {item.reason}"
            yield Issue(item.file, item.line, reason, hint)


def check_repeated_key(lint_input: LintInput) -> Iterator[Issue]:
    """Report keys that occur twice in a mapping."""
    for item in lint_input.manifest_issues:
        if item.is_duplicate_key:
            reason = f"{item.reason}; kubectl rejects that, other tools use the last one"
            yield Issue(item.file, item.line, reason, "keep one of them")


def check_no_metrics(lint_input: LintInput) -> Iterator[Issue]:
    """Report gates without metrics."""
    for gate in lint_input.gates:
        if not gate.metrics and not gate.document.get("spec", "templates"):
            reason = "there is no metric: the run ends in Error at once"
            yield gate.issue(("spec", "metrics"), reason, "add one to spec.metrics")


def check_provider(lint_input: LintInput) -> Iterator[Issue]:
    """Report metrics with no provider, or with several."""
    for metric in lint_input.metrics:
        provider = metric.raw("provider")
        names = [name for name, value in provider.items() if value is not None] if isinstance(provider, dict) else []
        if len(names) != 1:
            count = f"has {len(names)} providers ({', '.join(map(str, names))})" if names else "has no provider"
            reason = f"metric {metric.name} {count}: the run ends in Error before its first measurement"
            yield metric.issue(("provider",), reason, "set exactly one, such as prometheus")


def check_metric_name(lint_input: LintInput) -> Iterator[Issue]:
    """Report metric names that occur twice."""
    for gate in lint_input.gates:
        names: set[str] = set()
        for metric in gate.metrics:
            if metric.name in names:
                reason = (
                    f"two metrics have the name {metric.name}: every run ends in Error, and while this object exists"
                    " the controller's metrics page responds with status 500"
                )
                yield metric.issue(("name",), reason, "rename one of them")
            names.add(metric.name)


# Fields against the CRD


@dataclass(frozen=True, slots=True)
class FieldUse:
    """A field of a document; `schema` is None if the CRD has none of that name, `siblings` are those it has there."""

    gate: GateView
    path: Path
    value: object
    schema: FieldSchema | None
    siblings: Mapping[str, FieldSchema]

    @property
    def name(self) -> str:
        """Return the field's name."""
        return str(self.path[-1])

    def issue(self, reason: str, hint: str) -> Issue:
        """Return an issue with the field."""
        return self.gate.issue(self.path, reason, hint)


def check_basic_auth(lint_input: LintInput) -> Iterator[Issue]:
    """Report basicAuth where the controller does not have it: it is dropped, and the request has no credential."""
    for use in _early_fields(lint_input):
        if use.name == BASIC_AUTH:
            version = lint_input.context.controller.version
            yield use.issue(
                f"the Prometheus provider of {version} has no basicAuth, which only versions after 1.10 have",
                "use a header instead: key Authorization, value '{{args.NAME}}', from a Secret that contains 'Basic …'",
            )


def check_too_early(lint_input: LintInput) -> Iterator[Issue]:
    """Report fields that only a later controller has."""
    for use in _early_fields(lint_input):
        if use.name != BASIC_AUTH and use.schema:
            since = ".".join(map(str, use.schema.since))
            version = lint_input.context.controller.version
            reason = f"{use.name} exists since {since}; {version} rejects it, or drops it silently"
            yield use.issue(reason, f"remove it, or lint with --controller {since} if that is your version")


def check_unknown(lint_input: LintInput) -> Iterator[Issue]:
    """Report fields that no controller has."""
    yield from _misplaced_fields(lint_input)
    for use in _fields(lint_input):
        if use.schema is None:
            similar = get_close_matches(use.name, use.siblings, 1)
            yield use.issue(
                f"there is no field {use.name} here: {_DROPPED}",
                f"write {similar[0]}, if you meant that"
                if similar
                else f"use one of: {', '.join(sorted(use.siblings))}",
            )


OBJECT_FIELDS: Final = {"apiVersion", "kind", "metadata", "spec", "status"}
"""Fields of every Kubernetes object of these kinds."""
RUN_FIELDS: Final = {"terminate", "ttlStrategy"}
"""Fields of an AnalysisRun's spec that a template's does not have."""


def _misplaced_fields(lint_input: LintInput) -> Iterator[Issue]:
    """Yield the fields that belong elsewhere: beside spec, beside analysis, or in the spec of another kind."""
    for gate in lint_input.gates:
        for name in map(str, gate.document.content):
            if name not in OBJECT_FIELDS:
                hint = f"move it into spec: spec.{name}" if name in SPEC_SCHEMA else "remove it"
                yield gate.issue((name,), f"{name} is beside spec, where {_DROPPED}", hint)
        spec = mapping(gate.document.get("spec"))
        for name in ({"templates"} if gate.is_run else RUN_FIELDS) & spec.keys():
            yield gate.issue(("spec", name), f"the spec of {gate.document.kind} has no {name}: {_DROPPED}", "remove it")
    for analysis in rollout_analyses(lint_input):
        for name in SPEC_SCHEMA.keys() & mapping(analysis.rollout.get(*analysis.path[:-1])).keys():
            path: Path = (*analysis.path[:-1], name)
            yield issue(analysis.rollout, path, f"{name} is beside analysis, where {_DROPPED}", "move it into analysis")


_DROPPED: Final = "kubectl rejects it, or the API server drops it silently"


def check_wrong_type(lint_input: LintInput) -> Iterator[Issue]:
    """Report values of a type that the API server rejects."""
    for use in _fields(lint_input):
        if use.schema is None or use.value is None or use.name == "timeout" or _fits(use.value, use.schema.field_type):
            continue  # a rule of its own reports timeout
        expected, _ = _TYPES[use.schema.field_type]
        is_text = use.schema.field_type is FieldType.TEXT
        hint = f"write it in quotes{_example(use)}" if is_text else f"write {expected}"
        yield use.issue(f"{use.name} must be {expected}: the API server rejects the object", hint)


def _example(use: FieldUse) -> str:
    """Return a number in quotes as an example, nothing if it may be a credential."""
    is_shown = isinstance(use.value, int | float) and not {"headers", "authentication"} & set(use.path)
    return f': "{use.value}"' if is_shown else ""


def _fits(value: object, field_type: FieldType) -> bool:
    _, types = _TYPES[field_type]
    # A bool is an int in Python, but not in the CRD.
    return isinstance(value, types) and (field_type is FieldType.FLAG or not isinstance(value, bool))


def _early_fields(lint_input: LintInput) -> Iterator[FieldUse]:
    version = lint_input.context.controller.minor
    return (use for use in _fields(lint_input) if use.schema and use.schema.since > version)


def _fields(lint_input: LintInput) -> Iterator[FieldUse]:
    for gate in lint_input.gates:
        yield from _walk(gate, ("spec",), gate.document.get("spec"), SPEC_SCHEMA)


def _walk(gate: GateView, path: Path, value: object, fields: Mapping[str, FieldSchema]) -> Iterator[FieldUse]:
    """Yield the fields of a mapping, or of each mapping of a list, and those inside of them."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(gate, (*path, index), item, fields)
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        schema = fields.get(name)
        yield FieldUse(gate, (*path, str(name)), item, schema, fields)
        if schema and schema.fields is not None:
            yield from _walk(gate, (*path, str(name)), item, schema.fields)
