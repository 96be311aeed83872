"""What was said and is said no longer: each series gets one end marker, unless its absence proves nothing yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.metrics import MetricFamily, Source, series_difference
from exporter.rollouts.output.catalogue import BY_NAME
from exporter.rollouts.output.pass_through import POD_LABELS
from exporter.rollouts.output.targets import ROWS as TARGET_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from exporter.metrics import Series
    from exporter.rollouts.model import RolloutKey


class Ledger:
    """The series that are open, by family. Telling what has gone costs a comparison of lists where nothing has."""

    def __init__(self) -> None:
        self._said: dict[str, MetricFamily] = {}
        self._held: dict[str, dict[Series, float]] = {}

    def close(
        self, at: float, families: Iterable[MetricFamily], held: Callable[[str, Series, float], bool]
    ) -> tuple[MetricFamily, ...]:
        """Return the series that end now. `held(family, series, since)` says which of the absent ones stay open."""
        said = {family.name: family for family in families}
        ended = []
        for name, last in {**said, **self._said}.items():
            gone = self._gone(name, said.get(name), at, held)
            if gone:
                ended.append(MetricFamily(name, last.type, last.help, gone, [0.0] * len(gone)))
        absent = [family for name, family in self._said.items() if name not in said and name in self._held]
        self._said = said | {one.name: MetricFamily.from_batches(one.name, one.type, one.help, ()) for one in absent}
        return tuple(ended)

    def _gone(
        self, name: str, now: MetricFamily | None, at: float, held: Callable[[str, Series, float], bool]
    ) -> Sequence[Series]:
        before = self._said[name].batches if name in self._said else ()
        strips = now.batches if now is not None else ()
        waiting = self._held.get(name, {})
        if not waiting and before == strips:
            return ()
        gone = series_difference(before, strips)
        if not waiting and not gone:
            return ()
        absent = _absent(waiting, gone, series_difference(strips, before), at)
        kept = {one: since for one, since in absent.items() if held(name, one, since)}
        self._held.pop(name, None)
        if kept:
            self._held[name] = kept
        return [one for one in absent if one not in kept]


def _absent(
    waiting: Mapping[Series, float], gone: Iterable[Series], come: Sequence[Series], at: float
) -> dict[Series, float]:
    """Return the series that are said no more, neither the very same nor another of their labels, and since when."""
    absent = {one: waiting.get(one, at) for one in (*waiting, *gone)}
    for one in come:
        absent.pop(one, None)
    if not absent or not come:
        return absent
    told = {(one.name, frozenset(one.labels)) for one in come}
    return {one: since for one, since in absent.items() if (one.name, frozenset(one.labels)) not in told}


@dataclass(frozen=True, slots=True)
class Held:
    """Says which absent series stay open: those whose absence proves nothing before the grace ends.

    `lives` are the rollouts that are not gone, `shown` those that a leader shows at this tick. `proven` are the
    sources whose pages, every target's, can be believed to be all there is.
    """

    at: float
    grace: float
    lives: Collection[RolloutKey]
    shown: Collection[RolloutKey]
    proven: Collection[Source]

    def __call__(self, family: str, series: Series, since: float) -> bool:
        """Judge a series that has been absent since a time (Unix seconds)."""
        if self.at - since >= self.grace:
            return False
        row = BY_NAME.get(family)
        if row is not None:
            key = (series.label("namespace"), series.label("name"))
            if key not in self.lives:
                return False
            return key not in self.shown or (row.source is not Source.ARGO and row.source not in self.proven)
        if family == POD_LABELS:
            return Source.KUBE_STATE_METRICS not in self.proven
        return Source.ARGO not in self.proven and family not in TARGET_ROWS
