"""Families that are exported unchanged: those of leaders, and `kube_pod_labels` of rollout pods.

Of `rollout_events_total` only the selected series, each unchanged.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import compress
from operator import is_
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from exporter.metrics import MetricFamily, SampleBatch, ScrapeResult, merge_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from exporter.rollouts.model import TrackingPolicy

T = TypeVar("T")
POD_LABELS: Final = "kube_pod_labels"
EVENTS: Final = "rollout_events_total"


class PassThrough:
    """Selects the families that the settings pass through.

    `type_conflicts` counts the samples of the last tick whose family has another type on an earlier page (T06).
    """

    def __init__(self, policy: TrackingPolicy) -> None:
        self.type_conflicts = 0
        self._policy = policy
        self._pod_labels = SeriesFilter(lambda labels: (labels.get("namespace", ""), labels.get("pod", "")))
        self._events = _event_filter(policy.passes_event) if policy.passes_event is not None else None
        self._namespaces: dict[str, SeriesFilter[str]] = {}

    def families(
        self, leaders: Sequence[ScrapeResult], results: Iterable[ScrapeResult], pods: Collection[tuple[str, str]]
    ) -> tuple[MetricFamily, ...]:
        """Return the families of the leaders, and pod labels of kube-state-metrics' `results` for `pods`.

        Pods are namespace and name.
        """
        selected: dict[str, list[MetricFamily]] = {}
        passes = self._policy.passes_through
        for result in leaders:
            for family in result.families.values():
                if len(family) and passes(family.name):
                    selected.setdefault(family.name, []).append(family)
        pod_labels = [result.families[POD_LABELS] for result in results if POD_LABELS in result.families]
        if pod_labels and passes(POD_LABELS):
            of_pods = self._pod_labels.filter(_merge(pod_labels), pods.__contains__)
            selected.setdefault(POD_LABELS, []).append(of_pods)
        self._namespaces = {name: by_namespace for name, by_namespace in self._namespaces.items() if name in selected}
        merged = [_merge(families) for families in selected.values()]
        self.type_conflicts = sum(len(item) for families in selected.values() for item in _of_other_types(families))
        allowed = map(self._in_allowed_namespaces, map(self._selected_events, merged))
        return tuple(family for family in allowed if len(family))

    def _selected_events(self, family: MetricFamily) -> MetricFamily:
        """Drop the series of events that are not selected; other families stay as they are."""
        if family.name != EVENTS or self._events is None:
            return family
        return self._events.filter(family, bool)

    def _in_allowed_namespaces(self, family: MetricFamily) -> MetricFamily:
        """Drop the series of namespaces that are not tracked."""
        is_allowed = self._policy.namespace_allowed
        if is_allowed is None:
            return family
        series_filter = self._namespaces.setdefault(
            family.name, SeriesFilter(lambda labels: labels.get("namespace", ""))
        )
        # Series without a namespace, such as those of the controller itself, pass.
        return series_filter.filter(family, lambda namespace: not namespace or is_allowed(namespace))


@dataclass(frozen=True, slots=True, eq=False)
class _FilteredBatch(Generic[T]):
    """A batch, the key of each of its series, which of them pass, and the batch of these."""

    batch: SampleBatch
    keys: tuple[T, ...]
    passing: list[bool]
    filtered: SampleBatch


class SeriesFilter(Generic[T]):
    """Filters the series of one family by a key that is read from their labels once for each tuple of series.

    A batch whose decisions are the same as before stays the same object, and its series the same tuple while only
    values change, so that their encoded points are reused.
    """

    def __init__(self, key: Callable[[Mapping[str, str]], T]) -> None:
        self._key = key
        # By id(batch.series). The entry holds the batch, so that the id is not reused.
        self._by_series: dict[int, _FilteredBatch[T]] = {}

    def filter(self, family: MetricFamily, keep: Callable[[T], bool]) -> MetricFamily:
        """Return a family of the series to keep; the family itself if that is all of them."""
        previous = self._by_series
        entries = [self._filter_batch(batch, keep, previous.get(id(batch.series))) for batch in family.batches]
        self._by_series = {id(entry.batch.series): entry for entry in entries}
        batches = [entry.filtered for entry in entries]
        if all(map(is_, batches, family.batches)):
            return family
        return MetricFamily.from_batches(family.name, family.type, family.help, filter(len, batches))

    def _filter_batch(
        self, batch: SampleBatch, keep: Callable[[T], bool], previous: _FilteredBatch[T] | None
    ) -> _FilteredBatch[T]:
        keys = tuple(self._key(dict(series.labels)) for series in batch.series) if previous is None else previous.keys
        passing = list(map(keep, keys))
        if all(passing):
            return _FilteredBatch(batch, keys, passing, batch)
        same = previous if previous is not None and previous.passing == passing else None
        if same is not None and same.batch is batch:
            return same
        start_times = None if batch.start_times is None else array("d", compress(batch.start_times, passing))
        series = tuple(compress(batch.series, passing)) if same is None else same.filtered.series
        values = array("d", compress(batch.values, passing))
        series_keys = array("q", compress(batch.keys, passing))
        filtered = SampleBatch(series, values, start_times, interned=batch.interned, keys=series_keys)
        return _FilteredBatch(batch, keys, passing, filtered)


def _event_filter(passes_event: Callable[[str, str], bool]) -> SeriesFilter[bool]:
    return SeriesFilter(lambda labels: passes_event(labels.get("type", ""), labels.get("reason", "")))


def _merge(families: Sequence[MetricFamily]) -> MetricFamily:
    """Merge one family of several pages; a series on several pages has the value of the first one (T40).

    A name has the type of the first page (T06): series of another one would be other points with the same labels.
    """
    first = families[0]
    same_type = [family for family in families if family.type is first.type]
    if len(same_type) == 1:
        return first
    batches = [batch for family in same_type for batch in family.batches]
    return merge_batches(first.name, first.type, first.help, batches)


def _of_other_types(families: Sequence[MetricFamily]) -> Iterator[MetricFamily]:
    return (family for family in families if family.type is not families[0].type)
