"""One series is one object, whatever its text, for as long as any page has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics import MetricFamily, MetricType, merge_batches
from exporter.scrape.cache import MAX_LABELS, LineError, ScrapeCache, SeriesCache, unescape

from .parsing import LABELS, LAW, parse_page

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from exporter.metrics import Series

Pairs = tuple[tuple[str, str], ...]
PIECES = (
    b'g{a="',
    b'g{a="1",b="',
    b'g{b="',
    b'"}',
    b'",b="2"}',
    b'",a="1"}',
    b'"',
    b"\\",
    b"1",
    b"x",
    b"",
    b",",
    b"g",
    b"}",
)


def series_bytes(pairs: Pairs) -> bytes:
    return ("g{" + ",".join(f'{key}="{value}"' for key, value in pairs) + "}").encode()


def interned(cache: ScrapeCache, series_text: bytes) -> Series:
    series = cache.series_cache("g", MetricType.GAUGE).intern(series_text)
    assert series is not None
    return series


def family_of(series: Iterable[Series]) -> MetricFamily:
    column = list(series)
    return MetricFamily("g", MetricType.GAUGE, "", column, [0.0] * len(column))


def outcome_of(cache: SeriesCache, series_text: bytes) -> object:
    """Return the labels of a text, or the reason why it is none of the family."""
    try:
        series = cache.intern(series_text)
    except LineError as error:
        return str(error)
    return None if series is None else (series.name, series.labels)


@LAW
@given(
    st.lists(st.lists(st.sampled_from(PIECES), min_size=2, max_size=9).map(b"".join), min_size=1, max_size=5),
    st.booleans(),
)
def test_no_text_before_changes_what_a_text_means(texts: list[bytes], retained: bool) -> None:  # noqa: FBT001
    cache = SeriesCache("g", MetricType.GAUGE, retained=retained)
    for text in [b'g{a="1"}', b'g{a="1",b="2"}', b'g{b="1",a="2"}', b"g", *texts]:
        assert outcome_of(cache, text) == outcome_of(SeriesCache("g", MetricType.GAUGE, retained=retained), text)


@pytest.mark.parametrize("retained", [True, False])
@pytest.mark.parametrize("series_text", [b'g{a="1"}"x', b'g{a="1"', b'g{a="1}', b'g{"1"a="1"}', b'g{a="\xff"}'])
def test_a_broken_text_is_no_series_after_a_valid_one_like_it(series_text: bytes, retained: bool) -> None:  # noqa: FBT001
    cache = SeriesCache("g", MetricType.GAUGE, retained=retained)
    assert cache.intern(b'g{a="1"}') is not None
    with pytest.raises(LineError):
        cache.intern(series_text)


@pytest.mark.parametrize(
    "series_text",
    [
        b'g{b="2",a="1"}',
        b'g{a="1",b="2",}',
        b'g{a="1",b="2",c=""}',
        b'g{a="1",b="2",__name__="g"}',
        b' g { a = "1" , b = "2" , } ',
        b'g\t{\ta\t=\t"1"\t,b="2"\t}\t',
    ],
)
def test_white_space_order_and_empty_labels_do_not_change_the_series(series_text: bytes) -> None:
    cache = ScrapeCache()
    assert interned(cache, series_text) is interned(cache, b'g{a="1",b="2"}')
    assert interned(cache, series_text) is cache.series_cache("g", MetricType.GAUGE).get(series_text)


def test_empty_braces_do_not_change_the_series() -> None:
    cache = ScrapeCache()
    assert interned(cache, b"g{}") is interned(cache, b"g") is interned(cache, b"g { } ")


@LAW
@given(st.lists(LABELS, min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_two_texts_are_one_series_exactly_if_name_and_labels_are_equal(label_sets: list[Pairs], random: Random) -> None:
    cache = ScrapeCache()
    by_labels: dict[frozenset[tuple[str, str]], Series] = {}
    for pairs in label_sets:
        shuffled = random.sample(pairs, len(pairs))
        labels = frozenset((key, unescape(value)) for key, value in pairs if value)
        series = interned(cache, series_bytes(tuple(shuffled)))
        assert frozenset(series.labels) == labels
        assert by_labels.setdefault(labels, series) is series
    assert len(set(by_labels.values())) == len(by_labels)


def test_a_value_that_looks_like_labels_is_a_value() -> None:
    cache = ScrapeCache()
    series = interned(cache, rb'g{a="1\",b=\"2"}')
    assert series is not interned(cache, b'g{a="1",b="2"}')
    assert series.labels == (("a", '1",b="2'),)


def test_labels_are_decoded_in_the_order_of_the_page() -> None:
    series = interned(ScrapeCache(), rb'g{z="a\\b\"c\nd\t",le="1",a="{},="}')
    assert series.labels == (("z", 'a\\b"c\nd\\t'), ("le", "1"), ("a", "{},="))


def test_an_escaped_quote_in_help_is_left_as_it_is() -> None:
    assert unescape(r"a\"\\\n\t", quoted=False) == 'a\\"\\\n\\t'
    assert unescape(r"a\"\\\n\t") == 'a"\\\n\\t'


@pytest.mark.parametrize(
    ("series_text", "reason"),
    [
        (b"g{", "syntax"),
        (b"g 1", "syntax"),
        (b"", "syntax"),
        (b'g{a="\xff"}', "utf8"),
        (b'g{a="\xed\xa0\x80"}', "utf8"),
        (b'g{a="1",a=""}', "repeated_label"),
        (series_bytes(tuple((f"l{i}", "") for i in range(MAX_LABELS + 1))), "too_many_labels"),
    ],
)
def test_a_text_that_is_no_series_is_rejected_with_a_reason(series_text: bytes, reason: str) -> None:
    with pytest.raises(LineError, match=f"^{reason}$"):
        ScrapeCache().series_cache("g", MetricType.GAUGE).intern(series_text)


def test_labels_up_to_the_limit_are_all_parsed() -> None:
    assert (
        len(interned(ScrapeCache(), series_bytes(tuple((f"l{i}", "x") for i in range(MAX_LABELS)))).labels)
        == MAX_LABELS
    )


@pytest.mark.parametrize(
    ("metric_type", "own_names", "foreign_names"),
    [
        (MetricType.GAUGE, ["g"], ["g_sum", "g_bucket", "other"]),
        (MetricType.COUNTER, ["g"], ["g_total", "g_created"]),
        (MetricType.HISTOGRAM, ["g_bucket", "g_sum", "g_count"], ["g", "g_total", "g_bucket_sum"]),
        (MetricType.SUMMARY, ["g", "g_sum", "g_count"], ["g_bucket"]),
    ],
)
def test_the_type_decides_which_names_belong_to_a_family(
    metric_type: MetricType, own_names: list[str], foreign_names: list[str]
) -> None:
    series_cache = ScrapeCache().series_cache("g", metric_type)
    interned_names = [series.name for name in own_names if (series := series_cache.intern(name.encode()))]
    assert interned_names == own_names
    assert [series_cache.intern(name.encode()) for name in foreign_names] == [None] * len(foreign_names)


def test_series_on_the_pages_of_two_targets_have_the_same_keys_however_they_are_written() -> None:
    cache = ScrapeCache()
    first, second, third = (
        parse_page(b"# TYPE g gauge\n" + lines, cache=cache).families["g"]
        for lines in (
            b'g{a="1",b="2"} 1\ng{a="2"} 2\n',
            b'g{a="2"} 3\ng{a="1",b="2"} 4\n',
            b'g{ b="2", a="1"} 5\ng{a="2",b=""} 6\ng{a="3"} 7\n',
        )
    )
    merged = merge_batches("g", MetricType.GAUGE, "", [*first.batches, *second.batches, *third.batches])
    assert [(str(series), value) for series, value in merged.samples()] == [
        ('g{a="1",b="2"}', 1),
        ('g{a="2"}', 2),
        ('g{a="3"}', 7),
    ]


def test_eviction_drops_exactly_the_series_that_no_page_has() -> None:
    cache = ScrapeCache()
    texts = [series_bytes((("i", str(i)),)) for i in range(1000)]
    series_list = [interned(cache, text) for text in texts]
    cache.store("a", {"g": family_of(series_list[:50])})
    cache.store("b", {"g": family_of(series_list[40:100])})
    cache.store("gone", {"g": family_of(series_list)})
    cache.evict({"a", "b"})
    series_cache = cache.series_cache("g", MetricType.GAUGE)
    assert [series_cache.get(text) for text in texts[:100]] == series_list[:100]
    assert [series_cache.get(text) for text in texts[100:]] == [None] * 900
    assert interned(cache, texts[0]) is series_list[0]
    assert interned(cache, texts[999]) is not series_list[999]


def test_eviction_distinguishes_families_of_one_name_by_type() -> None:
    cache = ScrapeCache()
    gauges = [interned(cache, series_bytes((("i", str(i)),))) for i in range(100)]
    counters = [cache.series_cache("g", MetricType.COUNTER).intern(series_bytes((("i", str(i)),))) for i in range(100)]
    cache.store("a", {"g": family_of(gauges)})
    cache.evict({"a"})
    assert cache.series_cache("g", MetricType.GAUGE).get(b'g{i="7"}') is gauges[7]
    assert cache.series_cache("g", MetricType.COUNTER).get(b'g{i="7"}') is None
    assert counters[7] is not None


def test_the_cache_stays_bounded_while_pods_come_and_go() -> None:
    cache = ScrapeCache()
    for cycle in range(200):
        family = family_of(interned(cache, series_bytes((("pod", f"{cycle}-{i}"),))) for i in range(10))
        cache.store("a", {"g": family})
        cache.evict({"a"})
        assert len(cache.series_cache("g", MetricType.GAUGE)._by_text) <= 4 * len(family) + 64 + 10


@pytest.mark.parametrize("text", ['g{{a="{}"}}', 'g{{a="{}",b=""}}'], ids=["by its frame", "by the grammar"])
@pytest.mark.parametrize(("length", "is_shared"), [(100, True), (101, False)])
def test_a_label_value_is_one_object_for_all_series_unless_it_is_long(
    text: str, length: int, *, is_shared: bool
) -> None:
    values = [dict(interned(ScrapeCache(), text.format("x" * length).encode()).labels)["a"] for _ in range(2)]
    assert values == ["x" * length] * 2
    assert (values[0] is values[1]) == is_shared
