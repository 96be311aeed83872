"""Which template of a file is meant, with the templates it refers to added, as a Rollout's controller adds them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.gate.arguments import merged
from exporter.gate.load import TemplateError
from exporter.gate.template import Argument, Kind, Spec, Template

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def chosen(templates: Sequence[Template], name: str | None) -> Template:
    """Return the template that is named, or the only one that no other refers to. Raises TemplateError."""
    if name is not None:
        found = [one for one in templates if one.name == name]
    else:
        referred = {reference.template_name for one in templates for reference in one.spec.templates}
        found = [one for one in templates if one.name not in referred]
    if len(found) == 1:
        return found[0]
    if not templates:
        kinds = ", ".join(Kind)
        raise TemplateError(f"the file holds no {kinds.replace(', AnalysisRun', ' or AnalysisRun')}")
    known = ", ".join(one.name or "(without a name)" for one in templates)
    raise TemplateError(f"name one of the file's templates with --template: {known}")


def whole(template: Template, templates: Sequence[Template], given: Mapping[str, str]) -> Spec:
    """Return a template's spec with those it refers to, and the arguments that are given.

    Raises TemplateError for a reference to what the file does not hold, and for what cannot be added; and
    ResolutionError for arguments.
    """
    parts = list(_parts(template, templates, ()))
    return replace(
        template.spec,
        metrics=tuple(metric for part in parts for metric in part.metrics),
        args=merged(_arguments(parts), given, whole=template.kind is not Kind.RUN),
        dry_run=_unlike((rule for part in parts for rule in part.dry_run), "Dry-Run"),
        retention=tuple(rule for part in parts for rule in part.retention),
        templates=(),
    )


def _parts(template: Template, templates: Sequence[Template], above: tuple[str, ...]) -> Iterable[Spec]:
    """Yield a spec and those it refers to, each template once."""
    if template.name in above:
        return
    yield template.spec
    for reference in template.spec.templates:
        kind = Kind.CLUSTER if reference.cluster_scope else Kind.TEMPLATE
        found = [one for one in templates if one.kind is kind and one.name == reference.template_name]
        if not found:
            raise TemplateError(f"the file holds no {kind} {reference.template_name}, to which {template.name} refers")
        yield from _parts(found[0], templates, (*above, template.name))


def _arguments(parts: Sequence[Spec]) -> tuple[Argument, ...]:
    found: dict[str, Argument] = {}
    for one in (argument for part in parts for argument in part.args):
        known = found.get(one.name)
        if known is not None and known.value is not None and one.value is not None and known.value != one.value:
            raise TemplateError(f"argument {one.name} is given different values by two templates")
        if known is None or known.value is None:
            found[one.name] = one
    return tuple(found.values())


def _unlike(rules: Iterable[str], what: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for rule in rules:
        if rule in found:
            raise TemplateError(f"two {what} metric rules have the same name '{rule}'")
        found[rule] = None
    return tuple(found)
