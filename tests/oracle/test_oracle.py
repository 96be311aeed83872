"""Our way from a page to OTLP beside those of the OpenTelemetry Collector and of Prometheus (README.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pytest

from .case import CASES, Case, difference, read


@dataclass(frozen=True, slots=True)
class Differs:
    """Where we differ on purpose: the rule that decides, and what only we say (`+`) and only the peer says (`-`)."""

    rule: str
    collector: tuple[str, ...] = ()
    prometheus: tuple[str, ...] = ()


def alone(rule: str, *lines: str) -> Differs:
    """Both peers say nothing of these."""
    own = tuple(f"+ {line}" for line in lines)
    return Differs(rule, own, own)


ALIKE: Final = Differs("")
NAMES: Final = sorted(path.name.partition(".")[0] for path in CASES.iterdir())
FILES: Final = {path.name.partition(".")[0]: path.name for path in CASES.iterdir()}

TIME: Final = "DESIGN 2: the tick is the time of every point, an explicit time is not used (T08, T45)"
LINE: Final = "DESIGN 2: a malformed line costs itself; both peers lose the page"
HELD: Final = "DESIGN 4: a failed scrape ends nothing before the grace does (T42)"
EDGE: Final = "T22: a distribution with an edge that is no number is dropped whole and counted"
NEVER: Final = "the end marker of a point that was dropped each time is sent, too; it ends nothing"
LOST: Final = "DESIGN 2: a page cut short is nothing, even where the cut number looks whole (T42)"
JSON: Final = "T52: JSON is refused, as Prometheus does"
DIFFERENT: Final = {
    ("t08-explicit-ts", 0): Differs(
        TIME,
        ('+ e{k="new"} 2', '+ e{k="old"} 1', '- e{k="new"} 2 @base-5000ms', '- e{k="old"} 1 @base-30000ms'),
        ('+ e{k="new"} 2', '+ e{k="old"} 1'),
    ),
    ("t08-explicit-ts", 1): Differs(
        TIME,
        ('+ e{k="new"} 2', '+ e{k="old"} 1', '- e{k="new"} 2 @base-4000ms', '- e{k="old"} 1 @base-30000ms'),
        ('+ e{k="new"} 2', '+ e{k="old"} 1'),
    ),
    ("t08-explicit-ts", 2): Differs(TIME, ('+ e{k="new"} ended', '+ e{k="old"} ended')),
    ("t08-explicit-ts-tracked", 0): Differs(
        TIME, ('+ e{k="new"} 2', '- e{k="new"} 2 @base-5000ms'), ('+ e{k="new"} 2',)
    ),
    ("t15-overflow-value", 0): alone(LINE, "v 1"),
    ("t15-overflow-value", 1): Differs(LINE, ("+ v ended",)),
    ("t15-underscore-value", 0): alone(LINE, "v 1"),
    ("t15-underscore-value", 1): Differs(LINE, ("+ v ended",)),
    ("t21-bad-le", 0): Differs(
        EDGE,
        (
            '+ h{k="dup"} count 4 sum 1 1:1 +Inf:3',
            '- h{k="bad"} count 4 sum 1 +Inf:4',
            '- h{k="dup"} count 4 sum 1 1:1 1:1 +Inf:2',
            '- h{k="nanle"} count 4 sum 1 nan:1 +Inf:3',
            '- h{k="nole"} count 4 sum 1 +Inf:4',
        ),
        ('+ h_bucket{k="dup",le="1"} 2',),
    ),
    ("t21-bad-le", 1): Differs(
        EDGE, ('- h{k="bad"} ended +Inf:0', '- h{k="nanle"} ended nan:0 +Inf:0', '- h{k="nole"} ended +Inf:0')
    ),
    ("t23-no-count", 1): Differs(NEVER, ("+ h ended 1:0 +Inf:0",)),
    ("t29-summary", 0): Differs(EDGE, ('- s{k="badq"} count 4 sum 3', '- s{k="noq"} count 4 sum 3')),
    ("t29-summary", 1): Differs(
        f"{EDGE}; {NEVER}",
        (
            '+ s{k="nocount"} ended 0.5=0',
            '+ s{k="qonly"} ended 0.5=0',
            '- s{k="badq"} ended',
            '- s{k="noq"} ended',
        ),
    ),
    ("t31-text-exemplar", 0): alone(LINE, "ok 1"),
    ("t31-text-exemplar", 1): Differs(LINE, ("+ ok ended",)),
    ("t32-bad-name", 0): alone(LINE, "g 1"),
    ("t32-bad-name", 1): alone(LINE, "g 1"),
    ("t32-label-name-odd", 1): alone("T32: __name__ as a label is left out; both peers lose the page", "g 1"),
    ("t32-label-name-odd", 2): Differs("as before", ("+ g ended",)),
    ("t33-dup-label", 0): alone(LINE, 'l{a="3"} 2', "ok 1"),
    ("t33-dup-label", 1): Differs(LINE, ('+ l{a="3"} ended', "+ ok ended")),
    ("t42-http-500", 1): Differs(HELD, ("- g ended",)),
    ("t42-parse-error", 1): Differs(
        f"{LINE}; what is absent from the page proves nothing",
        ('+ g{i="1"} 2', '+ g{i="3"} 1', '- g{i="2"} ended'),
        ('+ g{i="1"} 2', '+ g{i="3"} 1'),
    ),
    ("t42-parse-error", 2): Differs(
        "T41: two series are gone from a good page of a leader that led before",
        ('+ g{i="2"} ended', '+ g{i="3"} ended'),
    ),
    ("t51-empty", 1): Differs("T47: an empty page of 200 is a standby's, whose silence proves nothing", ("- g ended",)),
    ("t52-json-ctype", 0): Differs(JSON, ("- g 1",)),
    ("t52-json-ctype", 1): Differs(JSON, ("- g ended",)),
    ("t52-text-truncated", 1): Differs(
        LOST, ('- g{a="1"} 1', '- g{a="2"} 12'), ('- g{a="1"} 1', '- g{a="2"} 12')
    ),
    ("t52-text-truncated", 2): Differs(LOST, ('- g{a="1"} ended', '- g{a="2"} ended')),
}  # fmt: skip # a table


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def case(name: str) -> Case:
    return Case(FILES[name])


def test_a_page_is_pushed_as_the_collector_pushes_it_but_where_a_rule_decides(name: str, case: Case) -> None:
    pushed = case.pushed()
    for frame, theirs in enumerate(case.collector[:-1]):
        rule = DIFFERENT.get((name, frame), ALIKE)
        assert difference(pushed[frame].points, theirs.points) == sorted(rule.collector)
        both = pushed[frame].metrics.keys() & theirs.metrics.keys()
        assert {one: pushed[frame].metrics[one] for one in both} == {one: theirs.metrics[one] for one in both}


def test_a_target_that_stays_silent_ends_at_the_end_of_the_grace_what_the_collector_ends_at_once(
    name: str, case: Case
) -> None:
    *_, failed, ended = case.pushed()
    assert not failed.points
    rule = DIFFERENT.get((name, len(case.collector) - 1), ALIKE)
    assert difference(ended.points, case.collector[-1].points) == sorted(rule.collector)


def test_a_page_is_read_as_prometheus_stores_it_but_where_a_rule_decides(name: str, case: Case) -> None:
    for frame, page in enumerate(case.pages()):
        rule = DIFFERENT.get((name, frame), ALIKE)
        assert difference(read(page), case.stored(frame)) == sorted(rule.prometheus)


def test_the_table_of_differences_names_frames_that_there_are() -> None:
    frames = {(name, frame) for name in NAMES for frame in range(len(Case(FILES[name]).collector))}
    assert DIFFERENT.keys() <= frames
