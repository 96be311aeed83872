"""Series that are packed are other objects at each access: whether two are the same is decided by their keys."""

from __future__ import annotations

import pickle
from array import array
from itertools import chain
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics import SampleBatch, may_repeat
from exporter.rollouts.output.staleness import AbsencePolicy, StalenessTracker
from exporter.scrape.cache import ScrapeCache, ScrapedSeries
from exporter.scrape.parser import ExpositionParser
from tests.scrape.parsing import always_selected

if TYPE_CHECKING:
    from exporter.metrics import MetricFamily

CACHE = ScrapeCache()
GROUPS = st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True), max_size=4)


def batch(keys: list[int]) -> SampleBatch:
    return SampleBatch([object()] * len(keys), [0.0] * len(keys), keys=array("q", keys))  # type: ignore[list-item] # not read


@given(GROUPS, GROUPS, st.sets(st.integers(0, 3)))
def test_a_repetition_is_found_by_what_is_new_if_the_former_batches_had_none(
    former_groups: list[list[int]], new_groups: list[list[int]], staying: set[int]
) -> None:
    former_keys: set[int] = set()
    former = []
    for keys in former_groups:
        former.append(batch([key for key in keys if key not in former_keys]))
        former_keys.update(keys)
    former = [item for item in former if len(item)]
    batches = [item for place, item in enumerate(former) if place in staying] + [*map(batch, new_groups)]
    keys = list(chain.from_iterable(item.keys for item in batches))
    assert may_repeat(batches, former) == (len(set(keys)) < len(keys))


def page(*numbers: int, value: int = 1) -> bytes:
    return b"# TYPE g gauge\n" + b"".join(b'g{a="%d"} %d\n' % (number, value) for number in numbers)


def family(text: bytes, previous: MetricFamily | None = None) -> MetricFamily:
    """Return the family of a page; `previous` is that of the target's previous page."""
    previous_families = {"g": previous} if previous is not None else {}
    parser = ExpositionParser(CACHE, always_selected, previous_families=previous_families)
    parser.feed(text)
    return parser.finish().families["g"]


def stale(tracker: StalenessTracker, now: float, *families: MetricFamily) -> list[str]:
    policy = AbsencePolicy(now, 0.0, (), (), ())
    return [str(series) for stale_family in tracker.update(families, policy) for series in stale_family.series]


def test_a_series_on_the_page_of_another_target_does_not_go_stale() -> None:
    tracker = StalenessTracker()
    assert stale(tracker, 1.0, family(page(1, 2, 3))) == []
    other_target = family(page(3, 1))
    assert stale(tracker, 2.0, other_target) == ['g{a="2"}']
    assert stale(tracker, 3.0, other_target) == []


def test_a_series_that_is_written_in_another_way_does_not_go_stale() -> None:
    tracker, lines = StalenessTracker(), (b'{a="1",b="2"}', b'{b="2", a="1"}', b'{a="1",b="2",c=""}', b'{a="1",b="2"}')
    for now, line in enumerate(lines):
        assert stale(tracker, now, family(b"# TYPE g gauge\ng" + line + b" 1\n")) == []
    assert stale(tracker, 9.0) == ['g{a="1",b="2"}']


def test_a_column_of_series_is_the_same_object_while_only_values_change() -> None:
    first = family(page(1, 2, 3))
    second = family(page(1, 2, 3, value=2), first)
    third = family(page(1, 2, 4, value=2), second)
    assert first.batches[0] is not second.batches[0]
    assert first.batches[0].series is second.batches[0].series
    assert second.batches[0].series is not third.batches[0].series


def test_a_series_of_a_page_is_the_same_in_another_process() -> None:
    series = ScrapedSeries(b'x_total{a="1",b="2"}')
    copied = pickle.loads(pickle.dumps(series))
    assert (copied.name, copied.labels, copied.key) == (series.name, series.labels, series.key)
