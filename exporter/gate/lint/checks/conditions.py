"""Conditions that are absent, that do not compile, or whose phase for some value is a mistake.

The phases are computed, not read from the text: the conditions are evaluated around every threshold, for NaN and for an
empty result (`exporter.gate.lint.condition_tester`).
"""

from __future__ import annotations

import math
import re
from itertools import product
from typing import TYPE_CHECKING, Final

from exporter.gate import promql
from exporter.gate.analysis_run import AnalysisPhase
from exporter.gate.lint.checks.references import rollout_analyses
from exporter.gate.lint.condition_tester import FAILURE, QUERY, RANGE_QUERY, SUCCESS, condition_testers, parse_query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.condition_tester import ConditionTester
    from exporter.gate.lint.findings import Issue
    from exporter.gate.lint.inputs import LintInput, MetricView

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
    for tester in condition_testers(lint_input):
        for name in tester.texts:
            error = tester.error(name)
            if error and not tester.is_unsupported:
                kind = "a number" if tester.is_scalar else "a list of numbers"
                reason = f"every measurement is an Error: {error} (result is {kind} here, {tester.engine})"
                hint = "write result < 0.05" if tester.is_scalar else "write len(result) > 0 && result[0] < 0.05"
                yield tester.metric.issue((name,), reason, hint)


def check_unsupported(lint_input: LintInput) -> Iterator[Issue]:
    """Report conditions that may be valid, but that this program cannot evaluate."""
    for tester in condition_testers(lint_input):
        for name in tester.texts:
            if tester.is_unsupported and tester.error(name):
                reason = f"the linter cannot evaluate this condition: {tester.error(name)}"
                hint = "test it on the controller, then allow it: # gate-lint: allow condition-unknown"
                yield tester.metric.issue((name,), reason, hint)


def check_empty(lint_input: LintInput) -> Iterator[Issue]:
    """Report conditions that fail if the query returns nothing, as it may."""
    for tester in _evaluable(lint_input):
        query = parse_query(tester.metric)
        if tester.is_scalar or (query and not query.may_be_empty):
            continue
        if tester.phase() is AnalysisPhase.ERROR:
            reason = "an empty result (no traffic, no such series) is an Error, and five in a row abort the rollout"
            hint = "decide what no data means: len(result) > 0 && … (not good), or len(result) == 0 || … (good)"
            yield tester.metric.issue((tester.first_field,), reason, hint)


def check_vacuous(lint_input: LintInput) -> Iterator[Issue]:
    """Report conditions that an empty result meets although they do not mention it: all() of nothing is true."""
    for tester in _evaluable(lint_input):
        query = parse_query(tester.metric)
        text = " ".join(tester.texts.values())
        if tester.is_scalar or (query and not query.may_be_empty) or _MENTIONS_EMPTY.search(text):
            continue
        if "result" in text and tester.phase() is AnalysisPhase.SUCCESSFUL:
            guard = "len(result) > 0 && …" if tester.first_field == SUCCESS else "len(result) == 0 || …"
            yield tester.metric.issue(
                (tester.first_field,),
                "an empty result (no traffic, no such series) is Successful: all() and none() of nothing are true,"
                " any() is false",
                f"decide what no data means: {guard} (not good); or the opposite, if no data is good",
            )


_MENTIONS_EMPTY: Final = re.compile(r"\blen\s*\(|\bisNil\s*\(|\bdefault\s*\(|\bresult\s*[!=]=\s*(?:\[|nil)")
"""How a condition decides what an empty result means."""


def check_nan_passes(lint_input: LintInput) -> Iterator[Issue]:
    """Report conditions for which NaN is a success."""
    for tester in _with_nan(lint_input):
        if tester.phase(math.nan) is AnalysisPhase.SUCCESSFUL:
            yield tester.metric.issue(
                (tester.first_field,),
                "NaN (0/0: no traffic) is Successful: a comparison with NaN is never true",
                "decide what NaN means: isNaN(result[0]) || … in failureCondition (bad), !isNaN(result[0]) && …"
                " (not bad)",
            )


def check_nan_undecided(lint_input: LintInput) -> Iterator[Issue]:
    """Report conditions of which neither is true for NaN."""
    for tester in _with_nan(lint_input):
        if tester.phase(math.nan) is AnalysisPhase.INCONCLUSIVE:
            reason = "NaN (0/0: no traffic) makes neither condition true: Inconclusive, which pauses the rollout"
            hint = "decide what NaN means: !isNaN(result[0]) && … (pause), or isNaN(result[0]) || … in a condition"
            yield tester.metric.issue((SUCCESS,), reason, hint)


def check_overlap(lint_input: LintInput) -> Iterator[Issue]:
    """Report values for which both conditions are true."""
    for tester in _decidable(lint_input):
        values = [value for value in tester.test_values if tester.is_both(value)]
        if values:
            reason = f"{_format(values)} is both success and failure: failure takes precedence"
            yield tester.metric.issue((FAILURE,), reason, "change a threshold so that no value meets both conditions")


def check_gap(lint_input: LintInput) -> Iterator[Issue]:
    """Report values for which neither condition is true, unless inconclusiveLimit shows that this is intended."""
    for tester in _decidable(lint_input):
        values = [value for value in tester.test_values if tester.phase(value) is AnalysisPhase.INCONCLUSIVE]
        if values and tester.metric.raw("inconclusiveLimit") is None:
            yield tester.metric.issue(
                (FAILURE,),
                f"{_format(values)} is neither success nor failure: Inconclusive, and the first such measurement pauses"
                " the rollout until someone intervenes",
                "close the gap between the conditions, or set inconclusiveLimit if the pause is intended",
            )


def check_constant(lint_input: LintInput) -> Iterator[Issue]:
    """Report conditions that have the same phase for every value."""
    for tester in _decidable(lint_input):
        phases = {tester.phase(value) for value in tester.test_values}
        if len(phases) == 1 and AnalysisPhase.ERROR not in phases:
            reason = f"every value is {phases.pop()}: the gate decides nothing"
            hint = "compare result[0] with a threshold that it can reach"
            yield tester.metric.issue((tester.first_field,), reason, hint)


def check_several_series(lint_input: LintInput) -> Iterator[Issue]:
    """Report queries that may return several series if the conditions use only the first."""
    for tester in _evaluable(lint_input):
        query = parse_query(tester.metric)
        if query is None or query.has_unknown_name or tester.is_scalar:
            continue
        if promql.single_series_labels(query.expression) is not None or tester.metric.raw(*RANGE_QUERY) is not None:
            continue
        if _uses_first_value_only(tester):
            reason = "the query may return several series in any order, and the conditions evaluate only the first"
            hint = "aggregate: sum(…), max(…); or evaluate all: len(result) > 0 && all(result, {# < 0.05})"
            yield tester.metric.issue(QUERY, reason, hint)


def check_diluted(lint_input: LintInput) -> Iterator[Issue]:
    """Report shares of all traffic that stay below the threshold even if every request to the canary fails."""
    testers_by_metric = {id(tester.metric): tester for tester in _evaluable(lint_input)}
    reported: set[int] = set()
    for analysis in rollout_analyses(lint_input):
        for metric in (metric for _, gate in analysis.gates(lint_input) for metric in gate.metrics):
            tester = testers_by_metric.get(id(metric))
            if not tester or not analysis.weight or id(metric) in reported:
                continue
            if _hides_failing_canary(tester, analysis.weight):
                reported.add(id(metric))
                yield metric.issue(
                    QUERY,
                    f"at setWeight {analysis.weight * 100:g} of Rollout {analysis.rollout.name} a canary that fails"
                    f" every request raises the share of failures in all traffic to {analysis.weight:g}, which is not"
                    " above the threshold",
                    'select the canary alone, such as pod=~".+-{{args.canary-hash}}-.+", or lower the threshold',
                )


def _hides_failing_canary(tester: ConditionTester, weight: float) -> bool:
    query = parse_query(tester.metric)
    if not query or query.has_unknown_name or not promql.is_share(query.expression):
        return False
    if _seems_to_select_canary(tester.metric):
        return False
    just_below = weight * 0.99  # a threshold equal to the weight is not reached for certain
    return tester.phase(1.0) is AnalysisPhase.FAILED and tester.phase(just_below) is not AnalysisPhase.FAILED


def _seems_to_select_canary(metric: MetricView) -> bool:
    return bool(_CANARY_LABEL.search(str(metric.raw(*QUERY))))


def _uses_first_value_only(tester: ConditionTester) -> bool:
    """Return whether a second value never changes the phase."""
    values = tester.test_values[:: 1 + len(tester.test_values) // MAX_PAIRED_VALUES]
    return all(tester.phase(first, second) is tester.phase(first) for first, second in product(values, repeat=2))


def _evaluable(lint_input: LintInput) -> Iterator[ConditionTester]:
    return (tester for tester in condition_testers(lint_input) if tester.is_evaluable)


def _decidable(lint_input: LintInput) -> Iterator[ConditionTester]:
    """Yield the testers of metrics whose thresholds are known, or are all the same argument."""
    # Of two unknown thresholds it is not known which one is larger.
    return (tester for tester in _evaluable(lint_input) if len(tester.unknown_arguments) <= 1)


def _with_nan(lint_input: LintInput) -> Iterator[ConditionTester]:
    """Yield the testers of metrics whose query may return NaN, and whose conditions do not test for it."""
    for tester in _evaluable(lint_input):
        query = parse_query(tester.metric)
        if query and promql.may_be_nan(query.expression) and "isNaN" not in "".join(tester.texts.values()):
            yield tester


def _format(values: list[float]) -> str:
    """Return the middle one of several values as an example."""
    return f"{values[len(values) // 2]:.6g}"
