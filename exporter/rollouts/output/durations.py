"""Durations of updates, as a histogram by namespace and result."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.incremental import SeriesFactory
from exporter.metrics import MetricFamily, MetricType, Series, family_from_samples
from exporter.rollouts.output.absent_namespaces import AbsentNamespaces

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from exporter.rollouts.model import UpdateTransition

NAME: Final = "argo_rollouts_update_duration_seconds"
HELP: Final = "Duration of updates, from the tick that first showed one to the tick that showed its end."
BOUNDS: Final = (30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0)
"""From 30 s to 8 h, the range of `rollout_duration_seconds`, which later controllers export."""


@dataclass(frozen=True, slots=True)
class HistogramState:
    """A histogram; `counts` are not cumulative: one for each interval up to a bound, and one above the last."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    total: float = 0.0

    def observe(self, seconds: float) -> HistogramState:
        """Return the histogram with one more duration."""
        place = bisect_left(BOUNDS, seconds)  # a bound belongs to its interval, as `le` says
        counts = tuple(count + (i == place) for i, count in enumerate(self.counts))
        return HistogramState(counts, self.total + seconds)


class DurationHistograms:
    """The histograms by namespace and result. They are counters, so they outlive rollouts, but not their namespace."""

    def __init__(self, by_key: dict[tuple[str, str], HistogramState] | None = None) -> None:
        self.by_key = by_key if by_key is not None else {}
        self._factory = SeriesFactory()
        self._absent = AbsentNamespaces()

    def evict_absent(self, namespaces: Collection[str]) -> None:
        """Evict the histograms of namespaces that had no rollout at the last call either."""
        evicted = self._absent.to_evict((namespace for namespace, _ in self.by_key), namespaces)
        for key in [key for key in self.by_key if key[0] in evicted]:
            del self.by_key[key]

    def observe(self, namespace: str, transitions: Iterable[UpdateTransition]) -> None:
        """Count the updates that ended, and whose start is known."""
        for ended in transitions:
            if ended.duration is not None:
                key = (namespace, ended.transition.value)
                self.by_key[key] = self.by_key.get(key, HistogramState()).observe(ended.duration)

    def families(self) -> tuple[MetricFamily, ...]:
        """Return the family, nothing before the first update ended."""
        samples: list[tuple[Series, float]] = []
        for key, histogram in sorted(self.by_key.items()):
            count = 0
            for bound, interval_count in zip((*BOUNDS, None), histogram.counts, strict=True):
                count += interval_count
                samples.append((self._series(key, "_bucket", "+Inf" if bound is None else f"{bound:g}"), float(count)))
            samples.append((self._series(key, "_sum"), histogram.total))
            samples.append((self._series(key, "_count"), float(count)))
        self._factory.end_cycle()
        return (family_from_samples(NAME, MetricType.HISTOGRAM, HELP, samples),) if samples else ()

    def _series(self, key: tuple[str, str], suffix: str, bound: str = "") -> Series:
        labels = (("namespace", key[0]), ("result", key[1]), *((("le", bound),) if bound else ()))
        return self._factory.series(NAME + suffix, labels)
