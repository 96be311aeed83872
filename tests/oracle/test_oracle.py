"""Compares the way from a page to OTLP with the OpenTelemetry Collector's and Prometheus' (README.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pytest

from .case import CASES, OracleCase, difference, samples_of


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference on purpose: the rule that decides, and the lines that only we (`+`) or only the peer (`-`) have."""

    rule: str
    collector: tuple[str, ...] = ()
    prometheus: tuple[str, ...] = ()


def only_ours(rule: str, *lines: str) -> Difference:
    """Return the difference for lines that neither peer has."""
    ours = tuple(f"+ {line}" for line in lines)
    return Difference(rule, ours, ours)


NO_DIFFERENCE: Final = Difference("")
NAMES: Final = sorted(path.name.partition(".")[0] for path in CASES.iterdir())
FILES: Final = {path.name.partition(".")[0]: path.name for path in CASES.iterdir()}

TICK_TIME: Final = "T08, T45: every point has the time of the tick, an explicit timestamp is ignored"
PARSE_ERROR: Final = "a malformed line is skipped; both peers drop the page"
GRACE_PERIOD: Final = "T42: after a failed scrape series go stale only when the grace period ends"
BAD_BOUND: Final = "T22: a histogram or summary with a bound that is not a number is skipped and counted"
NEVER_SENT: Final = "the staleness marker of a point that was always skipped is sent, too; it has no effect"
CUT_SHORT: Final = "T42: a truncated page is dropped, even if its last number looks complete"
STANDBY_PAGE: Final = "T47: an empty page with status 200 is a standby's; absence from it proves nothing"
NO_JSON: Final = "T52: JSON is rejected, as by Prometheus"
DIFFERENCES: Final = {
    ("t08-explicit-ts", 0): Difference(
        TICK_TIME,
        ('+ e{k="new"} 2', '+ e{k="old"} 1', '- e{k="new"} 2 @base-5000ms', '- e{k="old"} 1 @base-30000ms'),
        ('+ e{k="new"} 2', '+ e{k="old"} 1'),
    ),
    ("t08-explicit-ts", 1): Difference(
        TICK_TIME,
        ('+ e{k="new"} 2', '+ e{k="old"} 1', '- e{k="new"} 2 @base-4000ms', '- e{k="old"} 1 @base-30000ms'),
        ('+ e{k="new"} 2', '+ e{k="old"} 1'),
    ),
    ("t08-explicit-ts", 2): Difference(TICK_TIME, ('+ e{k="new"} stale', '+ e{k="old"} stale')),
    ("t08-explicit-ts-tracked", 0): Difference(
        TICK_TIME, ('+ e{k="new"} 2', '- e{k="new"} 2 @base-5000ms'), ('+ e{k="new"} 2',)
    ),
    ("t15-overflow-value", 0): only_ours(PARSE_ERROR, "v 1"),
    ("t15-overflow-value", 1): Difference(PARSE_ERROR, ("+ v stale",)),
    ("t15-underscore-value", 0): only_ours(PARSE_ERROR, "v 1"),
    ("t15-underscore-value", 1): Difference(PARSE_ERROR, ("+ v stale",)),
    ("t21-bad-le", 0): Difference(
        BAD_BOUND,
        (
            '+ h{k="dup"} count 4 sum 1 1:1 +Inf:3',
            '- h{k="bad"} count 4 sum 1 +Inf:4',
            '- h{k="dup"} count 4 sum 1 1:1 1:1 +Inf:2',
            '- h{k="nanle"} count 4 sum 1 nan:1 +Inf:3',
            '- h{k="nole"} count 4 sum 1 +Inf:4',
        ),
        ('+ h_bucket{k="dup",le="1"} 2',),
    ),
    ("t21-bad-le", 1): Difference(
        BAD_BOUND, ('- h{k="bad"} stale +Inf:0', '- h{k="nanle"} stale nan:0 +Inf:0', '- h{k="nole"} stale +Inf:0')
    ),
    ("t23-no-count", 1): Difference(NEVER_SENT, ("+ h stale 1:0 +Inf:0",)),
    ("t29-summary", 0): Difference(BAD_BOUND, ('- s{k="badq"} count 4 sum 3', '- s{k="noq"} count 4 sum 3')),
    ("t29-summary", 1): Difference(
        f"{BAD_BOUND}; {NEVER_SENT}",
        (
            '+ s{k="nocount"} stale 0.5=0',
            '+ s{k="qonly"} stale 0.5=0',
            '- s{k="badq"} stale',
            '- s{k="noq"} stale',
        ),
    ),
    ("t31-text-exemplar", 0): only_ours(PARSE_ERROR, "ok 1"),
    ("t31-text-exemplar", 1): Difference(PARSE_ERROR, ("+ ok stale",)),
    ("t32-bad-name", 0): only_ours(PARSE_ERROR, "g 1"),
    ("t32-bad-name", 1): only_ours(PARSE_ERROR, "g 1"),
    ("t32-label-name-odd", 1): only_ours("T32: the label __name__ is left out; both peers drop the page", "g 1"),
    ("t32-label-name-odd", 2): Difference("as before", ("+ g stale",)),
    ("t33-dup-label", 0): only_ours(PARSE_ERROR, 'l{a="3"} 2', "ok 1"),
    ("t33-dup-label", 1): Difference(PARSE_ERROR, ('+ l{a="3"} stale', "+ ok stale")),
    ("t42-http-500", 1): Difference(GRACE_PERIOD, ("- g stale",)),
    ("t42-parse-error", 1): Difference(
        f"{PARSE_ERROR}; absence from an incomplete page proves nothing",
        ('+ g{i="1"} 2', '+ g{i="3"} 1', '- g{i="2"} stale'),
        ('+ g{i="1"} 2', '+ g{i="3"} 1'),
    ),
    ("t42-parse-error", 2): Difference(
        "T41: two series are absent from a complete page of an established leader",
        ('+ g{i="2"} stale', '+ g{i="3"} stale'),
    ),
    ("t51-empty", 1): Difference(STANDBY_PAGE, ("- g stale",)),
    ("t52-json-ctype", 0): Difference(NO_JSON, ("- g 1",)),
    ("t52-json-ctype", 1): Difference(NO_JSON, ("- g stale",)),
    ("t52-text-truncated", 1): Difference(
        CUT_SHORT, ('- g{a="1"} 1', '- g{a="2"} 12'), ('- g{a="1"} 1', '- g{a="2"} 12')
    ),
    ("t52-text-truncated", 2): Difference(CUT_SHORT, ('- g{a="1"} stale', '- g{a="2"} stale')),
}  # fmt: skip # a table


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def case(name: str) -> OracleCase:
    return OracleCase(FILES[name])


@pytest.mark.slow
def test_a_page_is_pushed_as_by_the_collector_except_where_a_rule_decides(name: str, case: OracleCase) -> None:
    pushed = case.push()
    for frame, theirs in enumerate(case.collector[:-1]):
        ours, expected = pushed[frame], DIFFERENCES.get((name, frame), NO_DIFFERENCE)
        assert difference(ours.points, theirs.points) == sorted(expected.collector)
        common = ours.metrics.keys() & theirs.metrics.keys()
        assert {key: ours.metrics[key] for key in common} == {key: theirs.metrics[key] for key in common}


@pytest.mark.slow
def test_series_of_a_failing_target_go_stale_after_the_grace_period_as_the_collectors_do_at_once(
    name: str, case: OracleCase
) -> None:
    *_, failed, stale = case.push()
    assert not failed.points
    expected = DIFFERENCES.get((name, len(case.collector) - 1), NO_DIFFERENCE)
    assert difference(stale.points, case.collector[-1].points) == sorted(expected.collector)


@pytest.mark.slow
def test_a_page_is_parsed_as_prometheus_stores_it_except_where_a_rule_decides(name: str, case: OracleCase) -> None:
    for frame, result in enumerate(case.scrape_results()):
        expected = DIFFERENCES.get((name, frame), NO_DIFFERENCE)
        assert difference(samples_of(result), case.stored(frame)) == sorted(expected.prometheus)


def test_the_table_of_differences_names_existing_frames() -> None:
    frames = {(name, frame) for name in NAMES for frame in range(len(OracleCase(FILES[name]).collector))}
    assert DIFFERENCES.keys() <= frames
