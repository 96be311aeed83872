"""How Rollouts use gates: which templates they refer to, which arguments they pass, and what makes them InvalidSpec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exporter.gate.arguments import PLACEHOLDER
from exporter.gate.lint.checks.limits import REFUSED, RULE_FIELDS, limit_value, may_match
from exporter.gate.lint.findings import issue
from exporter.gate.lint.inputs import mapping, rows
from exporter.gate.template import ObjectKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
            gate = lint_input.template(row, self.rollout.namespace, self.rollout.file)
            if gate is not None:
                yield index, gate

    def all_gates(self, lint_input: LintInput) -> Iterator[tuple[int, GateView]]:
        """Yield the gates of the input that it refers to, and those that these refer to, each once."""
        yielded: set[int] = set()
        for index, gate in self.gates(lint_input):
            for part in (gate, *lint_input.nested_gates(gate)):
                if id(part) not in yielded:
                    yielded.add(id(part))
                    yield index, part

    def is_complete(self, lint_input: LintInput) -> bool:
        """Return whether all its templates, nested ones too, are in the input."""
        gates = list(self.all_gates(lint_input))
        return len(self.rows("templates")) == len({index for index, _ in self.gates(lint_input)}) and (
            lint_input.is_complete(gate for _, gate in gates)
        )

    def issue(self, path: Path, reason: str, hint: str) -> Issue:
        """Return an issue with a part of the analysis."""
        return issue(self.rollout, (*self.path, *path), reason, hint)


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
        # A value in one of the templates is enough.
        passed |= {item.name for _, gate in analysis.all_gates(lint_input) for item in gate.arguments if item.is_set}
        for index, gate in analysis.all_gates(lint_input):
            missing = [argument.name for argument in gate.arguments if argument.name not in passed]
            if missing:
                yield analysis.issue(
                    ("templates", index),
                    f"{gate.document.name} needs the argument {', '.join(missing)}, which nothing sets: InvalidSpec",
                    f"add it to args here, or set its value in the template ({gate.document.file})",
                )


def check_not_wanted(lint_input: LintInput) -> Iterator[Issue]:
    """Report arguments that no template of the analysis has."""
    for analysis in rollout_analyses(lint_input):
        gates = list(analysis.all_gates(lint_input))
        if not gates or not analysis.is_complete(lint_input):
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
        gates_by_metric: dict[str, GateView] = {}
        for index, gate in analysis.all_gates(lint_input):
            for metric in gate.metrics:
                other = gates_by_metric.setdefault(metric.name, gate)
                if other is not gate:
                    names = f"{other.document.name} and {gate.document.name}"
                    reason = f"{names} both have a metric {metric.name}: InvalidSpec"
                    yield analysis.issue(("templates", index), reason, "rename one of the metrics")


def template_groups(lint_input: LintInput) -> Iterator[tuple[GateView, ...]]:
    """Yield the templates that the controller merges: those of each analysis, and each template with nested ones."""
    for analysis in rollout_analyses(lint_input):
        yield tuple(gate for _, gate in analysis.all_gates(lint_input))
    for gate in lint_input.gates:
        nested = lint_input.nested_gates(gate)
        if nested:
            yield (gate, *nested)


def check_argument_conflict(lint_input: LintInput) -> Iterator[Issue]:
    """Report one argument with different values in templates that are merged, whatever value the Rollout passes."""
    for group in template_groups(lint_input):
        first: dict[str, tuple[GateView, str]] = {}
        for gate, argument in ((owner, argument) for owner in group for argument in owner.arguments):
            if argument.value is None:
                continue
            other, value = first.setdefault(argument.name, (gate, argument.value))
            if other is not gate and value != argument.value:
                reason = (
                    f"argument {argument.name} has another value in {other.document.name}, which is used in the same"
                    " analysis: the Rollout is InvalidSpec, whatever it passes"
                )
                hint = "give both the same value, or rename one of the arguments"
                yield gate.issue(("spec", "args", argument.index, "value"), reason, hint)


def check_rule_clash(lint_input: LintInput) -> Iterator[Issue]:
    """Report rules for metrics that occur in two templates of one analysis, or in a template and in the Rollout."""
    for analysis in rollout_analyses(lint_input):
        for field in RULE_FIELDS:
            owners: dict[str, str] = {}
            for index, gate in analysis.all_gates(lint_input):
                for rule in {row.get("metricName") for row in rows(gate.document.get("spec", field))}:
                    if isinstance(rule, str) and owners.setdefault(rule, gate.document.name) != gate.document.name:
                        names = f"{owners[rule]} and {gate.document.name}"
                        reason = f"{names} both have the {field} rule {rule!r}: InvalidSpec"
                        yield analysis.issue(("templates", index), reason, "remove one of the rules")
            yield from _own_rules(analysis, field, owners)


def _own_rules(analysis: RolloutAnalysis, field: str, owners: Mapping[str, str]) -> Iterator[Issue]:
    owners = dict(owners)
    for index, row in enumerate(analysis.rows(field)):
        rule = row.get("metricName")
        if isinstance(rule, str) and rule in owners:
            effect = "no run can be created" if analysis.is_background else "InvalidSpec"
            reason = f"{owners[rule]} has the {field} rule {rule!r}, too: {effect}"
            yield analysis.issue((field, index, "metricName"), reason, "remove one of the rules")
        owners[str(rule)] = f"Rollout {analysis.rollout.name}"


def check_matches_nothing(lint_input: LintInput) -> Iterator[Issue]:
    """Report dryRun and measurementRetention rules that match no metric name of the analyses that use the template."""
    groups = list(template_groups(lint_input))
    for gate in lint_input.gates:
        gates = [gate, *(part for group in groups if any(part is gate for part in group) for part in group)]
        if not lint_input.is_complete(gates):
            continue
        names = list(dict.fromkeys(metric.name for part in gates for metric in part.metrics))
        for field in RULE_FIELDS:
            for index, reason, hint in _rules_without_metric(rows(gate.document.get("spec", field)), names):
                yield gate.issue(("spec", field, index, "metricName"), reason, hint)


def check_rollout_rules(lint_input: LintInput) -> Iterator[Issue]:
    """Report dryRun and measurementRetention rules of a Rollout that match no metric of its templates."""
    for analysis in rollout_analyses(lint_input):
        if not analysis.is_complete(lint_input):
            continue
        names = [metric.name for _, gate in analysis.all_gates(lint_input) for metric in gate.metrics]
        for field in RULE_FIELDS:
            for index, reason, hint in _rules_without_metric(analysis.rows(field), names):
                yield analysis.issue((field, index, "metricName"), f"{reason}, and the rollout is aborted", hint)


def _rules_without_metric(rules: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yield index, reason and hint of each dryRun or measurementRetention rule that matches no metric name."""
    for index, row in enumerate(rules):
        rule = row.get("metricName")
        if isinstance(rule, str) and not any(may_match(rule, name) for name in names):
            hint = f"use one of the names: {', '.join(names) or 'none'}"
            yield index, f"no metric name matches {rule!r}: {REFUSED}", hint


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
