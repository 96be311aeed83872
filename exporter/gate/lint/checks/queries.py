"""Queries that are absent, do not parse, lose their buckets, or return a type that the controller does not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.gate import promql
from exporter.gate.controller import Feature
from exporter.gate.dialect import StoreKind
from exporter.gate.lint.condition_tester import QUERY, parse_query, try_parse_query
from exporter.gate.promql import PromQLError, ResultType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.findings import Issue
    from exporter.gate.lint.inputs import LintInput, MetricView

_LANGUAGES = {StoreKind.PROMETHEUS: "PromQL", StoreKind.METRICSQL: "MetricsQL"}


def check_missing(lint_input: LintInput) -> Iterator[Issue]:
    """Report Prometheus metrics without a query."""
    for metric in lint_input.prometheus_metrics:
        query = metric.raw(*QUERY)
        if query is None or (isinstance(query, str) and not metric.text(*QUERY).strip()):
            yield metric.issue(QUERY, "there is no query: every measurement is an Error", "add a query")


def check_malformed(lint_input: LintInput) -> Iterator[Issue]:
    """Report queries that are not in the language of their store."""
    for metric, error in _malformed(lint_input):
        if not _is_unknown_function(metric, error) and not (_is_metricsql(metric) and _is_unknown_store(metric)):
            hint = "fix the query; test it in the explorer of your store"
            if _is_metricsql(metric):
                hint = "write plain PromQL; if the store takes MetricsQL, as VictoriaMetrics does: --store metricsql"
            yield metric.issue(QUERY, f"the query is not {_LANGUAGES[metric.store]}: {error}", hint)


def check_unknown_function(lint_input: LintInput) -> Iterator[Issue]:
    """Report functions that this program does not have, if the kind of the store is only assumed."""
    for metric, error in _malformed(lint_input):
        if _is_unknown_function(metric, error) and not _is_metricsql(metric):
            language = _LANGUAGES[metric.store]
            reason = f"{language} has no function {error.unknown_function}, unless the store is newer than this program"
            yield metric.issue(QUERY, reason, "test it in the explorer of your store, or lint with --store")


def check_metricsql(lint_input: LintInput) -> Iterator[Issue]:
    """Report MetricsQL if the kind of the store is not known: no address, or one from an argument."""
    for metric, _ in _malformed(lint_input):
        if _is_metricsql(metric) and _is_unknown_store(metric):
            reason = "the query is MetricsQL, which Prometheus rejects, and the address does not show what the store is"
            yield metric.issue(QUERY, reason, "lint with --store metricsql, or write plain PromQL")


def _malformed(lint_input: LintInput) -> Iterator[tuple[MetricView, PromQLError]]:
    for metric in lint_input.prometheus_metrics:
        text = metric.text(*QUERY)
        query = try_parse_query(text, metric.store) if text.strip() else None
        if isinstance(query, PromQLError):
            yield metric, query


def _is_metricsql(metric: MetricView) -> bool:
    return not isinstance(try_parse_query(metric.text(*QUERY), StoreKind.METRICSQL), PromQLError)


def _is_unknown_function(metric: MetricView, error: PromQLError) -> bool:
    return metric.gate.store is StoreKind.AUTO and bool(error.unknown_function) and not _is_metricsql(metric)


def _is_unknown_store(metric: MetricView) -> bool:
    return metric.gate.store is StoreKind.AUTO and not metric.resolved_text("provider", "prometheus", "address")


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
