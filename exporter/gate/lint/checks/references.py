"""What Rollouts make of gates: where they look, what they give, and when they are refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exporter.gate.lint.checks.limits import number
from exporter.gate.lint.inputs import RUN, Gate, mapping, rows
from exporter.gate.placeholders import TAG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.gate.lint.finding import Spot
    from exporter.gate.lint.inputs import Gates, Metric
    from exporter.gate.lint.manifest import Document, Path

CLUSTER: Final = "ClusterAnalysisTemplate"
NAMESPACED: Final = "AnalysisTemplate"


@dataclass(frozen=True, slots=True)
class Use:
    """An analysis of a Rollout: its place, its kind, and the canary's weight when it begins (None: not known)."""

    rollout: Document
    path: Path
    background: bool
    weight: float | None = None

    def rows(self, field: str) -> list[dict[str, Any]]:
        """Return its templates or arguments."""
        return rows(self.rollout.at(*self.path, field))

    def gates(self, gates: Gates) -> Iterator[tuple[int, Gate]]:
        """Return the templates it uses that are here, each with its place in the list; of several, those beside it."""
        for index, row in enumerate(self.rows("templates")):
            meant = [gate for gate in gates.gates if self._means(row, gate.document)]
            beside = [gate for gate in meant if gate.document.source == self.rollout.source]
            yield from ((index, gate) for gate in beside or meant)

    def _means(self, row: Mapping[str, Any], template: Document) -> bool:
        kind = CLUSTER if row.get("clusterScope") else NAMESPACED
        near = kind == CLUSTER or template.namespace in {"", self.rollout.namespace} or not self.rollout.namespace
        return template.kind == kind and template.name == row.get("templateName") and near


def uses(gates: Gates) -> Iterator[Use]:
    """Return every analysis of every Rollout."""
    for rollout in gates.of("Rollout"):
        strategy: Path = ("spec", "strategy")
        for path in (
            ("canary", "analysis"),
            ("blueGreen", "prePromotionAnalysis"),
            ("blueGreen", "postPromotionAnalysis"),
        ):
            if isinstance(rollout.at(*strategy, *path), dict):
                yield Use(rollout, (*strategy, *path), background=path[0] == "canary")
        yield from _steps(rollout, (*strategy, "canary", "steps"))


def _steps(rollout: Document, path: Path) -> Iterator[Use]:
    weight: float | None = None
    for index, step in enumerate(rows(rollout.at(*path))):
        if isinstance(step.get("setWeight"), int):
            weight = step["setWeight"] / 100
        if isinstance(step.get("analysis"), dict):
            yield Use(rollout, (*path, index, "analysis"), background=False, weight=weight)


def secret_in_rollout(gates: Gates) -> Iterator[Spot]:
    """Find Secrets given as a Rollout's argument: only a template's own argument can be read from one."""
    for use in uses(gates):
        for index, row in enumerate(use.rows("args")):
            if "secretKeyRef" in mapping(row.get("valueFrom")):
                yield use.rollout.spot(
                    (*use.path, "args", index),
                    "a Rollout's argument has no secretKeyRef: kubectl refuses the Rollout, or it is dropped",
                    "delete the argument here; put valueFrom.secretKeyRef into spec.args of the template",
                )


def wrong_place(gates: Gates) -> Iterator[Spot]:
    """Find references to a template that is here, but of another namespace or scope."""
    for use in uses(gates):
        found = {index for index, _ in use.gates(gates)}
        for index, row in enumerate(use.rows("templates")):
            alike = [
                one.document for one in gates.gates if one.document.name == row.get("templateName") and not one.is_run
            ]
            if index not in found and alike:
                where, cure = _elsewhere(alike[0], use, scoped=bool(row.get("clusterScope")))
                yield use.rollout.spot((*use.path, "templates", index), f"{row['templateName']} is {where}", cure)


def _elsewhere(template: Document, use: Use, *, scoped: bool) -> tuple[str, str]:
    if template.kind == CLUSTER:
        return (
            "a ClusterAnalysisTemplate, and is looked for in the namespace: the Rollout is InvalidSpec",
            "add clusterScope: true",
        )
    if scoped:
        return (
            "an AnalysisTemplate, and is looked for in the cluster: the Rollout is InvalidSpec",
            "leave clusterScope out",
        )
    return (
        f"in namespace {template.namespace}, the Rollout in {use.rollout.namespace}: the Rollout is InvalidSpec",
        f"make the template in {use.rollout.namespace}, or a ClusterAnalysisTemplate of it",
    )


def not_given(gates: Gates) -> Iterator[Spot]:
    """Find arguments that have no value in the template and get none from the Rollout."""
    for use in uses(gates):
        given = {str(row.get("name")) for row in use.rows("args")}
        for index, gate in use.gates(gates):
            lacking = [one.name for one in gate.arguments if not one.given and one.name not in given]
            if lacking:
                yield use.rollout.spot(
                    (*use.path, "templates", index),
                    f"{gate.document.name} wants the argument {', '.join(lacking)}, and gets none: InvalidSpec",
                    f"add it to args here, or a value to the template's own ({gate.document.source})",
                )


def not_wanted(gates: Gates) -> Iterator[Spot]:
    """Find arguments that no template of the analysis has; they are ignored in silence."""
    for use in uses(gates):
        used = list(use.gates(gates))
        if {index for index, _ in used} != set(range(len(use.rows("templates")))) or not used:
            continue
        wanted = {argument.name for _, gate in used for argument in gate.arguments}
        for index, row in enumerate(use.rows("args")):
            if str(row.get("name")) not in wanted:
                why = f"no template here has an argument {row.get('name')}: it is ignored"
                yield use.rollout.spot(
                    (*use.path, "args", index), why, f"there are: {', '.join(sorted(wanted)) or 'none'}"
                )


def endless(gates: Gates) -> Iterator[Spot]:
    """Find gates without an end in a step, which waits for their end."""
    for use, metric in _awaited(gates):
        count = metric.raw("count")
        if metric.raw("interval") and (count is None or number(metric, "count") == 0):
            yield metric.spot(
                ("interval",) if count is None else ("count",),
                f"metric {metric.name} has no end, and Rollout {use.rollout.name} waits for it in a step: InvalidSpec",
                "add count, such as 5 (without a count it is for background analysis)",
            )


def dummy(gates: Gates) -> Iterator[Spot]:
    """Find a count given by an argument without a value: a Rollout is validated with the text dummy-value, thus 0."""
    for use, metric in _awaited(gates):
        count = metric.text("count")
        if TAG.search(count) and metric.raw("interval"):
            yield metric.spot(
                ("count",),
                f"Rollout {use.rollout.name} is validated with 'dummy-value' for {count}, which is no end: InvalidSpec",
                "give the argument a value in the template, which a Rollout may override",
            )


def clash(gates: Gates) -> Iterator[Spot]:
    """Find two templates of one analysis with a metric of one name."""
    for use in uses(gates):
        seen: dict[str, str] = {}
        for index, gate in use.gates(gates):
            for metric in gate.metrics:
                before = seen.setdefault(metric.name, gate.document.name)
                if before != gate.document.name:
                    yield use.rollout.spot(
                        (*use.path, "templates", index),
                        f"{before} and {gate.document.name} both have a metric {metric.name}: InvalidSpec",
                        "rename one of the metrics",
                    )


def namespace(gates: Gates) -> Iterator[Spot]:
    """Find namespaced templates that do not say where."""
    for gate in gates.gates:
        if gate.document.kind == NAMESPACED and not gate.document.namespace:
            yield gate.document.spot(
                ("metadata", "namespace") if gate.document.at("metadata") else ("metadata",),
                "the template goes to whichever namespace kubectl is set to, and works in the Rollout's alone",
                "add metadata.namespace: that of the Rollout, and of the Secret",
            )


def cluster_namespace(gates: Gates) -> Iterator[Spot]:
    """Find cluster templates in a namespace: it is dropped."""
    for gate in gates.gates:
        if gate.document.kind == CLUSTER and gate.document.namespace:
            yield gate.document.spot(
                ("metadata", "namespace"),
                "a ClusterAnalysisTemplate is in no namespace: this one is dropped",
                "leave it out",
            )


def _awaited(gates: Gates) -> Iterator[tuple[Use, Metric]]:
    """Return the metrics whose end a Rollout waits for, each once."""
    told: set[int] = set()
    for use in uses(gates):
        for _, gate in use.gates(gates) if not use.background else ():
            if gate.document.kind != RUN and id(gate) not in told:
                told.add(id(gate))
                yield from ((use, metric) for metric in gate.metrics)
