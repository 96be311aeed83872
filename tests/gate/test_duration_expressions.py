"""Duration expressions of PromQL are computed."""

from __future__ import annotations

import pytest

from exporter.gate import promql
from exporter.gate.promql import PromQLError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m * 2", 600.0),
        ("5m + 30s", 330.0),
        ("1h - 30m", 1800.0),
        ("1h / 4", 900.0),
        ("2 ^ 3 ^ 2", 512.0),
        ("-(1m - 2m)", 60.0),
        ("90", 90.0),
        ("1.5 * 1m", 90.0),
        ("max_of(1m, 30s)", 60.0),
        ("min_of(2 * 1m, 5m)", 120.0),
        ("1m30s % 1m", 30.0),
        ("(5m)", 300.0),
    ],
)
def test_range_is_computed(text: str, seconds: float) -> None:
    assert list(promql.ranges(promql.parse(f"rate(a[{text}])").expression)) == [("rate", seconds)]


@pytest.mark.parametrize("text", ["5m + step()", "step()", "range() / 2", "max_of(step(), 5m)", "STEP() * 4"])
def test_range_that_the_request_decides_is_unknown(text: str) -> None:
    assert list(promql.ranges(promql.parse(f"rate(a[{text}])").expression)) == []


@pytest.mark.parametrize(
    "query",
    [
        "max_over_time(sum(a)[1h * 2:step()])",
        "max_over_time(sum(a)[2 * 5m:])",
        "sum(a offset (5m * 2))",
        "a offset -(1h / 2) > 5",
        "a offset step() + b",
        "a offset -min_of(step(), 1m)",
        'rate(a{x="[5m * 2]"}[5m * 2]) # [a * b]',
        "rate(a[{{args.range}} * 2])",
    ],
)
def test_expressions_may_occur_wherever_a_duration_may(query: str) -> None:
    promql.parse(query)


@pytest.mark.parametrize(
    "text",
    [
        "5m * 0",
        "5m / 0",
        "5m - 10m",
        "-5m",
        "5m % 0",
        "5m *",
        "* 5m",
        "foo",
        "step(",
        "5m 5m",
        "min(1m, 2m)",
        "9 ^ 9 ^ 9",
    ],
)
def test_what_is_no_positive_duration_is_an_error(text: str) -> None:
    with pytest.raises(PromQLError):
        promql.parse(f"rate(a[{text}])")
