"""Rollouts → families, by the catalogue's table; an info series whose label changed is said as 0 for a while."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from exporter.family import Family, Kind, Labels, Series
from exporter.rollouts.catalogue import ROWS, Row

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from exporter.rollouts.fleet import Key
    from exporter.rollouts.rollout import Rollout

Fading = dict[tuple[str, Labels], float]
"""Info series that are said as 0: (family, labels) → until when."""


class Sayer:
    """Keeps the series that it made, so that the same series is the same object at the next tick.

    `infos` are the info series said as 1 at the last tick, and `fading` those said as 0: both outlive a restart.
    """

    def __init__(self, infos: Iterable[tuple[str, Labels]] = (), fading: Fading | None = None) -> None:
        self._series: dict[tuple[str, Labels], Series] = {}
        self.infos: set[tuple[str, Labels]] = set(infos)
        self.fading: Fading = dict(fading or {})

    def families(self, rollouts: Sequence[Rollout], at: float, fade: float) -> tuple[Family, ...]:
        """Say all rollouts; `fade` is for how long (seconds) a former info series is said as 0."""
        said = [self._row(row, rollouts) for row in ROWS]
        self._fade(said, at, fade, {rollout.key for rollout in rollouts if rollout.sighting.workload is None})
        families = tuple(self._with_zeros(row, family) for row, family in zip(ROWS, said, strict=True))
        self._sweep(sum(len(family) for family in families))
        return tuple(family for family in families if len(family))

    def _row(self, row: Row, rollouts: Iterable[Rollout]) -> Family:
        series: list[Series] = []
        values = array("d")
        starts = array("d")
        counts = row.kind is Kind.COUNTER
        for rollout in rollouts:
            own = (("namespace", rollout.key[0]), ("name", rollout.key[1]))
            for extra, value in row.say(rollout):
                labels = own + tuple(pair for pair in zip(row.labels, extra, strict=True) if pair[1])
                series.append(self._one(row.name, labels))
                values.append(value)
                if counts:
                    starts.append(rollout.life.born)
        return Family(row.name, row.kind, row.help, series, values, starts if counts else None)

    def _one(self, name: str, labels: Labels) -> Series:
        series = self._series.get((name, labels))
        if series is None:
            series = self._series[name, labels] = Series(name, labels)
        return series

    def _fade(self, said: Sequence[Family], at: float, fade: float, unheard: Collection[Key]) -> None:
        """Note which info series were replaced; of rollouts `unheard` of at this tick the last ones are kept."""
        now = {
            (row.name, one.labels): _identity(row, one.labels)
            for row, family in zip(ROWS, said, strict=True)
            if row.identity
            for one in family.series
        }
        told = {(name, identity) for (name, _), identity in now.items()}
        identities = {row.name: row for row in ROWS}
        for name, labels in self.infos - now.keys():
            if (name, _identity(identities[name], labels)) in told:
                self.fading[name, labels] = at + fade
        self.fading = {key: until for key, until in self.fading.items() if until > at and key not in now}
        self.infos = {*now, *(one for one in self.infos if _key(one[1]) in unheard)}

    def _with_zeros(self, row: Row, family: Family) -> Family:
        zeros = [labels for name, labels in self.fading if name == row.name] if row.identity else []
        if not zeros:
            return family
        series = [*family.series, *(self._one(row.name, labels) for labels in zeros)]
        return Family(row.name, row.kind, row.help, series, array("d", [*family.values, *(0.0 for _ in zeros)]))

    def _sweep(self, alive: int) -> None:
        if len(self._series) > 4 * alive + 1000:
            self._series.clear()


def _key(labels: Labels) -> Key:
    named = dict(labels)
    return named["namespace"], named["name"]


def _identity(row: Row, labels: Labels) -> Labels:
    """Return the labels that tell one thing from another: namespace, name and the row's first ones."""
    wanted = {"namespace", "name", *row.labels[: row.identity]}
    return tuple(pair for pair in labels if pair[0] in wanted)
