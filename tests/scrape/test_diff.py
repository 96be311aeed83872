"""A page that is similar to the previous one parses as if it were the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics import MetricFamily, series_difference
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.parser import Exposition, ExpositionParser

from .parsing import FORMS, GROUPS, LAW, Group, family_values, page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

BLOCKS = st.sampled_from([700, 5_000, 64 * 1024])


def parse(text: bytes, cache: ScrapeCache, previous: Mapping[str, MetricFamily], block: int = 64 * 1024) -> Exposition:
    parser = ExpositionParser(cache, lambda _: True, 0, previous)
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


def random_edit(rows: list[tuple[str, int]], random: Random) -> list[tuple[str, int]]:
    """Change rows as pages change: new values, rows added and removed, one or many, another order."""
    position = random.randrange(len(rows) + 1) if rows else 0
    count = random.choice([1, 3, 200])
    new = sorted({f"new-{random.randrange(10**6)}": 1 for _ in range(count)}.items() - dict(rows).items())
    edits: tuple[list[tuple[str, int]], ...] = (
        [(name, value + (index % 17 == position % 17)) for index, (name, value) in enumerate(rows)],
        [(name, value + random.randrange(1000)) for name, value in rows],
        [*rows[:position], *new, *rows[position:]],
        [*rows[:position], *rows[position + count :]],
        [*rows[:position], *new[:1], *rows[position + 1 :]],
        random.sample(rows, len(rows)),
        [*rows[position:], *rows[:position]],
        rows,
        [],
    )
    return random.choice(edits)


@pytest.mark.slow
@LAW
@given(st.randoms(use_true_random=False), st.integers(0, 600), BLOCKS, st.integers(1, 5))
def test_changing_pages_parse_as_if_each_were_the_first(random: Random, count: int, block: int, scrapes: int) -> None:
    cache = ScrapeCache()
    rows = [(f"web-{index:04}", index) for index in range(count)]
    previous: Mapping[str, MetricFamily] = {}
    for _ in range(scrapes):
        text = gauge(rows) + histogram(rows[::3])
        result, expected = parse(text, cache, previous, block), parse(text, ScrapeCache(), {})
        assert family_values(result) == family_values(expected)
        assert (result.samples, result.parse_errors) == (expected.samples, expected.parse_errors)
        assert parse(text, cache, {}).families.keys() == result.families.keys()
        second = parse(text, cache, {})
        for name in result.families:
            keys, second_keys = ([series.key for series in page.families[name].series] for page in (result, second))
            assert keys == second_keys, "the same series, in order"
        previous, rows = result.families, random_edit(rows, random)


@pytest.mark.slow
@LAW
@given(st.lists(st.tuples(GROUPS, st.sampled_from(FORMS)), min_size=2, max_size=4), BLOCKS)
def test_irregular_pages_parse_as_if_each_were_the_first(
    pages: list[tuple[tuple[Group, ...], str]], block: int
) -> None:
    cache = ScrapeCache()
    previous: Mapping[str, MetricFamily] = {}
    for groups, form in pages:
        text = page(groups, [form])
        result, expected = parse(text, cache, previous, block), parse(text, ScrapeCache(), {})
        assert family_values(result) == family_values(expected)
        assert (result.samples, result.parse_errors) == (expected.samples, expected.parse_errors)
        previous = result.families


def test_unchanged_batches_are_reused_and_only_the_batch_with_the_change_is_new() -> None:
    cache = ScrapeCache()
    rows = [(f"web-{index:04}", index) for index in range(2000)]
    first = parse(gauge(rows), cache, {}).families["g"]
    second = parse(gauge([*rows[:1000], ("web-0999a", 1), *rows[1000:]]), cache, {"g": first}).families["g"]
    assert len(first.batches) > 20
    assert len(set(second.batches) - set(first.batches)) == 1
    assert [series.label("name") for series in series_difference(second.batches, first.batches)].count("web-0999a") == 1


def test_the_series_of_a_batch_stay_the_same_tuple_if_only_values_change() -> None:
    cache = ScrapeCache()
    rows = [(f"web-{index:04}", index) for index in range(500)]
    first = parse(gauge(rows), cache, {}).families["g"]
    second = parse(gauge([(name, value * 1000) for name, value in rows]), cache, {"g": first}).families["g"]
    assert not set(second.batches) & set(first.batches)
    reused = {id(batch.series) for batch in first.batches} & {id(batch.series) for batch in second.batches}
    assert len(reused) > len(first.batches) / 2


@pytest.mark.parametrize("block", [1, 100, 64 * 1024])
def test_the_type_of_a_family_may_change_from_one_page_to_the_next(block: int) -> None:
    cache = ScrapeCache()
    gauge_page, counter_page = b"# TYPE x gauge\nx 1\n", b"# TYPE x counter\nx 1\n"
    first = parse(gauge_page, cache, {}, block)
    assert parse(counter_page, cache, first.families, block).families["x"].type == "counter"


def test_series_that_are_not_retained_parse_the_same() -> None:
    rows = [(f"web-{index:04}", index) for index in range(300)]
    cache = ScrapeCache(lambda _: False)
    result = parse(gauge(rows), cache, {})
    assert family_values(result) == family_values(parse(gauge(rows), ScrapeCache(), {}))
    assert (
        cache.series_cache("g", result.families["g"].type).get(b'g{namespace="team",name="web-0001",phase="Completed"}')
        is None
    )
    second: Any = parse(gauge(rows), cache, result.families).families["g"]
    assert second.batches == result.families["g"].batches
