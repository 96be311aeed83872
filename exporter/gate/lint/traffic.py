"""What a store shows about the events that a share is made of: the queries for it, and the numbers. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import promql_parser as ast

from exporter.gate import promql
from exporter.gate.arguments import OPEN, substitute_known
from exporter.gate.lint.condition_tester import QUERY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.gate.lint.inputs import MetricKey, MetricView

_VERSION_MATCHER: Final = re.compile(
    r"""\w+\s*(?:=~|!~|!=|=)\s*(?:"[^"]*\{\{[^"}]*(?:hash|canary|stable|pod|version)[^"}]*\}\}[^"]*"
    |'[^']*\{\{[^'}]*(?:hash|canary|stable|pod|version)[^'}]*\}\}[^']*')\s*,?""",
    re.IGNORECASE | re.VERBOSE,
)
"""A matcher that selects one version's pods: while nothing is updated they are all of the stable version."""
_RANGE: Final = re.compile(r"\[[^\[\]]*\]")


@dataclass(frozen=True, slots=True)
class TrafficQueries:
    """The queries of both numbers of `MetricTraffic`, and the seconds by which a rate becomes a count."""

    events: str
    dispersion: str
    seconds: float
    selects_version: bool


def metric_key(metric: MetricView) -> MetricKey:
    """Return the names by which the traffic of a metric is found."""
    return metric.gate.document.name, metric.name


def traffic_queries(metric: MetricView, values: Mapping[str, str]) -> TrafficQueries | None:
    """Return what to query about a metric; None if it is no share, or if an argument's value is missing."""
    # As written: `text` would have the arguments' own values in place, which `values` override.
    query = metric.raw(*QUERY)
    text = substitute_known(query, values) if isinstance(query, str) else ""
    unversioned = _VERSION_MATCHER.sub("", text)
    if OPEN in unversioned:
        return None
    try:
        share = _share(promql.parse(unversioned).expression)
    except promql.PromQLError:
        return None
    if share is None:
        return None
    seconds = max((length for _, length in promql.ranges(share.rhs)), default=0.0)
    is_count = "increase(" in str(share.rhs)
    # Events of the past six hours, per minute: long enough for a pattern, short enough for any store.
    bad = _RANGE.sub("[1m]", str(share.lhs))
    burst = f"stdvar_over_time(({bad} * 60)[6h:1m]) / (avg_over_time(({bad} * 60)[6h:1m]) > 0)"
    return TrafficQueries(str(share.rhs), burst, 1.0 if is_count else seconds, unversioned != text)


def _share(node: ast.Expr) -> ast.BinaryExpr | None:
    """Return the division of a share, without parentheses and `or` around it."""
    if isinstance(node, ast.ParenExpr):
        return _share(node.expr)
    if isinstance(node, ast.BinaryExpr) and promql.operator(node) == "or":
        return _share(node.lhs)
    return node if isinstance(node, ast.BinaryExpr) and promql.is_share(node) else None
