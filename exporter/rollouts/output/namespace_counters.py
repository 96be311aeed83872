"""Counters by namespace, without the rollout's name: aborts by cause, and the time of updates by activity."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.metrics import MetricFamily, MetricType, SampleBatch, Series
from exporter.rollouts.explain.model import Cause
from exporter.rollouts.output.absent_namespaces import AbsentNamespaces
from exporter.rollouts.output.update_account import abort_causes, elapsed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from exporter.rollouts.model import UpdateAccount, UpdateTransition

ABORTS: Final = "argo_rollouts_aborts_total"
ACTIVITY_SECONDS: Final = "argo_rollouts_update_seconds_total"
NAMESPACE_FAMILIES: Final = {
    ABORTS: ("cause", "Aborted updates by cause; together as many as updates_total with result aborted."),
    ACTIVITY_SECONDS: (
        "activity",
        "Seconds that updates spent, by what they waited for; together the time in updates.",
    ),
}
"""Label after the namespace, and help text, by family."""
ABORT_CAUSES: Final = tuple(cause.value for cause in Cause if cause is not Cause.NEW_REVISION)
"""A new revision supersedes an update; it aborts none."""
CountKey = tuple[str, str, str]
"""Family, namespace, and value of the label."""


@dataclass(frozen=True, slots=True)
class NamespaceCount:
    """A counter, and since when it counts (Unix seconds)."""

    value: float
    since: float


class NamespaceCounters:
    """The counters. Like all counters they outlive rollouts, but not their namespace."""

    def __init__(self, by_key: dict[CountKey, NamespaceCount] | None = None) -> None:
        self.by_key = by_key if by_key is not None else {}
        # Series are compared by identity, so a counter keeps its own until it is evicted.
        self._series: dict[CountKey, Series] = {}
        self._absent = AbsentNamespaces()
        self._families: dict[str, MetricFamily] = {}

    def evict_absent(self, namespaces: Collection[str]) -> None:
        """Evict the counters of namespaces that had no rollout at the last call either."""
        evicted = self._absent.to_evict((namespace for _, namespace, _ in self.by_key), namespaces)
        for key in [key for key in self.by_key if key[1] in evicted]:
            del self.by_key[key]
            self._series.pop(key, None)
            self._families.clear()

    def observe(
        self,
        namespace: str,
        before: UpdateAccount,
        after: UpdateAccount,
        changes: Iterable[UpdateTransition],
        now: float,
    ) -> None:
        """Count what a rollout did in the interval that ends at `now` (Unix seconds)."""
        if before.activity:
            self._count(ACTIVITY_SECONDS, namespace, before.activity, elapsed(before, now), now)
        if after.activity and after.activity != before.activity:
            self._count(ACTIVITY_SECONDS, namespace, after.activity, 0.0, now)
            # All causes from the first update on, since `increase()` misses a counter that begins at 1.
            for cause in ABORT_CAUSES:
                self._count(ABORTS, namespace, cause, 0.0, now)
        for cause in abort_causes(changes, after):
            self._count(ABORTS, namespace, cause, 1.0, now)

    def families(self) -> tuple[MetricFamily, ...]:
        """Return both families, as the same objects while nothing is counted."""
        for name, (label, text) in NAMESPACE_FAMILIES.items():
            if name not in self._families:
                keys = sorted(key for key in self.by_key if key[0] == name)
                series = tuple(self._series_of(key, label) for key in keys)
                counts = [self.by_key[key] for key in keys]
                values, since = array("d", [c.value for c in counts]), array("d", [c.since for c in counts])
                batches = (SampleBatch(series, values, since),) if series else ()
                self._families[name] = MetricFamily.from_batches(name, MetricType.COUNTER, text, batches)
        return tuple(family for family in self._families.values() if len(family))

    def _series_of(self, key: CountKey, label: str) -> Series:
        if key not in self._series:
            self._series[key] = Series(key[0], (("namespace", key[1]), (label, key[2])))
        return self._series[key]

    def _count(self, family: str, namespace: str, label: str, amount: float, now: float) -> None:
        key = (family, namespace, label)
        count = self.by_key.get(key)
        if count is None or amount:
            count = count or NamespaceCount(0.0, now - amount if family == ACTIVITY_SECONDS else now)
            self.by_key[key] = NamespaceCount(count.value + amount, count.since)
            self._families.pop(family, None)
