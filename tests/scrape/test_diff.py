"""A page that is much like the last one is read as if it were the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics import MetricFamily, series_difference
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.parser import Exposition, Parser

from .parsing import FORMS, GROUPS, LAW, Group, page, told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

BLOCKS = st.sampled_from([700, 5_000, 64 * 1024])


def read(text: bytes, interner: ScrapeCache, former: Mapping[str, MetricFamily], block: int = 64 * 1024) -> Exposition:
    parser = Parser(interner, lambda _: True, 0, former)
    for start in range(0, len(text), block):
        parser.feed(text[start : start + block])
    return parser.finish()


def gauge(rows: Sequence[tuple[str, int]]) -> bytes:
    lines = [f'g{{namespace="team",name="{name}",phase="Completed"}} {value}\n' for name, value in rows]
    return ("# HELP g Some gauge.\n# TYPE g gauge\n" + "".join(lines)).encode()


def histogram(rows: Sequence[tuple[str, int]]) -> bytes:
    lines = [
        f'h_bucket{{name="{name}",le="0.5"}} {value}\nh_bucket{{name="{name}",le="+Inf"}} {2 * value}\n'
        f'h_sum{{name="{name}"}} {value / 7}\nh_count{{name="{name}"}} {2 * value}\n'
        for name, value in rows
    ]
    return ("# TYPE h histogram\n" + "".join(lines)).encode()


def edited(rows: list[tuple[str, int]], random: Random) -> list[tuple[str, int]]:
    """Do to a page what happens to pages: values change, things come and go, many at once or one, order may change."""
    some = random.randrange(len(rows) + 1) if rows else 0
    many = random.choice([1, 3, 200])
    new = sorted({f"new-{random.randrange(10**6)}": 1 for _ in range(many)}.items() - dict(rows).items())
    deeds: tuple[list[tuple[str, int]], ...] = (
        [(name, value + (at % 17 == some % 17)) for at, (name, value) in enumerate(rows)],
        [(name, value + random.randrange(1000)) for name, value in rows],
        [*rows[:some], *new, *rows[some:]],
        [*rows[:some], *rows[some + many :]],
        [*rows[:some], *new[:1], *rows[some + 1 :]],
        random.sample(rows, len(rows)),
        [*rows[some:], *rows[:some]],
        rows,
        [],
    )
    return random.choice(deeds)


@LAW
@given(st.randoms(use_true_random=False), st.integers(0, 600), BLOCKS, st.integers(1, 5))
def test_pages_that_change_are_read_as_if_each_were_the_first(
    random: Random, many: int, block: int, turns: int
) -> None:
    interner = ScrapeCache()
    rows = [(f"web-{at:04}", at) for at in range(many)]
    former: Mapping[str, MetricFamily] = {}
    for _ in range(turns):
        text = gauge(rows) + histogram(rows[::3])
        found, plain = read(text, interner, former, block), read(text, ScrapeCache(), {})
        assert told(found) == told(plain)
        assert (found.samples, found.parse_errors) == (plain.samples, plain.parse_errors)
        assert read(text, interner, {}).families.keys() == found.families.keys()
        again = read(text, interner, {})
        for name, family in found.families.items():
            assert list(family.series) == list(again.families[name].series), "the very same series, in order"
        former, rows = found.families, edited(rows, random)


@LAW
@given(st.lists(st.tuples(GROUPS, st.sampled_from(FORMS)), min_size=2, max_size=4), BLOCKS)
def test_odd_pages_are_read_as_if_each_were_the_first(pages: list[tuple[tuple[Group, ...], str]], block: int) -> None:
    interner = ScrapeCache()
    former: Mapping[str, MetricFamily] = {}
    for groups, form in pages:
        text = page(groups, [form])
        found, plain = read(text, interner, former, block), read(text, ScrapeCache(), {})
        assert told(found) == told(plain)
        assert (found.samples, found.parse_errors) == (plain.samples, plain.parse_errors)
        former = found.families


def test_what_stays_is_handed_out_again_and_only_the_strip_with_the_change_is_new() -> None:
    interner = ScrapeCache()
    rows = [(f"web-{at:04}", at) for at in range(2000)]
    first = read(gauge(rows), interner, {}).families["g"]
    second = read(gauge([*rows[:1000], ("web-0999a", 1), *rows[1000:]]), interner, {"g": first}).families["g"]
    assert len(first.batches) > 20
    assert len(set(second.batches) - set(first.batches)) == 1
    assert [series.label("name") for series in series_difference(second.batches, first.batches)].count("web-0999a") == 1


def test_where_only_values_change_the_series_of_a_strip_stay_the_same_tuple() -> None:
    interner = ScrapeCache()
    rows = [(f"web-{at:04}", at) for at in range(500)]
    first = read(gauge(rows), interner, {}).families["g"]
    second = read(gauge([(name, value * 1000) for name, value in rows]), interner, {"g": first}).families["g"]
    assert not set(second.batches) & set(first.batches)
    kept = {id(strip.series) for strip in first.batches} & {id(strip.series) for strip in second.batches}
    assert len(kept) > len(first.batches) / 2


@pytest.mark.parametrize("block", [1, 100, 64 * 1024])
def test_a_familys_kind_may_change_from_one_page_to_the_next(block: int) -> None:
    interner = ScrapeCache()
    one, other = b"# TYPE x gauge\nx 1\n", b"# TYPE x counter\nx 1\n"
    first = read(one, interner, {}, block)
    assert read(other, interner, first.families, block).families["x"].type == "counter"


def test_series_that_are_never_said_are_not_kept_and_read_the_same() -> None:
    rows = [(f"web-{at:04}", at) for at in range(300)]
    unsaid = ScrapeCache(lambda _: False)
    found = read(gauge(rows), unsaid, {})
    assert told(found) == told(read(gauge(rows), ScrapeCache(), {}))
    assert (
        unsaid.series_cache("g", found.families["g"].type).get(b'g{namespace="team",name="web-0001",phase="Completed"}')
        is None
    )
    again: Any = read(gauge(rows), unsaid, found.families).families["g"]
    assert again.batches == found.families["g"].batches
