"""Families that pass through unchanged: the leader's, and `kube_pod_labels` of rollout pods."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import compress
from operator import is_
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from exporter.metrics import MetricFamily, SampleBatch, Source, merge_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from exporter.metrics import ScrapeResult
    from exporter.rollouts.policy import TrackingPolicy

T = TypeVar("T")
POD_LABELS: Final = "kube_pod_labels"


class Passing:
    """Lets families pass, those of leaders and pod labels, from tick to tick."""

    def __init__(self, rules: TrackingPolicy) -> None:
        self._rules = rules
        self._pod_labels = Selection(lambda labels: (labels.get("namespace", ""), labels.get("pod", "")))
        self._namespaces: dict[str, Selection[str]] = {}

    def families(
        self, leaders: Sequence[ScrapeResult], others: Iterable[ScrapeResult], pods: Collection[tuple[str, str]]
    ) -> tuple[MetricFamily, ...]:
        """Return what passes; `pods` are the (namespace, pod) of rollouts."""
        chosen: dict[str, list[MetricFamily]] = {}
        passes = self._rules.passes
        for page in leaders:
            for family in page.families.values():
                if len(family) and passes(family.name):
                    chosen.setdefault(family.name, []).append(family)
        labelled = [
            page.families[POD_LABELS]
            for page in others
            if page.source is Source.KUBE_STATE_METRICS and POD_LABELS in page.families and passes(POD_LABELS)
        ]
        if labelled:
            own = self._pod_labels.of(_merged(labelled), pods.__contains__)
            chosen.setdefault(POD_LABELS, []).append(own)
        passed: list[MetricFamily] = []
        for families in chosen.values():
            family = self._watched(_merged(families))
            passed += [family] if len(family) else []
        return tuple(passed)

    def _watched(self, family: MetricFamily) -> MetricFamily:
        """Leave out the series of namespaces that are not watched."""
        watched = self._rules.watched
        if watched is None:
            return family
        known = self._namespaces.setdefault(family.name, Selection(lambda labels: labels.get("namespace", "")))
        return known.of(family, lambda namespace: not namespace or watched(namespace))


@dataclass(frozen=True, slots=True)
class _Selected:
    """What the series of a strip are about, which of them are kept, and the strip that they make."""

    about: tuple[Any, ...]
    kept: list[bool]
    strip: SampleBatch


class Selection(Generic[T]):
    """Selects series of one family by something that `about` reads from their labels, once for each strip."""

    def __init__(self, about: Callable[[Mapping[str, str]], T]) -> None:
        self._about = about
        self._selected: dict[SampleBatch, _Selected] = {}

    def of(self, family: MetricFamily, keep: Callable[[T], bool]) -> MetricFamily:
        """Return a family with only the series that are kept; the family itself when that is all of them."""
        before, self._selected = self._selected, {}
        for strip in family.batches:
            self._selected[strip] = self._select(strip, before.get(strip), keep)
        strips = [self._selected[strip].strip for strip in family.batches]
        if all(map(is_, strips, family.batches)):
            return family
        return MetricFamily.from_batches(family.name, family.type, family.help, filter(len, strips))

    def _select(self, strip: SampleBatch, known: _Selected | None, keep: Callable[[T], bool]) -> _Selected:
        about = known.about if known else tuple(self._about(dict(series.labels)) for series in strip.series)
        kept = list(map(keep, about))
        if known is not None and known.kept == kept:
            return known
        return _Selected(about, kept, strip if all(kept) else _only(strip, kept))


def _only(strip: SampleBatch, kept: Sequence[bool]) -> SampleBatch:
    starts = None if strip.start_times is None else array("d", compress(strip.start_times, kept))
    series, values = tuple(compress(strip.series, kept)), array("d", compress(strip.values, kept))
    return SampleBatch(series, values, starts, interned=strip.interned)


def _merged(families: Sequence[MetricFamily]) -> MetricFamily:
    """Join one family of several pages; of a series that several show the first page's is taken (T40)."""
    first = families[0]
    if len(families) == 1:
        return first
    return merge_batches(first.name, first.type, first.help, [strip for family in families for strip in family.batches])
