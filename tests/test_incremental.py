"""Incremental results equal those computed from scratch; unchanged input is not computed again; unused values go."""

from __future__ import annotations

from array import array
from operator import eq
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from exporter.incremental import (
    GENERATION_CYCLES,
    BatchMemo,
    GenerationalCache,
    KeyedMemo,
    KeyedView,
    OneToManyIndex,
    SeriesFactory,
    per_sample,
)
from exporter.metrics import SampleBatch, Series

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEYS = tuple("abcdef")


def batch(pairs: list[tuple[str, int]]) -> SampleBatch:
    series = tuple(Series("x", (("key", key),)) for key, _ in pairs)
    return SampleBatch(series, array("d", [value for _, value in pairs]), interned=True)


POOL = tuple(
    batch(pairs)
    for pairs in (
        [("a", 1), ("b", 2)],
        [("a", 3)],
        [("c", 4), ("d", 0)],
        [("c", 5), ("e", 6), ("f", 7)],
        [("b", 8), ("f", 9)],
        [],
    )
)
"""Batches of which some share keys, as the pages of two shards may."""
PAGES = st.lists(st.permutations(POOL).flatmap(lambda order: st.integers(0, len(POOL)).map(lambda n: order[:n])))


def pair(labels: Mapping[str, str], value: float) -> tuple[str, float] | None:
    return (labels["key"], value) if value else None


@given(PAGES)
def test_a_batch_memo_holds_the_items_of_the_present_batches_and_computes_each_batch_once(
    pages: list[list[SampleBatch]],
) -> None:
    computed: list[SampleBatch] = []

    def compute(sample_batch: SampleBatch) -> Iterator[tuple[str, float]]:
        computed.append(sample_batch)
        return per_sample(pair)(sample_batch)

    memo = BatchMemo(compute)
    previous: list[SampleBatch] = []
    for page in pages:
        computed.clear()
        assert memo.collect(page) == BatchMemo(per_sample(pair)).collect(page)
        assert computed == [new for new in page if new not in previous]
        assert list(memo.update(page)) == page, "what is on no page is evicted"
        previous = page


@given(PAGES)
def test_the_diff_of_a_batch_memo_leads_from_one_page_to_the_next(pages: list[list[SampleBatch]]) -> None:
    memo = BatchMemo(per_sample(pair))
    items: list[tuple[str, float]] = []
    for page in pages:
        removed, added = memo.diff(page)
        for item in removed:
            items.remove(item)
        items += added
        assert sorted(items) == sorted(memo.values) == sorted(BatchMemo(per_sample(pair)).collect(page))


@given(PAGES)
def test_a_keyed_view_equals_the_mapping_of_the_present_page_and_names_every_key_that_changed(
    pages: list[list[SampleBatch]],
) -> None:
    view = KeyedView(per_sample(pair))
    previous: dict[str, float] = {}
    for page in pages:
        changed = view.apply(page)
        expected = dict(BatchMemo(per_sample(pair)).collect(page))
        assert view.values == expected
        assert {key for key in KEYS if previous.get(key) != expected.get(key)} <= changed
        previous = expected


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), st.sampled_from([(1,), (2,), (3, 4)]))))
def test_a_keyed_memo_computes_only_what_changed_and_hands_on_the_previous_value(
    inputs: list[dict[str, tuple[int, ...]]],
) -> None:
    calls: list[tuple[str, str | None]] = []

    def compute(key: str, value: tuple[int, ...], previous: str | None) -> str:
        calls.append((key, previous))
        return f"{key}{value}"

    memo: KeyedMemo[str, tuple[int, ...], str] = KeyedMemo(compute, same=eq)
    before: dict[str, tuple[int, ...]] = {}
    for now in inputs:
        calls.clear()
        previous = dict(memo.values)
        assert memo.update(dict(now)) == {key: f"{key}{value}" for key, value in now.items()}
        assert calls == [(key, previous.get(key)) for key, value in now.items() if before.get(key) != value]
        assert list(memo.values) == list(now), "a key without input is evicted"
        before = now


def test_a_keyed_memo_compares_inputs_by_identity_unless_another_comparison_is_given() -> None:
    memo: KeyedMemo[str, list[int], int] = KeyedMemo(lambda _, value, previous: len(value) + (previous or 0))
    value = [1]
    assert memo.update({"a": value}) == {"a": 1}
    assert memo.update({"a": value}) == {"a": 1}
    assert memo.update({"a": [1]}) == {"a": 2}


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.none() | st.integers(0, 3))))
def test_an_index_equals_one_that_is_built_from_the_last_parents(moves: list[tuple[str, int | None]]) -> None:
    index: OneToManyIndex[int, str] = OneToManyIndex()
    parents: dict[str, int] = {}
    for child, parent in moves:
        index.put(child, parent)
        parents.pop(child, None)
        if parent is not None:
            parents[child] = parent
        assert index.parents == parents
        for home in range(4):
            assert set(index.children(home)) == {child for child, parent in parents.items() if parent == home}
    assert set(index._children) == set(parents.values()), "a parent without children is evicted"


@given(st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=60))
def test_a_generational_cache_returns_what_is_computed_and_evicts_what_is_not_used(cycles: list[list[int]]) -> None:
    cache: GenerationalCache[int, str] = GenerationalCache()
    last_used: dict[int, int] = {}
    for number, keys in enumerate(cycles):
        assert cache.get_all(keys, str) == [str(key) for key in keys]
        cache.end_cycle()
        last_used |= dict.fromkeys(keys, number)
        assert not any(key in cache for key, last in last_used.items() if number - last > 2 * GENERATION_CYCLES)


def test_a_generational_cache_computes_a_value_once_while_it_is_used() -> None:
    cache: GenerationalCache[str, int] = GenerationalCache()
    computed: list[str] = []

    def compute(key: str) -> int:
        computed.append(key)
        return len(computed)

    assert cache.get_all(["used", "unused"], compute) == [1, 2]
    for _ in range(3 * GENERATION_CYCLES):
        assert cache.get_all(["used"], compute) == [1]
        cache.end_cycle()
    assert "used" in cache
    assert "unused" not in cache
    assert computed == ["used", "unused"]


def test_a_generational_cache_does_not_grow_if_all_keys_change_in_each_cycle() -> None:
    cache: GenerationalCache[int, int] = GenerationalCache()
    sizes = []
    for cycle in range(200):
        cache.get_all(range(cycle * 10, cycle * 10 + 10), int)
        cache.end_cycle()
        sizes.append(len(cache))
    assert max(sizes) <= 60


def test_a_series_factory_returns_the_same_series_for_the_same_labels_and_evicts_unused_ones() -> None:
    factory = SeriesFactory()
    labels = (("namespace", "shop"),)
    first = factory.series("x", labels)
    assert (first.name, first.labels) == ("x", labels)
    assert factory.series("y", labels) is not first
    for _ in range(3 * GENERATION_CYCLES):
        assert factory.series("x", labels) is first
        factory.end_cycle()
    for _ in range(3 * GENERATION_CYCLES):
        factory.end_cycle()
    assert factory.series("x", labels) is not first
