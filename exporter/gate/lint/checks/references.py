"""How Rollouts use gates: which templates they refer to, which arguments they pass, and what makes them InvalidSpec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exporter.gate.arguments import PLACEHOLDER
from exporter.gate.lint.checks.limits import limit_value
from exporter.gate.lint.findings import issue
from exporter.gate.lint.inputs import mapping, rows
from exporter.gate.template import ObjectKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.gate.kubernetes import KubernetesObject
    from exporter.gate.lint.findings import Issue
    from exporter.gate.lint.inputs import GateView, LintInput, MetricView
    from exporter.yaml_nodes import Path

ANALYSES: Final = (
    ("canary", "analysis"),
    ("blueGreen", "prePromotionAnalysis"),
    ("blueGreen", "postPromotionAnalysis"),
)
"""Where the strategy of a Rollout has an analysis, apart from its steps; that of canary runs in the background."""


@dataclass(frozen=True, slots=True)
class RolloutAnalysis:
    """An analysis of a Rollout: its path, whether the Rollout waits for it, and the canary's weight (None: unknown)."""

    rollout: KubernetesObject
    path: Path
    is_background: bool
    weight: float | None = None

    def rows(self, field: str) -> list[dict[str, Any]]:
        """Return its templates or arguments."""
        return rows(self.rollout.get(*self.path, field))

    def gates(self, lint_input: LintInput) -> Iterator[tuple[int, GateView]]:
        """Yield the gates of the input that it refers to, with the index of the reference.

        If several files have a template of the same name, those of the Rollout's own file are meant.
        """
        for index, row in enumerate(self.rows("templates")):
            candidates = [gate for gate in lint_input.gates if self._refers_to(row, gate.document)]
            same_file = [gate for gate in candidates if gate.document.file == self.rollout.file]
            yield from ((index, gate) for gate in same_file or candidates)

    def issue(self, path: Path, reason: str, hint: str) -> Issue:
        """Return an issue with a part of the analysis."""
        return issue(self.rollout, (*self.path, *path), reason, hint)

    def _refers_to(self, row: Mapping[str, Any], template: KubernetesObject) -> bool:
        kind = ObjectKind.CLUSTER_TEMPLATE if row.get("clusterScope") else ObjectKind.TEMPLATE
        # A manifest without a namespace can be applied to any.
        namespaces = {"", self.rollout.namespace}
        is_near = kind is ObjectKind.CLUSTER_TEMPLATE or template.namespace in namespaces or not self.rollout.namespace
        return template.kind == kind and template.name == row.get("templateName") and is_near


def rollout_analyses(lint_input: LintInput) -> Iterator[RolloutAnalysis]:
    """Yield every analysis of every Rollout."""
    for rollout in lint_input.of_kind("Rollout"):
        strategy: Path = ("spec", "strategy")
        for path in ANALYSES:
            if isinstance(rollout.get(*strategy, *path), dict):
                yield RolloutAnalysis(rollout, (*strategy, *path), is_background=path[0] == "canary")
        yield from _step_analyses(rollout, (*strategy, "canary", "steps"))


def _step_analyses(rollout: KubernetesObject, path: Path) -> Iterator[RolloutAnalysis]:
    weight: float | None = None
    for index, step in enumerate(rows(rollout.get(*path))):
        if isinstance(step.get("setWeight"), int):
            weight = max(0, min(step["setWeight"], 100)) / 100
        if isinstance(step.get("analysis"), dict):
            yield RolloutAnalysis(rollout, (*path, index, "analysis"), is_background=False, weight=weight)


def check_secret_in_rollout(lint_input: LintInput) -> Iterator[Issue]:
    """Report Secrets as a Rollout's argument: only a template's own argument can come from one."""
    for analysis in rollout_analyses(lint_input):
        for index, row in enumerate(analysis.rows("args")):
            if "secretKeyRef" in mapping(row.get("valueFrom")):
                yield analysis.issue(
                    ("args", index),
                    "a Rollout's argument cannot have a secretKeyRef: kubectl rejects the Rollout, or it is dropped",
                    "delete the argument here, and put valueFrom.secretKeyRef into spec.args of the template",
                )


def check_reference(lint_input: LintInput) -> Iterator[Issue]:
    """Report references to a template that is in the input, but in another namespace or scope."""
    for analysis in rollout_analyses(lint_input):
        resolved = {index for index, _ in analysis.gates(lint_input)}
        for index, row in enumerate(analysis.rows("templates")):
            name = row.get("templateName")
            same_name = [gate.document for gate in lint_input.gates if gate.document.name == name and not gate.is_run]
            if index not in resolved and same_name:
                reason, hint = _misplaced(same_name[0], analysis.rollout, cluster_scope=bool(row.get("clusterScope")))
                yield analysis.issue(("templates", index), f"{name} {reason}: the Rollout is InvalidSpec", hint)


def _misplaced(template: KubernetesObject, rollout: KubernetesObject, *, cluster_scope: bool) -> tuple[str, str]:
    if template.kind == ObjectKind.CLUSTER_TEMPLATE:
        return "is a ClusterAnalysisTemplate, but is referenced as an AnalysisTemplate", "add clusterScope: true"
    if cluster_scope:
        return "is an AnalysisTemplate, but is referenced as a ClusterAnalysisTemplate", "remove clusterScope"
    return (
        f"is in namespace {template.namespace}, and the Rollout in {rollout.namespace}",
        f"create the template in {rollout.namespace}, or as a ClusterAnalysisTemplate",
    )


def check_not_given(lint_input: LintInput) -> Iterator[Issue]:
    """Report arguments that neither the template nor the Rollout sets."""
    for analysis in rollout_analyses(lint_input):
        passed = {str(row.get("name")) for row in analysis.rows("args")}
        for index, gate in analysis.gates(lint_input):
            missing = [
                argument.name for argument in gate.arguments if not argument.is_set and argument.name not in passed
            ]
            if missing:
                yield analysis.issue(
                    ("templates", index),
                    f"{gate.document.name} needs the argument {', '.join(missing)}, which nothing sets: InvalidSpec",
                    f"add it to args here, or set its value in the template ({gate.document.file})",
                )


def check_not_wanted(lint_input: LintInput) -> Iterator[Issue]:
    """Report arguments that no template of the analysis has."""
    for analysis in rollout_analyses(lint_input):
        gates = list(analysis.gates(lint_input))
        if not gates or {index for index, _ in gates} != set(range(len(analysis.rows("templates")))):
            continue  # a template that is not in the input may have the argument
        names = {argument.name for _, gate in gates for argument in gate.arguments}
        for index, row in enumerate(analysis.rows("args")):
            if str(row.get("name")) not in names:
                reason = f"no template of this analysis has an argument {row.get('name')}: it is ignored"
                yield analysis.issue(("args", index), reason, f"use one of: {', '.join(sorted(names)) or 'none'}")


def check_endless(lint_input: LintInput) -> Iterator[Issue]:
    """Report gates without an end in a step, which waits for their end."""
    for analysis, metric in _awaited_metrics(lint_input):
        count = metric.raw("count")
        if metric.raw("interval") and (count is None or limit_value(metric, "count") == 0):
            reason = f"metric {metric.name} never ends, and Rollout {analysis.rollout.name} waits for it: InvalidSpec"
            hint = "add count, such as 5 (only a background analysis may run without a count)"
            yield metric.issue(("interval",) if count is None else ("count",), reason, hint)


def check_dummy_value(lint_input: LintInput) -> Iterator[Issue]:
    """Report a count from an argument without a value: a Rollout is validated with the text dummy-value, thus 0."""
    for analysis, metric in _awaited_metrics(lint_input):
        count = metric.text("count")
        if PLACEHOLDER.search(count) and metric.raw("interval"):
            yield metric.issue(
                ("count",),
                f"Rollout {analysis.rollout.name} is validated with the text dummy-value for {count}, which counts as"
                " endless: InvalidSpec",
                "set a value for the argument in the template; a Rollout can override it",
            )


def check_metric_clash(lint_input: LintInput) -> Iterator[Issue]:
    """Report two templates of one analysis that have a metric with the same name."""
    for analysis in rollout_analyses(lint_input):
        templates_by_metric: dict[str, str] = {}
        for index, gate in analysis.gates(lint_input):
            for metric in gate.metrics:
                other = templates_by_metric.setdefault(metric.name, gate.document.name)
                if other != gate.document.name:
                    reason = f"{other} and {gate.document.name} both have a metric {metric.name}: InvalidSpec"
                    yield analysis.issue(("templates", index), reason, "rename one of the metrics")


def check_namespace(lint_input: LintInput) -> Iterator[Issue]:
    """Report namespaced templates without a namespace."""
    for gate in lint_input.gates:
        if gate.document.kind == ObjectKind.TEMPLATE and not gate.document.namespace:
            yield gate.issue(
                ("metadata", "namespace") if gate.document.get("metadata") else ("metadata",),
                "without a namespace the template goes to kubectl's current one, but only the Rollout's own works",
                "add metadata.namespace: the namespace of the Rollout and of the Secret",
            )


def check_cluster_namespace(lint_input: LintInput) -> Iterator[Issue]:
    """Report cluster templates with a namespace."""
    for gate in lint_input.gates:
        if gate.document.kind == ObjectKind.CLUSTER_TEMPLATE and gate.document.namespace:
            reason = "a ClusterAnalysisTemplate has no namespace: this one is dropped"
            yield gate.issue(("metadata", "namespace"), reason, "remove it")


def _awaited_metrics(lint_input: LintInput) -> Iterator[tuple[RolloutAnalysis, MetricView]]:
    """Yield the metrics of the gates that a Rollout waits for, each gate once."""
    yielded: set[int] = set()
    for analysis in rollout_analyses(lint_input):
        for _, gate in analysis.gates(lint_input) if not analysis.is_background else ():
            if not gate.is_run and id(gate) not in yielded:
                yielded.add(id(gate))
                yield from ((analysis, metric) for metric in gate.metrics)
