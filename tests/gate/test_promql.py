"""Static analysis of queries."""

from __future__ import annotations

import pytest

from exporter.gate import promql
from exporter.gate.promql import PromQLError, ResultType

VECTOR, SCALAR, MATRIX = ResultType.VECTOR, ResultType.SCALAR, ResultType.MATRIX

CASES = [
    # query, expected_type, single series, may be empty, may be NaN
    ("sum(rate(a[5m]))", VECTOR, True, True, False),
    ("sum(rate(a[5m])) / sum(rate(b[5m]))", VECTOR, True, True, True),
    ("sum(rate(a[5m])) / (sum(rate(b[5m])) > 0)", VECTOR, True, True, False),
    ("sum(rate(a[5m])) / 2", VECTOR, True, True, False),
    ("sum(a) / clamp_min(sum(b), 1)", VECTOR, True, True, False),
    ("(sum(a) / sum(b)) > 0", VECTOR, True, True, False),
    ("sum(a) > bool 0", VECTOR, True, True, False),
    ("sum(a) or vector(0)", VECTOR, True, False, False),
    ('sum by (s) (a{s="x"})', VECTOR, True, True, False),
    ('sum by (s) (a{s=~"x|y"})', VECTOR, False, True, False),
    ('sum by (s) (a{s="x"}) or vector(0)', VECTOR, False, False, False),
    ("sum without (pod) (a)", VECTOR, False, True, False),
    ("a", VECTOR, False, True, False),
    ("a > 5", VECTOR, False, True, False),
    ("vector(1) > 5", VECTOR, True, True, False),
    ("vector(1) > bool 5", VECTOR, True, False, False),
    ("vector(1) and vector(2)", VECTOR, True, True, False),
    ("topk(1, a)", VECTOR, True, True, False),
    ("topk(3, a)", VECTOR, False, True, False),
    ("absent(a)", VECTOR, True, True, False),
    ("vector(1)", VECTOR, True, False, False),
    ("scalar(sum(a))", SCALAR, True, False, True),
    ("1 + 1", SCALAR, True, False, False),
    ("a[5m]", MATRIX, False, True, False),
    ("max_over_time((sum(a) / sum(b))[10m:1m])", VECTOR, True, True, True),
    ("max_over_time((a / b)[10m:1m])", VECTOR, False, True, True),
    ("histogram_quantile(0.9, sum by (le) (rate(a_bucket[5m])))", VECTOR, True, True, True),
    ("histogram_quantile(0.9, sum by (le, pod) (rate(a_bucket[5m])))", VECTOR, False, True, True),
    ("sum(a) * on (pod) group_left (role) b", VECTOR, True, True, False),
    ("a * on (pod) group_left (role) b", VECTOR, False, True, False),
]


@pytest.mark.parametrize(("query", "expected_type", "single", "empty", "nan"), CASES, ids=[row[0] for row in CASES])
def test_result_is_predicted(query: str, expected_type: ResultType, *, single: bool, empty: bool, nan: bool) -> None:
    expression = promql.parse(query).expression
    assert promql.result_type(expression) is expected_type
    assert (promql.single_series_labels(expression) is not None) is single
    assert promql.may_be_empty(expression) is empty
    assert promql.may_be_nan(expression) is nan


@pytest.mark.parametrize(
    ("query", "unknown"),
    [
        ('up{job="{{args.job}}"}', False),
        ("up{job=~'x-{{ args.job }}-.+'}", False),
        ("rate(up[{{args.range}}])", False),
        ("up offset {{args.range}} > {{args.limit}}", False),
        ("quantile({{args.q}}, up)", False),
        ("rate(up[5m:{{args.step}}])", False),
        ('{{args.metric}}{job="x"}', True),
        ("sum by ({{args.label}}) (up)", True),
        ("{{args.query}}", True),
    ],
)
def test_placeholders_may_occur_anywhere(query: str, *, unknown: bool) -> None:
    assert promql.parse(query).has_unknown_name is unknown


def test_range_from_a_placeholder_is_unknown() -> None:
    assert list(promql.ranges(promql.parse("rate(a[{{args.range}}]) + rate(b[5m])").expression)) == [("rate", 300.0)]


@pytest.mark.parametrize(
    "query", ["sum(", "rate(a)", "a b", "", "a{b}", "sum(a) default 0", "(" * 9999 + "a" + ")" * 9999]
)
def test_invalid_promql_is_an_error(query: str) -> None:
    with pytest.raises(PromQLError):
        promql.parse(query)


@pytest.mark.parametrize(
    ("query", "lost"),
    [
        ("histogram_quantile(0.9, sum(rate(a_bucket[5m])))", True),
        ("histogram_quantile(0.9, sum by (pod) (rate(a_bucket[5m])))", True),
        ("histogram_quantile(0.9, sum without (le) (rate(a_bucket[5m])))", True),
        ("histogram_quantile(0.9, sum by (le) (rate(a_bucket[5m])))", False),
        ("histogram_quantile(0.9, sum without (pod) (rate(a_bucket[5m])))", False),
        ("histogram_quantile(0.9, rate(a_bucket[5m]))", False),
        ("histogram_quantile(0.9, sum(rate(native[5m])))", False),
    ],
)
def test_lost_le_label_is_found(query: str, *, lost: bool) -> None:
    assert promql.loses_le_label(promql.parse(query).expression) is lost


@pytest.mark.parametrize(
    ("query", "share"),
    [
        ('sum(rate(a{x="1"}[5m])) / sum(rate(a[5m]))', True),
        ('(sum(rate(a{x="1"}[5m])) or vector(0)) / (sum(rate(a[5m])) > 0)', True),
        ("sum(rate(a_errors_total[5m])) / sum(rate(a_total[5m]))", True),
        ("sum(rate(a_sum[5m])) / sum(rate(a_count[5m]))", False),
        ("sum(a) / 100", False),
        ("sum(a)", False),
    ],
)
def test_share_differs_from_average(query: str, *, share: bool) -> None:
    assert promql.is_share(promql.parse(query).expression) is share


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("(" * 20_000 + "1" + ")" * 20_000, "brackets are nested more than 100 deep; split the query"),
        ("# it's\n" + "(" * 20_000, "brackets are nested more than 100 deep"),
        ("1" + "+1" * 20_000, "it has more than 200 operators; split the query"),
        ("a" + " - -1" * 5_000, "it has more than 200 operators"),
        ("a" + " or a" * 3_000, "it has more than 200 operators"),
    ],
)
def test_a_query_that_would_crash_the_parser_is_an_error(query: str, message: str) -> None:
    with pytest.raises(PromQLError, match=message):
        promql.parse(query)


def test_brackets_and_operators_in_strings_and_matchers_do_not_count() -> None:
    matchers = ",".join(f'a{n}!="-("' for n in range(300))
    promql.parse(f"sum(x{{{matchers}}}) # ((((" + "(" * 100)
    query = "1" + "+1" * 200
    assert promql.result_type(promql.parse("(" * 100 + query + ")" * 100).expression) is ResultType.SCALAR
