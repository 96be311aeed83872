"""Static analysis of PromQL: queries parsed by promql-parser with their placeholders, and what their result can be.

Text → `parse` → `Query` (query.py, with helpers on the syntax tree) → questions about the result (analysis.py).
"""

from exporter.gate.promql.analysis import is_share, may_be_empty, may_be_nan, single_series_labels
from exporter.gate.promql.query import (
    PromQLError,
    Query,
    ResultType,
    loses_le_label,
    needs_two_samples,
    parse,
    ranges,
    result_type,
    selectors,
)

__all__ = [
    "PromQLError",
    "Query",
    "ResultType",
    "is_share",
    "loses_le_label",
    "may_be_empty",
    "may_be_nan",
    "needs_two_samples",
    "parse",
    "ranges",
    "result_type",
    "selectors",
    "single_series_labels",
]
