"""Finds series that went stale: each gets one staleness marker, unless its absence may be temporary."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, compress
from typing import TYPE_CHECKING

from exporter.metrics import MetricFamily, Source, batch_difference
from exporter.rollouts.output.catalogue import DERIVED_BY_NAME
from exporter.rollouts.output.pass_through import POD_LABELS
from exporter.rollouts.output.targets import TARGET_FAMILIES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from exporter.metrics import SampleBatch, Series
    from exporter.rollouts.model import RolloutKey


@dataclass(frozen=True, slots=True)
class AbsencePolicy:
    """Decides which absent series do not go stale yet, since their absence may be temporary.

    `rollouts` are those that are not deleted, `visible_rollouts` those that a leader shows at this tick. The last
    pages of all targets of `complete_sources` show everything.
    """

    now: float
    grace: float
    rollouts: Collection[RolloutKey]
    visible_rollouts: Collection[RolloutKey]
    complete_sources: Collection[Source]

    def defers(self, family: str, series: Series, absent_since: float) -> bool:
        """Return whether a series that is absent since a time (Unix seconds) does not go stale yet."""
        if self.now - absent_since >= self.grace:
            return False
        row = DERIVED_BY_NAME.get(family)
        if row is not None:
            key = (series.label("namespace"), series.label("name"))
            if key not in self.rollouts:  # deleted
                return False
            if key not in self.visible_rollouts:
                return True
            return row.source is not Source.ARGO and row.source not in self.complete_sources
        if family == POD_LABELS:
            return Source.KUBE_STATE_METRICS not in self.complete_sources
        return Source.ARGO not in self.complete_sources and family not in TARGET_FAMILIES


class StalenessTracker:
    """Compares the families of each tick with those of the tick before.

    A family that did not change costs a comparison of batch identities, since its batches are the same objects.
    """

    def __init__(self) -> None:
        self._exposed: dict[str, MetricFamily] = {}
        self._pending: dict[str, dict[Series, float]] = {}

    def update(self, families: Iterable[MetricFamily], policy: AbsencePolicy) -> tuple[MetricFamily, ...]:
        """Return the series that go stale at this tick."""
        previous, current = self._exposed, {family.name: family for family in families}
        stale = []
        for name, last in {**current, **previous}.items():
            batches = current[name].batches if name in current else ()
            series = self._stale(name, previous[name].batches if name in previous else (), batches, policy)
            if series:
                stale.append(MetricFamily(name, last.type, last.help, series, [0.0] * len(series)))
        # A family that is absent is remembered without batches for as long as series of it are pending.
        absent = [family for name, family in previous.items() if name not in current and name in self._pending]
        self._exposed = current | {f.name: MetricFamily.from_batches(f.name, f.type, f.help, ()) for f in absent}
        return tuple(stale)

    def set_back(self, now: float) -> None:
        """Let no series be absent since a time after `now`: the clock was set back."""
        for absent_since in self._pending.values():
            absent_since.update({series: min(since, now) for series, since in absent_since.items()})

    def _stale(
        self, name: str, previous: Sequence[SampleBatch], current: Sequence[SampleBatch], policy: AbsencePolicy
    ) -> Sequence[Series]:
        """Return the series of a family that go stale; those that the policy defers are pending."""
        pending = self._pending.get(name, {})
        if not pending and previous == current:
            return ()
        removed, added = batch_difference(previous, current), batch_difference(current, previous)
        if not pending and not removed:
            return ()
        absent_since = _absent_since(pending, removed, added, policy.now)
        deferred = {series: since for series, since in absent_since.items() if policy.defers(name, series, since)}
        self._pending.pop(name, None)
        if deferred:
            self._pending[name] = deferred
        return [series for series in absent_since if series not in deferred]


def _absent_since(
    pending: Mapping[Series, float], removed: Iterable[SampleBatch], added: Sequence[SampleBatch], now: float
) -> dict[Series, float]:
    """Return since when each absent series is absent; a series with the labels of an added one is not."""
    present_keys = set(chain.from_iterable([batch.keys for batch in added]))
    # By keys as far as they are known: another leader's page has all series in other batches.
    gone = chain.from_iterable([_series_without(batch, present_keys) for batch in removed])
    absent_since = {series: pending.get(series, now) for series in (*pending, *gone)}
    if present_keys:
        absent_since = {series: since for series, since in absent_since.items() if series.key not in present_keys}
    others = [series for batch in added if not batch.keys for series in batch.series] if absent_since else []
    for series in others:
        absent_since.pop(series, None)
    if not absent_since or not others:
        return absent_since
    # Two objects may represent one series, with labels in another order: another leader's page, or a replaced cache.
    present = {(series.name, frozenset(series.labels)) for series in others}
    return {s: since for s, since in absent_since.items() if (s.name, frozenset(s.labels)) not in present}


def _series_without(batch: SampleBatch, present_keys: set[int]) -> Sequence[Series]:
    """Return the series of a batch without those whose keys are present."""
    if not batch.keys:
        return batch.series
    absent = [key not in present_keys for key in batch.keys]
    return list(compress(batch.series, absent)) if any(absent) else ()
