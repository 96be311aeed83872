"""Kubernetes YAML → the template to run: its templates and Secrets, the selected template, and its complete spec."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from exporter.gate.arguments import merge_args
from exporter.gate.kubernetes import KubernetesObject, ManifestFile, parse_manifest
from exporter.gate.template import (
    AnalysisSpec,
    AnalysisTemplate,
    Argument,
    DryRunRule,
    ObjectKind,
    RetentionRule,
    SpecNode,
    TemplateError,
    read_template,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


R = TypeVar("R", DryRunRule, RetentionRule)


@dataclass(frozen=True, slots=True)
class GateObjects:
    """The templates of a file, and the values of its Secrets by name and key."""

    templates: tuple[AnalysisTemplate, ...]
    secrets: Mapping[tuple[str, str], str] = field(default_factory=dict, repr=False)


def read_objects(text: str) -> GateObjects:
    """Read templates, runs and Secrets from YAML documents; other kinds are skipped. Raises TemplateError."""
    objects: list[KubernetesObject] = []
    for item in parse_manifest(ManifestFile("", text)):
        if isinstance(item, KubernetesObject):
            objects.append(item)
        elif item.hint:
            raise TemplateError(f"line {item.line}: {item.reason}; {item.hint}")
        elif not item.is_duplicate_key:  # `gate lint` reports those; here the last one applies
            raise TemplateError(f"it is not YAML: line {item.line}: {item.reason}")
    kinds = set(ObjectKind)
    templates = tuple(read_template(item.content) for item in objects if item.kind in kinds)
    secrets = {key: value for item in objects if item.kind == "Secret" for key, value in _secret_values(item)}
    return GateObjects(templates, secrets)


def _secret_values(secret: KubernetesObject) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the values of a Secret: `data` is base64, `stringData` is not and takes precedence."""
    node = SpecNode(secret.content, "")
    name = node["metadata"]["name"].text()
    for key in node["data"].map_keys():
        try:
            # Line breaks within base64 are ignored, as Go does.
            yield (name, key), base64.b64decode(node["data"][key].text(), validate=False).decode()
        except ValueError:
            raise node["data"][key].error("base64 of text") from None
    for key in node["stringData"].map_keys():
        yield (name, key), node["stringData"][key].text()


def select(templates: Sequence[AnalysisTemplate], name: str | None) -> AnalysisTemplate:
    """Return the template of a name, without one the only template that no other refers to. Raises TemplateError."""
    if name is not None:
        candidates = [template for template in templates if template.name == name]
    else:
        referenced = {reference.template_name for template in templates for reference in template.spec.templates}
        candidates = [template for template in templates if template.name not in referenced]
    if len(candidates) == 1:
        return candidates[0]
    if not templates:
        kinds = ", ".join(ObjectKind)
        raise TemplateError(f"the file contains no {kinds.replace(', AnalysisRun', ' or AnalysisRun')}")
    names = ", ".join(template.name or "(without a name)" for template in templates)
    raise TemplateError(f"select one of the file's templates with --template: {names}")


def resolve_spec(
    template: AnalysisTemplate, templates: Sequence[AnalysisTemplate], values: Mapping[str, str]
) -> AnalysisSpec:
    """Return a template's spec with those it refers to and the values of arguments, as a Rollout's controller merges.

    Raises TemplateError for a reference to a template that the file does not contain and for specs that cannot be
    merged, ResolutionError for arguments.
    """
    specs = list(_referenced_specs(template, templates, set()))
    return replace(
        template.spec,
        metrics=tuple(metric for spec in specs for metric in spec.metrics),
        # A run without a value ends in Error: the plan reports that in the controller's words.
        args=merge_args(_all_arguments(specs), values, require_values=template.kind is not ObjectKind.RUN),
        dry_run=_distinct([rule for spec in specs for rule in spec.dry_run], "Dry-Run", template.kind),
        retention=_distinct(
            [rule for spec in specs for rule in spec.retention], "Measurement Retention", template.kind
        ),
        templates=(),
    )


def _referenced_specs(
    template: AnalysisTemplate, templates: Sequence[AnalysisTemplate], visited: set[tuple[ObjectKind, str]]
) -> Iterator[AnalysisSpec]:
    """Yield a spec and those it refers to, each once."""
    if (template.kind, template.name) in visited:
        return
    visited.add((template.kind, template.name))
    yield template.spec
    for reference in template.spec.templates:
        kind = ObjectKind.CLUSTER_TEMPLATE if reference.cluster_scope else ObjectKind.TEMPLATE
        name = reference.template_name
        target = next((item for item in templates if item.kind is kind and item.name == name), None)
        if target is None:
            raise TemplateError(f"the file contains no {kind} {name}, to which {template.name} refers")
        yield from _referenced_specs(target, templates, visited)


def _all_arguments(specs: Sequence[AnalysisSpec]) -> tuple[Argument, ...]:
    arguments: dict[str, Argument] = {}
    for argument in (argument for spec in specs for argument in spec.args):
        previous = arguments.get(argument.name)
        values = {item.value for item in (previous, argument) if item is not None and item.value is not None}
        if len(values) > 1:
            # Without the values: one may be a credential.
            raise TemplateError(f"Argument `{argument.name}` specified multiple times with different values")
        if previous is None or previous.value is None:  # a value in one template is enough
            arguments[argument.name] = argument
    return tuple(arguments.values())


def _distinct(rules: Sequence[R], what: str, kind: ObjectKind) -> tuple[R, ...]:
    """Return rules, of which only those of templates are checked: they are when the controller merges them."""
    names: set[str] = set()
    for rule in rules if kind is not ObjectKind.RUN else ():
        if rule.metric_name in names:
            raise TemplateError(f"two {what} metric rules have the same name '{rule.metric_name}'")
        names.add(rule.metric_name)
    return tuple(rules)
