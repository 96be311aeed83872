"""Rollouts → families, by the catalogue's table; an info series whose label changed is said as 0 for a while."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

from exporter.family import Family, Kind, Labels, Series
from exporter.rollouts.catalogue import BY_NAME, ROWS, Row

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Sequence

    from exporter.rollouts.fleet import Key
    from exporter.rollouts.rollout import Rollout

Fading = dict[tuple[str, Labels], float]
"""Info series that are said as 0: (family, labels) → until when."""
_PAIRS_KEPT: Final = 200_000
SLICE: Final = 250
"""How many rollouts are said between two turns of whoever else waits."""


@dataclass(frozen=True, slots=True)
class _Saying:
    """What is said of one rollout: a row's series and values at the place of the row in the catalogue.

    `former` are series said of it before, so that one that comes back is the same object again.
    """

    rollout: Rollout
    series: tuple[Sequence[Series], ...]
    values: tuple[Sequence[float], ...]
    former: dict[tuple[str, Labels], Series]


class Sayer:
    """Says rollouts anew only where something has changed, so that one at rest costs next to nothing.

    `infos` are the info series said as 1 at the last tick, and `fading` those said as 0: both outlive a restart.
    """

    def __init__(self, infos: Iterable[tuple[str, Labels]] = (), fading: Fading | None = None) -> None:
        self._sayings: dict[Key, _Saying] = {}
        self._said: dict[str, Family] = {}
        self._lone: dict[tuple[str, Labels], Series] = {}
        self._pairs: dict[tuple[str, str], tuple[str, str]] = {}
        self.infos: set[tuple[str, Labels]] = set(infos)
        self.fading: Fading = dict(fading or {})

    def families(
        self, rollouts: Sequence[Rollout], at: float, fade: float
    ) -> Generator[None, None, tuple[Family, ...]]:
        """Say all rollouts; `fade` is for how long (seconds) a former info series is said as 0."""
        before, self._sayings = self._sayings, {}
        changed: list[tuple[_Saying | None, _Saying]] = []
        for number, rollout in enumerate(rollouts):
            known = saying = before.get(rollout.key)
            if saying is None or saying.rollout is not rollout:
                saying = self._say(rollout, saying)
                changed.append((known, saying))
            self._sayings[rollout.key] = saying
            if number % SLICE == SLICE - 1:
                yield
        others = before.keys() != self._sayings.keys()
        said = []
        for place, row in enumerate(ROWS):
            former = self._said.get(row.name)
            if former is None or others or any(_differ(old, new, place) for old, new in changed):
                former = self._family(place, row)
                yield
            said.append(former)
        self._said = {family.name: family for family in said}
        self._fade(said, at, fade, {rollout.key for rollout in rollouts if rollout.sighting.workload is None})
        families = tuple(self._with_zeros(row, family) for row, family in zip(ROWS, said, strict=True))
        return tuple(family for family in families if len(family))

    def _family(self, place: int, row: Row) -> Family:
        sayings = self._sayings.values()
        series = list(chain.from_iterable([one.series[place] for one in sayings]))
        values = array("d", chain.from_iterable([one.values[place] for one in sayings]))
        starts = None
        if row.kind is Kind.COUNTER:
            starts = array(
                "d", chain.from_iterable([(one.rollout.life.born,) * len(one.series[place]) for one in sayings])
            )
        return Family(row.name, row.kind, row.help, series, values, starts)

    def _fade(self, said: Sequence[Family], at: float, fade: float, unheard: Collection[Key]) -> None:
        """Note which info series were replaced; of rollouts `unheard` of at this tick the last ones are kept."""
        now = {(family.name, one.labels) for family in said if BY_NAME[family.name].identity for one in family.series}
        former = self.infos - now
        if former:
            told = {(name, _identity(BY_NAME[name], labels)) for name, labels in now}
            for name, labels in former:
                if (name, _identity(BY_NAME[name], labels)) in told:
                    self.fading[name, labels] = at + fade
        self.fading = {
            key: until
            for key, until in self.fading.items()
            if until > at and key not in now and _key(key[1]) in self._sayings
        }
        self.infos = now | {one for one in former if _key(one[1]) in unheard}

    def _with_zeros(self, row: Row, family: Family) -> Family:
        zeros = [self._zero(name, labels) for name, labels in self.fading if name == row.name]
        if not zeros:
            return family
        values = array("d", [*family.values, *(0.0 for _ in zeros)])
        return Family(row.name, row.kind, row.help, [*family.series, *zeros], values)

    def _zero(self, name: str, labels: Labels) -> Series:
        """Return the very series that was said as 1, while its rollout is known."""
        about = dict(labels)
        saying = self._sayings.get((about["namespace"], about["name"]))
        return (saying.former if saying is not None else self._lone).setdefault((name, labels), Series(name, labels))

    def _say(self, rollout: Rollout, before: _Saying | None) -> _Saying:
        """Say one rollout by every row."""
        former = _by_labels(before)
        pairs = self._pairs
        own = (("namespace", rollout.key[0]), ("name", rollout.key[1]))
        columns: list[Sequence[Series]] = []
        values: list[Sequence[float]] = []
        for row in ROWS:
            said = list(row.say(rollout))
            series = []
            for extra, _ in said:
                told = [pairs.setdefault(pair, pair) for pair in zip(row.labels, extra, strict=True) if pair[1]]
                labels = (*own, *told)
                known = former.pop((row.name, labels)) if (row.name, labels) in former else Series(row.name, labels)
                series.append(known)
            columns.append(tuple(series))
            values.append(array("d", [value for _, value in said]))
        if len(pairs) > _PAIRS_KEPT:
            pairs.clear()
        if len(former) > 4 * sum(map(len, columns)) + 200:
            former = {}
        return _Saying(rollout, tuple(columns), tuple(values), former)


def _by_labels(saying: _Saying | None) -> dict[tuple[str, Labels], Series]:
    if saying is None:
        return {}
    return saying.former | {(one.name, one.labels): one for series in saying.series for one in series}


def _differ(old: _Saying | None, new: _Saying, place: int) -> bool:
    if old is None or old.rollout.life.born != new.rollout.life.born:
        return True
    return old.values[place] != new.values[place] or old.series[place] != new.series[place]


def _key(labels: Labels) -> Key:
    named = dict(labels)
    return named["namespace"], named["name"]


def _identity(row: Row, labels: Labels) -> Labels:
    """Return the labels that tell one thing from another: namespace, name and the row's first ones."""
    wanted = {"namespace", "name", *row.labels[: row.identity]}
    return tuple(pair for pair in labels if pair[0] in wanted)
