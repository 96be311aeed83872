"""Whether what a gate measures is evidence: how often it looks, at how many events, and whether these are bursty."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import promql_parser as ast

from exporter.gate import promql
from exporter.gate.analysis_run import AnalysisPhase
from exporter.gate.arguments import PLACEHOLDER, argument_name
from exporter.gate.lint.checks.limits import is_dry_run, limit_value
from exporter.gate.lint.checks.references import rollout_analyses
from exporter.gate.lint.condition_tester import QUERY, condition_testers, parse_query, try_parse_query
from exporter.gate.lint.traffic import metric_key
from exporter.gate.promql import Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.condition_tester import ConditionTester
    from exporter.gate.lint.findings import Issue
    from exporter.gate.lint.inputs import LintInput, MetricTraffic, MetricView

MIN_BAD_EVENTS: Final = 5
"""Bad events at the threshold below which a share is mostly chance: of 5 expected ones, 1 to 10 occur (98 %)."""
BURSTY: Final = 1.5
"""Variance by mean of the bad events per minute from which the usual tests fail good canaries too often."""
_CANARY: Final = re.compile(r"canary|preview|latest|candidate", re.IGNORECASE)
_STABLE: Final = re.compile(r"stable|baseline|primary|active|control", re.IGNORECASE)
_SET_OPERATORS: Final = {"and", "or", "unless"}


def check_peeking(lint_input: LintInput) -> Iterator[Issue]:
    """Report comparisons of canary and stable that end the gate at any one of several looks."""
    for metric in lint_input.prometheus_metrics:
        looks = limit_value(metric, "count") or (0 if metric.raw("interval") else 1)
        decides_at_once = not limit_value(metric, "failureLimit") and metric.raw("interval") is not None
        if looks == 1 or not decides_at_once or is_dry_run(metric):
            continue
        query = _named_query(metric)
        if query and _compares_versions(query.expression) and not _is_sequential(metric):
            times = f"{looks} times" if looks else "without an end"
            yield metric.issue(
                QUERY,
                f"canary and stable are compared {times}, and a single bad look fails the gate: each look adds to the"
                " chance that a good canary fails",
                "look once, at the end; or set failureLimit; or render a test that may look at any time:"
                " gate render --test sequential",
            )


def _named_query(metric: MetricView) -> Query | None:
    """Return a query in which the names of arguments that select a version are values of labels."""
    text = metric.text(*QUERY)

    def replacement(match: re.Match[str]) -> str:
        name = argument_name(match[1])
        return re.sub(r"\W", "_", name) if _CANARY.search(name) or _STABLE.search(name) else match[0]

    query = try_parse_query(PLACEHOLDER.sub(replacement, text), metric.store) if text else None
    return query if isinstance(query, Query) else parse_query(metric)


def _compares_versions(node: ast.Expr) -> bool:
    """Return whether an operator joins numbers of the canary with numbers of the stable version."""
    for part in promql.nodes(node):
        if isinstance(part, ast.BinaryExpr) and promql.operator(part) not in _SET_OPERATORS:
            left, right = _selected(part.lhs), _selected(part.rhs)
            if (_CANARY.search(left) and _STABLE.search(right)) or (_STABLE.search(left) and _CANARY.search(right)):
                return True
    return False


def _selected(node: ast.Expr) -> str:
    """Return the label matchers of all selectors as one text."""
    matchers = (matcher for selector in promql.selectors(node) for matcher in selector.matchers.matchers)
    return " ".join(f"{matcher.name}={matcher.value}" for matcher in matchers)


def _is_sequential(metric: MetricView) -> bool:
    """Return whether a metric sums evidence over time, so that its false alarms do not depend on the looks."""
    text = metric.text(*QUERY)
    return "sum_over_time" in text and re.search(r"\bln\s*\(", text) is not None


def check_few_requests(lint_input: LintInput) -> Iterator[Issue]:
    """Report shares of so few events that chance exceeds the threshold, at the traffic of the store."""
    for tester, traffic in _with_traffic(lint_input):
        threshold = _failure_threshold(tester)
        events = traffic.events * (_weight(lint_input, tester.metric) if traffic.selects_version else 1.0)
        if threshold is not None and events * threshold < MIN_BAD_EVENTS:
            need = -(-MIN_BAD_EVENTS // threshold)
            yield tester.metric.issue(
                QUERY,
                f"a measurement judges some {events:,.0f} requests, and at the threshold of {threshold:.3g} only"
                f" {events * threshold:.2g} of them fail: chance decides",
                f"judge {need:,.0f} requests or more: a longer range, or a larger weight; or render a test for little"
                " traffic: gate render --test sequential",
            )


def check_bursty(lint_input: LintInput) -> Iterator[Issue]:
    """Report shares whose bad events come in bursts, in the store."""
    for tester, traffic in _with_traffic(lint_input):
        if traffic.dispersion >= BURSTY and not _is_sequential(tester.metric):
            yield tester.metric.issue(
                QUERY,
                f"the failures come in bursts: their variance per minute is {traffic.dispersion:.2g} times their mean,"
                " so a good canary is often as bad as this",
                "lengthen the range beyond a burst, raise failureLimit, or render a test that allows for bursts:"
                " gate render --test sequential",
            )


def _with_traffic(lint_input: LintInput) -> Iterator[tuple[ConditionTester, MetricTraffic]]:
    for tester in condition_testers(lint_input):
        traffic = lint_input.context.traffic.get(metric_key(tester.metric))
        if traffic is not None and tester.is_evaluable:
            yield tester, traffic


def _failure_threshold(tester: ConditionTester) -> float | None:
    """Return the smallest share between 0 and 1 that fails, None if there is none or if less is worse."""
    if len(tester.unknown_arguments) > 1 or tester.phase(0.0) is AnalysisPhase.FAILED:
        return None
    failing = (value for value in tester.test_values if 0 < value <= 1 and tester.phase(value) is AnalysisPhase.FAILED)
    return next(failing, None)


def _weight(lint_input: LintInput, metric: MetricView) -> float:
    """Return the smallest weight at which a Rollout uses a metric, 1 if it is not known."""
    weights = [
        analysis.weight
        for analysis in rollout_analyses(lint_input)
        if analysis.weight and any(gate is metric.gate for _, gate in analysis.all_gates(lint_input))
    ]
    return min(weights, default=1.0)
