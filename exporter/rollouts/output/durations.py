"""How long updates took, as a histogram by namespace and result."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.metrics import MetricFamily, MetricType, Series, family_from_samples

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.rollouts.model import CompletedUpdate

NAME: Final = "argo_rollouts_update_duration_seconds"
HELP: Final = "How long updates took, from first seen under way until they ended."
BOUNDS: Final = (30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0)


@dataclass(frozen=True, slots=True)
class Durations:
    """One histogram: `counts` has an entry a bound and one more, each counting its own interval."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    total: float = 0.0

    def with_one(self, seconds: float) -> Durations:
        """Count one more duration."""
        place = bisect_left(BOUNDS, seconds)
        counts = tuple(count + (i == place) for i, count in enumerate(self.counts))
        return Durations(counts, self.total + seconds)


class Histograms:
    """The histograms of all namespaces, as a family."""

    def __init__(self, kept: dict[tuple[str, str], Durations] | None = None) -> None:
        self.kept = kept if kept is not None else {}
        self._series: dict[tuple[str, str, str], Series] = {}

    def count(self, namespace: str, ended: Iterable[CompletedUpdate]) -> None:
        """Count updates whose beginning was seen."""
        for one in ended:
            if one.duration is not None:
                key = (namespace, one.result.value)
                self.kept[key] = self.kept.get(key, Durations()).with_one(one.duration)

    def family(self) -> MetricFamily | None:
        """Return the family, None before the first update ended."""
        samples: list[tuple[Series, float]] = []
        for key, durations in sorted(self.kept.items()):
            running = 0
            for bound, count in zip((*BOUNDS, None), durations.counts, strict=True):
                running += count
                samples.append((self._one(key, "_bucket", "+Inf" if bound is None else f"{bound:g}"), float(running)))
            samples.append((self._one(key, "_sum", ""), durations.total))
            samples.append((self._one(key, "_count", ""), float(running)))
        return family_from_samples(NAME, MetricType.HISTOGRAM, HELP, samples) if samples else None

    def _one(self, key: tuple[str, str], suffix: str, bound: str) -> Series:
        place = (*key, suffix + bound)
        series = self._series.get(place)
        if series is None:
            labels = (("namespace", key[0]), ("result", key[1]), *((("le", bound),) if bound else ()))
            series = self._series[place] = Series(NAME + suffix, labels)
        return series
