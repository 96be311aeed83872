"""MetricsQL is accepted where a VictoriaMetrics accepts it, and its result is predicted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from exporter.gate import promql
from exporter.gate.dialect import StoreKind
from exporter.gate.promql import PromQLError, ResultType
from tests.real_stores import victoria_metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

METRICSQL = StoreKind.METRICSQL

CASES = [
    # query, may be empty, single series
    ("sum(a) default 0", False, True),
    ("sum(b) default 0", False, True),
    ("sum(a) default sum(b) default 0", False, True),
    ("a default 0", False, False),
    ("sum(rate(a)) or vector(0)", False, True),
    ("rate(a)", True, False),
    ("rate(sum(a))", True, True),
    ("avg_over_time(sum(a))", True, True),
    ("max(a[5m])", True, True),
    ("sum(increase(a[$__interval]))", True, True),
    ("WITH (f(x) = sum(x) by (x)) f(a)", True, False),
    ('WITH (c = {x="1"}, all = sum(a)) sum(a{c}) / all', True, True),
    ("WITH (w = 5m) max_over_time(a[w])", True, False),
    ("a @ (end() - 1h)", True, False),
    ("sum(a) @ end() offset -5m", True, True),
    ("sum(a) if sum(b)", True, True),
    ("sum(a) ifnot sum(b)", True, True),
    ("sum(a) by (x) limit 1", True, True),
    ("sum(a) by (x) limit 5", True, False),
    ("rate(a) keep_metric_names", True, False),
    ("(a + a) keep_metric_names", True, False),
    ("sum(a) > 1Ki", True, True),
    ("sum(a) > 1.5M", True, True),
    ("share_gt_over_time(a[5m], 1)", True, False),
    ("share_gt_over_time(sum(a)[5m:1m], 1)", True, True),
    ("median_over_time(a[5m])", True, False),
    ("median(a)", True, True),
    ("any(a)", True, True),
    ("topk_avg(1, a)", True, False),
    ("sum(a, b)", True, True),
    ("union(a, b)", True, False),
    ("rollup_rate(a[5m])", True, False),
    ('quantiles_over_time("q", 0.5, 0.9, sum(a)[5m:])', True, False),
    ('label_set(sum(a), "y", "z")', True, True),
    ('label_match(a, "x", "1")', True, False),
    ("range_quantile(0.5, sum(a))", True, True),
    ("keep_last_value(sum(a))", True, True),
    ("histogram_quantile(0.9, sum(rate(a_bucket)) by (vmrange))", True, True),
    ("histogram_quantile(0.9, prometheus_buckets(sum(a_bucket) by (vmrange)))", True, True),
    ('sum(a{x="1" or x="2"})', True, True),
    ("scalar(sum(a))", True, True),
    ("sum(a) / sum(b)", True, True),
    ("(sum(a) default 0) / (sum(b) default 0)", True, True),
    ("1", False, True),
    ("time()", False, True),
    ("now() - 5m", False, True),
    ("1 > 2", True, True),
    ("vector(sum(a))", True, True),
    ("max_over_time(a[1i])", True, False),
    ("SUM(Rate(a[5m]))", True, True),
    ("sum(a[5m]) by (x,)", True, False),
    ("-sum(a) + sum(a) ^ 2", True, True),
    ("range_median(sum(a))", True, True),
]
INVALID = [
    "sum(", "sum(a", "a b", "", "a keep_metric_names", "a{b}", "sum()", "rate()", "clamp_min(a)", "foo(a)",
    "info(a)", "limit_ratio(0.5, a)", "rate(a[5m * 2])", "rate(a[5m + step()])", "sum(a) limit x",
    "WITH (x = 1, x = 2) x", "WITH (f(x, x) = x) f(1, 1)", "a and bool a", 'a{x=~"["}', "sum by x (a)",
    "sum by (x) (a) by (y)", "a[5m", "a or", "share_gt_over_time(a[5m])", '"open', "sum(a) @",
]  # fmt: skip


@pytest.mark.parametrize(("query", "empty", "single"), CASES, ids=[row[0] for row in CASES])
def test_result_of_metricsql_is_predicted(query: str, *, empty: bool, single: bool) -> None:
    parsed = promql.parse(query, METRICSQL)
    # Every instant result of VictoriaMetrics is a vector, and NaN is dropped from it.
    assert promql.result_type(parsed.expression) is ResultType.VECTOR
    assert parsed.may_be_empty is empty
    assert (promql.single_series_labels(parsed.expression) is not None) is single


@pytest.mark.parametrize("query", INVALID)
def test_what_is_not_metricsql_is_an_error(query: str) -> None:
    with pytest.raises(PromQLError):
        promql.parse(query, METRICSQL)


@pytest.mark.parametrize("query", ["a[5m]", "sum(a)[5m:1m]", "a[5m] offset 1m @ end()"])
def test_a_range_is_a_matrix(query: str) -> None:
    assert promql.result_type(promql.parse(query, METRICSQL).expression) is ResultType.MATRIX


def test_unknown_function_is_named() -> None:
    with pytest.raises(PromQLError) as error:
        promql.parse("sum(shiny(a))", METRICSQL)
    assert error.value.unknown_function == "shiny"


@pytest.mark.parametrize(
    "query",
    ['rate(a{x="{{args.x}}"}) default 0', "rate(a[{{args.range}}]) default {{args.zero}}", "sum(a) limit {{args.n}}"],
)
def test_placeholders_may_occur_anywhere(query: str) -> None:
    assert not promql.parse(query, METRICSQL).has_unknown_name


def test_known_ranges_are_found_and_others_are_not() -> None:
    query = promql.parse("rate(a) + rate(a[90]) + increase(a[1h30m]) + delta(a[2h-5m])", METRICSQL)
    assert list(promql.ranges(query.expression)) == [("rate", 90.0), ("increase", 5400.0), ("delta", 6900.0)]


@pytest.mark.parametrize("body", ["{0}(x) + {0}(x)", "quantile_over_time({0}(x) + {0}(x), a)"])
def test_work_of_templates_that_double_it_is_bounded(body: str) -> None:
    definitions = ", ".join(f"f{index}(x) = {body.format(f'f{index - 1}')}" for index in range(1, 60))
    with pytest.raises(PromQLError, match="expanded more than"):
        promql.parse(f"WITH (f0(x) = x, {definitions}) f59(a)", METRICSQL)


async def evaluate(session: aiohttp.ClientSession, url: str, query: str) -> dict[str, Any] | None:
    """Return the data of a query, None if it is refused."""
    async with session.post(f"{url}/api/v1/query", data={"query": query}) as response:
        return (await response.json())["data"] if response.status == 200 else None


@pytest.mark.slow
async def test_a_real_victoria_metrics_agrees(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    program = require_program("victoria-metrics")
    async with victoria_metrics(program, tmp_path) as url, aiohttp.ClientSession() as session:
        now = int(time.time())
        for age in (90, 60, 30, 2):
            lines = f'a{{x="1"}} {100 - age}\na{{x="2"}} 5\na_bucket{{le="1"}} {100 - age}\na_bucket{{le="+Inf"}} 100\n'
            address = f"{url}/api/v1/import/prometheus?timestamp={(now - age) * 1000}"
            await (await session.post(address, data=lines)).read()
        await (await session.get(f"{url}/internal/force_flush")).read()
        for query, empty, single in CASES:
            data = await evaluate(session, url, query)
            assert data, query
            count = len(data["result"])
            assert data["resultType"] == "vector", query
            assert not (single and count > 1), query
            assert empty or count, query
        assert [query for query in INVALID if query and await evaluate(session, url, query)] == []
