"""Queries that are absent, do not parse, lose their buckets, or return a type that the controller does not read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exporter.gate import promql
from exporter.gate.controller import Feature
from exporter.gate.lint.condition_tester import QUERY, parse_query, try_parse_query
from exporter.gate.promql import PromQLError, ResultType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.findings import Issue
    from exporter.gate.lint.inputs import LintInput

_METRICSQL: Final = re.compile(r"\b(default|if|ifnot|keep_last_value|interpolate|median_over_time|WITH)\b")
"""Words of MetricsQL, VictoriaMetrics' superset of PromQL, that the parser rejects."""


def check_missing(lint_input: LintInput) -> Iterator[Issue]:
    """Report Prometheus metrics without a query."""
    for metric in lint_input.prometheus_metrics:
        query = metric.raw(*QUERY)
        if query is None or (isinstance(query, str) and not metric.text(*QUERY).strip()):
            yield metric.issue(QUERY, "there is no query: every measurement is an Error", "add a query")


def check_malformed(lint_input: LintInput) -> Iterator[Issue]:
    """Report queries that are not PromQL."""
    for metric in lint_input.prometheus_metrics:
        text = metric.text(*QUERY)
        query = try_parse_query(text) if text.strip() else None
        if isinstance(query, PromQLError):
            hint = "fix the query; test it in the explorer of your store"
            if _METRICSQL.search(text):
                hint = "write plain PromQL; if you mean MetricsQL, add the comment # gate-lint: allow promql"
            yield metric.issue(QUERY, f"the query is not PromQL: {query}", hint)


def check_lost_buckets(lint_input: LintInput) -> Iterator[Issue]:
    """Report quantiles of histograms whose label le was aggregated away."""
    for metric in lint_input.prometheus_metrics:
        query = parse_query(metric)
        if query and promql.loses_le_label(query.expression):
            reason = "histogram_quantile needs the label le, which the aggregation inside drops: it returns nothing"
            yield metric.issue(QUERY, reason, "write sum by (le) (…)")


def check_result_type(lint_input: LintInput) -> Iterator[Issue]:
    """Report strings, and range vectors before 1.8."""
    controller = lint_input.context.controller
    for metric in lint_input.prometheus_metrics:
        query = parse_query(metric)
        kind = promql.result_type(query.expression) if query else ResultType.VECTOR
        is_unread_matrix = kind is ResultType.MATRIX and not controller.supports(Feature.RANGE_QUERY)
        if kind is ResultType.STRING or is_unread_matrix:
            yield metric.issue(
                QUERY,
                f"the query returns a {kind}, which {controller.version} does not read: every measurement is an Error",
                "use a query that returns an instant vector: rate(…), avg_over_time(…)",
            )
