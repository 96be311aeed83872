"""Conditions that are absent, that do not compile, or whose phase for some value is a mistake.

The phases are computed, not read from the text: the conditions are evaluated around every threshold, for NaN and for an
empty result (`exporter.gate.lint.probe`).
"""

from __future__ import annotations

import math
import re
from itertools import product
from typing import TYPE_CHECKING, Final

from exporter.gate import promql
from exporter.gate.analysis_run import AnalysisPhase
from exporter.gate.lint.checks.references import rollout_analyses
from exporter.gate.lint.probe import FAILURE, QUERY, RANGE_QUERY, SUCCESS, parse_query, probes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.findings import Issue
    from exporter.gate.lint.inputs import LintInput, MetricView
    from exporter.gate.lint.probe import ConditionProbe

MAX_PAIRED_VALUES: Final = 8
"""Values of which every pair is evaluated."""
_CANARY_LABEL: Final = re.compile(r"canary|hash|role|revision|track|version|variant|subset|pod", re.IGNORECASE)
"""Words of labels and arguments by which queries usually select the canary's pods."""


def check_missing(lint_input: LintInput) -> Iterator[Issue]:
    """Report Prometheus metrics without a condition."""
    for metric in lint_input.prometheus_metrics:
        if not metric.text(SUCCESS) and not metric.text(FAILURE):
            reason = f"metric {metric.name} has no condition: every result is Successful"
            yield metric.issue((), reason, "add a successCondition, such as: len(result) > 0 && result[0] < 0.05")


def check_malformed(lint_input: LintInput) -> Iterator[Issue]:
    """Report conditions with which every measurement is an Error."""
    for probe in probes(lint_input):
        for name in probe.texts:
            error = probe.error(name)
            if error and not probe.is_unsupported:
                kind = "a number" if probe.is_scalar else "a list of numbers"
                reason = f"every measurement is an Error: {error} (result is {kind} here, {probe.engine})"
                hint = "write result < 0.05" if probe.is_scalar else "write len(result) > 0 && result[0] < 0.05"
                yield probe.metric.issue((name,), reason, hint)


def check_unsupported(lint_input: LintInput) -> Iterator[Issue]:
    """Report conditions that may be valid, but that this program cannot evaluate."""
    for probe in probes(lint_input):
        for name in probe.texts:
            if probe.is_unsupported and probe.error(name):
                reason = f"the linter cannot evaluate this condition: {probe.error(name)}"
                hint = "test it on the controller, then allow it: # gate-lint: allow condition-unknown"
                yield probe.metric.issue((name,), reason, hint)


def check_empty(lint_input: LintInput) -> Iterator[Issue]:
    """Report conditions that fail if the query returns nothing, as it may."""
    for probe in _evaluable(lint_input):
        query = parse_query(probe.metric)
        if probe.is_scalar or (query and not promql.may_be_empty(query.expression)):
            continue
        if probe.phase() is AnalysisPhase.ERROR:
            reason = "an empty result (no traffic, no such series) is an Error, and five in a row abort the rollout"
            hint = "decide what no data means: len(result) > 0 && … (not good), or len(result) == 0 || … (good)"
            yield probe.metric.issue((probe.first_field,), reason, hint)


def check_nan_passes(lint_input: LintInput) -> Iterator[Issue]:
    """Report conditions for which NaN is a success."""
    for probe in _with_nan(lint_input):
        if probe.phase(math.nan) is AnalysisPhase.SUCCESSFUL:
            yield probe.metric.issue(
                (probe.first_field,),
                "NaN (0/0: no traffic) is Successful: a comparison with NaN is never true",
                "decide what NaN means: isNaN(result[0]) || … in failureCondition (bad), !isNaN(result[0]) && …"
                " (not bad)",
            )


def check_nan_undecided(lint_input: LintInput) -> Iterator[Issue]:
    """Report conditions of which neither is true for NaN."""
    for probe in _with_nan(lint_input):
        if probe.phase(math.nan) is AnalysisPhase.INCONCLUSIVE:
            reason = "NaN (0/0: no traffic) makes neither condition true: Inconclusive, which pauses the rollout"
            hint = "decide what NaN means: !isNaN(result[0]) && … (pause), or isNaN(result[0]) || … in a condition"
            yield probe.metric.issue((SUCCESS,), reason, hint)


def check_overlap(lint_input: LintInput) -> Iterator[Issue]:
    """Report values for which both conditions are true."""
    for probe in _decidable(lint_input):
        values = [value for value in probe.probe_values if probe.is_both(value)]
        if values:
            reason = f"{_format(values)} is both success and failure: failure takes precedence"
            yield probe.metric.issue((FAILURE,), reason, "change a threshold so that no value meets both conditions")


def check_gap(lint_input: LintInput) -> Iterator[Issue]:
    """Report values for which neither condition is true, unless inconclusiveLimit shows that this is intended."""
    for probe in _decidable(lint_input):
        values = [value for value in probe.probe_values if probe.phase(value) is AnalysisPhase.INCONCLUSIVE]
        if values and probe.metric.raw("inconclusiveLimit") is None:
            yield probe.metric.issue(
                (FAILURE,),
                f"{_format(values)} is neither success nor failure: Inconclusive, and the first such measurement pauses"
                " the rollout until someone intervenes",
                "close the gap between the conditions, or set inconclusiveLimit if the pause is intended",
            )


def check_constant(lint_input: LintInput) -> Iterator[Issue]:
    """Report conditions that have the same phase for every value."""
    for probe in _decidable(lint_input):
        phases = {probe.phase(value) for value in probe.probe_values}
        if len(phases) == 1 and AnalysisPhase.ERROR not in phases:
            reason = f"every value is {phases.pop()}: the gate decides nothing"
            hint = "compare result[0] with a threshold that it can reach"
            yield probe.metric.issue((probe.first_field,), reason, hint)


def check_several_series(lint_input: LintInput) -> Iterator[Issue]:
    """Report queries that may return several series if the conditions use only the first."""
    for probe in _evaluable(lint_input):
        query = parse_query(probe.metric)
        if query is None or query.has_unknown_name or probe.is_scalar:
            continue
        if promql.single_series_labels(query.expression) is not None or probe.metric.raw(*RANGE_QUERY) is not None:
            continue
        if _uses_first_value_only(probe):
            reason = "the query may return several series in any order, and the conditions evaluate only the first"
            hint = "aggregate: sum(…), max(…); or evaluate all: all(result, {# < 0.05})"
            yield probe.metric.issue(QUERY, reason, hint)


def check_diluted(lint_input: LintInput) -> Iterator[Issue]:
    """Report shares of all traffic that stay below the threshold even if every request to the canary fails."""
    probes_by_metric = {id(probe.metric): probe for probe in _evaluable(lint_input)}
    reported: set[int] = set()
    for analysis in rollout_analyses(lint_input):
        for metric in (metric for _, gate in analysis.gates(lint_input) for metric in gate.metrics):
            probe = probes_by_metric.get(id(metric))
            if not probe or not analysis.weight or id(metric) in reported:
                continue
            if _hides_failing_canary(probe, analysis.weight):
                reported.add(id(metric))
                yield metric.issue(
                    QUERY,
                    f"at setWeight {analysis.weight * 100:g} of Rollout {analysis.rollout.name} a canary that fails"
                    f" every request raises the share of failures in all traffic to {analysis.weight:g}, which is not"
                    " above the threshold",
                    'select the canary alone, such as pod=~".+-{{args.canary-hash}}-.+", or lower the threshold',
                )


def _hides_failing_canary(probe: ConditionProbe, weight: float) -> bool:
    query = parse_query(probe.metric)
    if not query or query.has_unknown_name or not promql.is_share(query.expression):
        return False
    if _seems_to_select_canary(probe.metric):
        return False
    just_below = weight * 0.99  # a threshold equal to the weight is not reached for certain
    return probe.phase(1.0) is AnalysisPhase.FAILED and probe.phase(just_below) is not AnalysisPhase.FAILED


def _seems_to_select_canary(metric: MetricView) -> bool:
    return bool(_CANARY_LABEL.search(str(metric.raw(*QUERY))))


def _uses_first_value_only(probe: ConditionProbe) -> bool:
    """Return whether a second value never changes the phase."""
    values = probe.probe_values[:: 1 + len(probe.probe_values) // MAX_PAIRED_VALUES]
    return all(probe.phase(first, second) is probe.phase(first) for first, second in product(values, repeat=2))


def _evaluable(lint_input: LintInput) -> Iterator[ConditionProbe]:
    return (probe for probe in probes(lint_input) if probe.is_evaluable)


def _decidable(lint_input: LintInput) -> Iterator[ConditionProbe]:
    """Yield the probes whose thresholds are known, or are all the same argument."""
    # Of two unknown thresholds it is not known which one is larger.
    return (probe for probe in _evaluable(lint_input) if len(probe.unknown_arguments) <= 1)


def _with_nan(lint_input: LintInput) -> Iterator[ConditionProbe]:
    """Yield the probes whose query may return NaN, and whose conditions do not test for it."""
    for probe in _evaluable(lint_input):
        query = parse_query(probe.metric)
        if query and promql.may_be_nan(query.expression) and "isNaN" not in "".join(probe.texts.values()):
            yield probe


def _format(values: list[float]) -> str:
    """Return the middle one of several values as an example."""
    return f"{values[len(values) // 2]:.6g}"
