"""One series, one object: whatever text names it, for as long as any page shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics import MetricFamily, MetricType
from exporter.scrape.cache import MAX_LABELS, LineError, ScrapeCache, unescape

from .parsing import LABELS, LAW, parsed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from exporter.metrics import Series

Pairs = tuple[tuple[str, str], ...]


def text(pairs: Pairs) -> bytes:
    return ("g{" + ",".join(f'{key}="{value}"' for key, value in pairs) + "}").encode()


def learnt(interner: ScrapeCache, spelled: bytes) -> Series:
    series = interner.series_cache("g", MetricType.GAUGE).intern(spelled)
    assert series is not None
    return series


def shown(series: Iterable[Series]) -> MetricFamily:
    known = list(series)
    return MetricFamily("g", MetricType.GAUGE, "", known, [0.0] * len(known))


@pytest.mark.parametrize(
    "spelled",
    [
        b'g{b="2",a="1"}',
        b'g{a="1",b="2",}',
        b'g{a="1",b="2",c=""}',
        b'g{a="1",b="2",__name__="g"}',
        b' g { a = "1" , b = "2" , } ',
        b'g\t{\ta\t=\t"1"\t,b="2"\t}\t',
    ],
)
def test_blanks_order_and_empty_labels_do_not_change_who_it_is(spelled: bytes) -> None:
    interner = ScrapeCache()
    assert learnt(interner, spelled) is learnt(interner, b'g{a="1",b="2"}')
    assert learnt(interner, spelled) is interner.series_cache("g", MetricType.GAUGE).get(spelled)


def test_without_labels_it_is_the_same_with_braces() -> None:
    interner = ScrapeCache()
    assert learnt(interner, b"g{}") is learnt(interner, b"g") is learnt(interner, b"g { } ")


@LAW
@given(st.lists(LABELS, min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_two_texts_name_one_series_just_when_name_and_labels_are_the_same(told: list[Pairs], random: Random) -> None:
    interner = ScrapeCache()
    by_labels: dict[frozenset[tuple[str, str]], Series] = {}
    for pairs in told:
        shuffled = random.sample(pairs, len(pairs))
        labels = frozenset((key, unescape(value)) for key, value in pairs if value)
        series = learnt(interner, text(tuple(shuffled)))
        assert frozenset(series.labels) == labels
        assert by_labels.setdefault(labels, series) is series
    assert len(set(by_labels.values())) == len(by_labels)


def test_a_value_that_looks_like_labels_is_a_value() -> None:
    interner = ScrapeCache()
    odd = learnt(interner, rb'g{a="1\",b=\"2"}')
    assert odd is not learnt(interner, b'g{a="1",b="2"}')
    assert odd.labels == (("a", '1",b="2'),)


def test_labels_stand_in_the_order_of_the_page_and_read_as_they_were_meant() -> None:
    series = learnt(ScrapeCache(), rb'g{z="a\\b\"c\nd\t",le="1",a="{},="}')
    assert series.labels == (("z", 'a\\b"c\nd\\t'), ("le", "1"), ("a", "{},="))


def test_in_help_a_quote_needs_no_escape_and_a_backslash_before_it_stays() -> None:
    assert unescape(r"a\"\\\n\t", quoted=False) == 'a\\"\\\n\\t'
    assert unescape(r"a\"\\\n\t") == 'a"\\\n\\t'


@pytest.mark.parametrize(
    ("spelled", "reason"),
    [
        (b"g{", "syntax"),
        (b"g 1", "syntax"),
        (b"", "syntax"),
        (b'g{a="\xff"}', "utf8"),
        (b'g{a="\xed\xa0\x80"}', "utf8"),
        (b'g{a="1",a=""}', "repeated_label"),
        (text(tuple((f"l{i}", "") for i in range(MAX_LABELS + 1))), "too_many_labels"),
    ],
)
def test_a_text_that_names_no_series_says_why(spelled: bytes, reason: str) -> None:
    with pytest.raises(LineError, match=f"^{reason}$"):
        ScrapeCache().series_cache("g", MetricType.GAUGE).intern(spelled)


def test_as_many_labels_as_allowed_are_all_kept() -> None:
    assert len(learnt(ScrapeCache(), text(tuple((f"l{i}", "x") for i in range(MAX_LABELS)))).labels) == MAX_LABELS


@pytest.mark.parametrize(
    ("kind", "own", "foreign"),
    [
        (MetricType.GAUGE, ["g"], ["g_sum", "g_bucket", "other"]),
        (MetricType.COUNTER, ["g"], ["g_total", "g_created"]),
        (MetricType.HISTOGRAM, ["g_bucket", "g_sum", "g_count"], ["g", "g_total", "g_bucket_sum"]),
        (MetricType.SUMMARY, ["g", "g_sum", "g_count"], ["g_bucket"]),
    ],
)
def test_the_kind_says_which_names_are_a_familys_own(kind: MetricType, own: list[str], foreign: list[str]) -> None:
    texts = ScrapeCache().series_cache("g", kind)
    learnt_names = [series.name for name in own if (series := texts.intern(name.encode()))]
    assert learnt_names == own
    assert [texts.intern(name.encode()) for name in foreign] == [None] * len(foreign)


def test_pages_of_two_targets_share_their_series() -> None:
    interner = ScrapeCache()
    page = b'# TYPE g gauge\ng{a="1"} 1\ng{a="2"} 2\n'
    one, other = (parsed(page, interner=interner).families["g"].series for _ in range(2))
    assert one == other


def test_a_sweep_forgets_what_no_page_shows_and_nothing_else() -> None:
    interner = ScrapeCache()
    spelled = [text((("i", str(i)),)) for i in range(1000)]
    before = [learnt(interner, one) for one in spelled]
    interner.store("a", {"g": shown(before[:50])})
    interner.store("b", {"g": shown(before[40:100])})
    interner.store("gone", {"g": shown(before)})
    interner.evict({"a", "b"})
    texts = interner.series_cache("g", MetricType.GAUGE)
    assert [texts.get(one) for one in spelled[:100]] == before[:100]
    assert [texts.get(one) for one in spelled[100:]] == [None] * 900
    assert learnt(interner, spelled[0]) is before[0]
    assert learnt(interner, spelled[999]) is not before[999]


def test_a_sweep_tells_the_families_of_one_name_apart_by_their_kind() -> None:
    interner = ScrapeCache()
    gauges = [learnt(interner, text((("i", str(i)),))) for i in range(100)]
    counters = [interner.series_cache("g", MetricType.COUNTER).intern(text((("i", str(i)),))) for i in range(100)]
    interner.store("a", {"g": shown(gauges)})
    interner.evict({"a"})
    assert interner.series_cache("g", MetricType.GAUGE).get(b'g{i="7"}') is gauges[7]
    assert interner.series_cache("g", MetricType.COUNTER).get(b'g{i="7"}') is None
    assert counters[7] is not None


def test_what_is_known_stays_bounded_while_pods_come_and_go() -> None:
    interner = ScrapeCache()
    for cycle in range(200):
        family = shown(learnt(interner, text((("pod", f"{cycle}-{i}"),))) for i in range(10))
        interner.store("a", {"g": family})
        interner.evict({"a"})
        assert len(interner.series_cache("g", MetricType.GAUGE)._by_text) <= 4 * len(family) + 64 + 10
