"""PromQL, looked at without asking: parsed by promql-parser, with arguments in it; and what its answer may be."""

from exporter.gate.promql.analysis import is_share, may_be_empty, may_be_nan, single
from exporter.gate.promql.ast import Shape, counts_up, lost_buckets, ranges, selectors, shape
from exporter.gate.promql.parse import PromQLError, Query, read

__all__ = [
    "PromQLError",
    "Query",
    "Shape",
    "counts_up",
    "is_share",
    "lost_buckets",
    "may_be_empty",
    "may_be_nan",
    "ranges",
    "read",
    "selectors",
    "shape",
    "single",
]
