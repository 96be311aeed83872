"""What a gate asks: queries that do not parse, that answer with several series, or with another kind of result."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from exporter.gate import promql
from exporter.gate.controller import Ability
from exporter.gate.promql import PromQLError, Query, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.finding import Spot
    from exporter.gate.lint.inputs import Gates, Metric

QUERY: Final = ("provider", "prometheus", "query")
RANGE_QUERY: Final = ("provider", "prometheus", "rangeQuery")
_METRICSQL: Final = re.compile(r"\b(default|if|ifnot|keep_last_value|interpolate|median_over_time|WITH)\b")


@lru_cache(maxsize=1024)
def _read(text: str) -> Query | PromQLError:
    try:
        return promql.read(text)
    except PromQLError as error:
        return error


def parsed(metric: Metric) -> Query | None:
    """Return a metric's query, None when there is none that parses."""
    text = metric.text(*QUERY)
    found = _read(text) if text else None
    return found if isinstance(found, Query) else None


def missing(gates: Gates) -> Iterator[Spot]:
    """Find Prometheus metrics without a query."""
    for metric in gates.prometheus:
        if metric.raw(*QUERY) is None or (isinstance(metric.raw(*QUERY), str) and not metric.text(*QUERY).strip()):
            yield metric.spot(QUERY, "there is no query: every measurement becomes Error", "write one")


def malformed(gates: Gates) -> Iterator[Spot]:
    """Find queries that are no PromQL."""
    for metric in gates.prometheus:
        found = _read(text) if (text := metric.text(*QUERY)).strip() else None
        if isinstance(found, PromQLError):
            cure = "mend it; try it in the store's explorer"
            if _METRICSQL.search(text):
                cure = "write it in plain PromQL; if MetricsQL is meant, add the comment # gate-lint: allow promql"
            yield metric.spot(QUERY, f"the query is no PromQL: {found}", cure)


def lost_buckets(gates: Gates) -> Iterator[Spot]:
    """Find quantiles of histograms whose buckets were summed away."""
    for metric in gates.prometheus:
        query = parsed(metric)
        if query and promql.lost_buckets(query.expression):
            yield metric.spot(
                QUERY,
                "histogram_quantile needs the label le, and the aggregation below it drops that: it answers nothing",
                "write sum by (le) (…)",
            )


def matrix(gates: Gates) -> Iterator[Spot]:
    """Find range vectors asked for as an instant query, before 1.8 read them."""
    for metric in gates.prometheus:
        query = parsed(metric)
        kind = promql.shape(query.expression) if query else Shape.VECTOR
        if kind is Shape.TEXT or (kind is Shape.MATRIX and not gates.around.controller.can(Ability.RANGE_QUERY)):
            yield metric.spot(
                QUERY,
                f"the query answers with a {kind}, which {gates.around.controller.version} does not read:"
                " every measurement becomes Error",
                "ask for an instant vector: rate(…), avg_over_time(…)",
            )


def shape(metric: Metric) -> Shape | None:
    """Say what a metric's condition gets to see, None when that cannot be told."""
    query = parsed(metric)
    if query is None or query.guessed:
        return None
    return Shape.MATRIX if metric.raw(*RANGE_QUERY) else promql.shape(query.expression)
