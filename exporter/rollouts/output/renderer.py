"""Rollouts → families, by the catalogue's table; an info series whose label changed is said as 0 for a while."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from exporter.metrics import Labels, MetricFamily, MetricType, SampleBatch, Series, series_difference
from exporter.rollouts.output.catalogue import BY_NAME, ROWS, Row

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from exporter.rollouts.model import Rollout, RolloutKey

Fading = dict[tuple[str, Labels], float]
"""Info series that are said as 0: (family, labels) → until when."""
_EXTRAS_KEPT: Final = 10_000
BLOCK: Final = 32
"""About how many rollouts make a block."""


@dataclass(frozen=True, slots=True, eq=False)
class Infos:
    """Info series that count as said: those `shown` at the last tick, and the last ones of rollouts not heard of."""

    shown: Mapping[str, Sequence[SampleBatch]] = field(default_factory=dict)
    unheard: frozenset[tuple[str, Labels]] = frozenset()

    def all(self) -> frozenset[tuple[str, Labels]]:
        """Return (family, labels) of each."""
        shown = ((name, one.labels) for name, strips in self.shown.items() for strip in strips for one in strip.series)
        return self.unheard.union(shown)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Infos) and self.all() == other.all()

    def __hash__(self) -> int:
        return hash(self.all())

    def __bool__(self) -> bool:
        return bool(self.all())


class Said(Series):
    """A series of a rollout: its labels are the rollout's own, and some that many rollouts have."""

    __slots__ = ("_extra",)

    def __init__(self, name: str, own: Labels, extra: Labels) -> None:
        super().__init__(name, own)
        self._extra = extra

    @property
    def labels(self) -> Labels:
        """All labels."""
        return (*self._labels, *self._extra)


@dataclass(frozen=True, slots=True, eq=False)
class _Saying:
    """What is said of one rollout: series and values of one row of the catalogue after another, `ends` where each ends.

    `former` are series said of it before, so that one that comes back is the same object again. `heads`: it begins a
    block.
    """

    rollout: Rollout
    series: tuple[Series, ...]
    values: array[float]
    ends: tuple[int, ...]
    former: dict[tuple[str, Labels], Series]
    heads: bool


@dataclass(frozen=True, slots=True)
class _Block:
    """Rollouts that follow each other, and a strip of them for each row: handed out again while nothing changes."""

    sayings: tuple[_Saying, ...] = ()
    strips: tuple[SampleBatch, ...] = ()


class Sayer:
    """Says rollouts anew only where something has changed, so that one at rest costs next to nothing.

    `fading` are the info series that are said as 0; with `infos` they outlive a restart.
    """

    def __init__(self, infos: Infos | None = None, fading: Fading | None = None) -> None:
        self._sayings: dict[RolloutKey, _Saying] = {}
        self._blocks: dict[RolloutKey, _Block] = {}
        self._shown: dict[str, tuple[SampleBatch, ...]] = {}
        self._unheard = set(infos.all() if infos is not None else ())
        self._zeros: dict[str, tuple[SampleBatch]] = {}
        self._lone: dict[tuple[str, Labels], Series] = {}
        self._extras: dict[Labels, Labels] = {}
        self._shapes: dict[tuple[int, ...], tuple[int, ...]] = {}
        self.fading: Fading = dict(fading or {})

    @property
    def infos(self) -> Infos:
        """The info series that count as said."""
        return Infos(dict(self._shown), frozenset(self._unheard))

    def families(self, rollouts: Sequence[Rollout], at: float, fade: float) -> tuple[MetricFamily, ...]:
        """Say all rollouts; `fade` is for how long (seconds) a former info series is said as 0."""
        before, self._sayings = self._sayings, {}
        for rollout in rollouts:
            saying = before.get(rollout.key)
            if saying is None or saying.rollout is not rollout:
                saying = self._say(rollout, saying)
            self._sayings[rollout.key] = saying
        self._cut()
        columns = zip(*(block.strips for block in self._blocks.values()), strict=True)
        said = [
            MetricFamily.from_batches(row.name, row.kind, row.help, filter(len, c))
            for row, c in zip(ROWS, columns, strict=False)
        ]
        self._fade(said, at, fade, {rollout.key for rollout in rollouts if rollout.observation.workload is None})
        families = (self._with_zeros(row, family) for row, family in zip(ROWS, said, strict=False))
        return tuple(family for family in families if len(family))

    def _cut(self) -> None:
        """Cut the sayings into blocks, at places that stay when rollouts come and go."""
        before, self._blocks = self._blocks, {}
        block: list[_Saying] = []
        for saying in (*self._sayings.values(), None):
            if block and (saying is None or saying.heads):
                key = block[0].rollout.key
                known = before.get(key, _Block())
                if known.sayings != tuple(block):
                    known = _anew(block, known)
                self._blocks[key] = known
                block = []
            if saying is not None:
                block.append(saying)

    def _fade(self, said: Sequence[MetricFamily], at: float, fade: float, unheard: Collection[RolloutKey]) -> None:
        """Note which info series were replaced; of rollouts `unheard` of at this tick the last ones are kept."""
        come, gone = self._changes(said)
        former = (self._unheard | gone) - come
        if former:
            told = {(name, _identity(BY_NAME[name], labels)) for name, labels in come}
            for name, labels in former:
                if (name, _identity(BY_NAME[name], labels)) in told:
                    self.fading[name, labels] = at + fade
        self.fading = {
            key: until
            for key, until in self.fading.items()
            if until > at and key not in come and _key(key[1]) in self._sayings
        }
        self._unheard = {one for one in former if _key(one[1]) in unheard}

    def _changes(self, said: Sequence[MetricFamily]) -> tuple[set[tuple[str, Labels]], set[tuple[str, Labels]]]:
        """Return the info series that are said since this tick, and those that were until the last one."""
        before, self._shown = self._shown, {one.name: one.batches for one in said if BY_NAME[one.name].identity}
        names = {**before, **self._shown}
        come = {
            (name, one.labels)
            for name in names
            for one in series_difference(self._shown.get(name, ()), before.get(name, ()))
        }
        gone = {
            (name, one.labels)
            for name in names
            for one in series_difference(before.get(name, ()), self._shown.get(name, ()))
        }
        return come, gone - come

    def _with_zeros(self, row: Row, family: MetricFamily) -> MetricFamily:
        zeros = tuple(self._zero(name, labels) for name, labels in self.fading if name == row.name)
        if not zeros:
            return family
        strip = _again(SampleBatch(zeros, array("d", [0.0] * len(zeros)), interned=True), self._zeros.get(row.name, ()))
        self._zeros[row.name] = (strip,)
        return MetricFamily.from_batches(row.name, row.kind, row.help, [*family.batches, strip])

    def _zero(self, name: str, labels: Labels) -> Series:
        """Return the very series that was said as 1, while its rollout is known."""
        about = dict(labels)
        saying = self._sayings.get((about["namespace"], about["name"]))
        return (saying.former if saying is not None else self._lone).setdefault((name, labels), Series(name, labels))

    def _say(self, rollout: Rollout, before: _Saying | None) -> _Saying:
        """Say one rollout by every row."""
        former = _by_labels(before)
        extras = self._extras
        own = (("namespace", rollout.key[0]), ("name", rollout.key[1]))
        series: list[Series] = []
        values = array("d")
        ends: list[int] = []
        for row in ROWS:
            for extra, value in row.say(rollout):
                told = tuple([pair for pair in zip(row.labels, extra, strict=True) if pair[1]])
                told = told if row.identity else extras.setdefault(told, told)
                known = former.pop((row.name, (*own, *told)), None) if former else None
                series.append(known or Said(row.name, own, told))
                values.append(value)
            ends.append(len(series))
        if len(extras) > _EXTRAS_KEPT:
            extras.clear()
        if len(former) > 4 * len(series) + 200:
            former = {}
        shape = self._shapes.setdefault(tuple(ends), tuple(ends))
        heads = blake2b("/".join(rollout.key).encode(), digest_size=1).digest()[0] % BLOCK == 0
        return _Saying(rollout, tuple(series), values, shape, former, heads)


def _by_labels(saying: _Saying | None) -> dict[tuple[str, Labels], Series]:
    if saying is None:
        return {}
    return saying.former | {(one.name, one.labels): one for one in saying.series}


def _anew(sayings: Sequence[_Saying], known: _Block) -> _Block:
    """Put a block together, with as much of what it was before as is still so."""
    strips = []
    for place, row in enumerate(ROWS):
        series: list[Series] = []
        values = array("d")
        starts = array("d") if row.kind is MetricType.COUNTER else None
        for one in sayings:
            first, end = (one.ends[place - 1] if place else 0), one.ends[place]
            series += one.series[first:end]
            values += one.values[first:end]
            if starts is not None:
                starts.extend([one.rollout.state.first_seen] * (end - first))
        strips.append(
            _again(SampleBatch(tuple(series), values, starts, interned=True), known.strips[place : place + 1])
        )
    return _Block(tuple(sayings), tuple(strips))


def _again(strip: SampleBatch, former: Sequence[SampleBatch]) -> SampleBatch:
    """Return the former strip if it says the same, else the new one, with its series if they are the same."""
    if not former or former[0].series != strip.series:
        return strip
    if former[0].values == strip.values and former[0].start_times == strip.start_times:
        return former[0]
    return SampleBatch(former[0].series, strip.values, strip.start_times, interned=True)


def _key(labels: Labels) -> RolloutKey:
    named = dict(labels)
    return named["namespace"], named["name"]


def _identity(row: Row, labels: Labels) -> Labels:
    """Return the labels that tell one thing from another: namespace, name and the row's first ones."""
    wanted = {"namespace", "name", *row.labels[: row.identity]}
    return tuple(pair for pair in labels if pair[0] in wanted)
