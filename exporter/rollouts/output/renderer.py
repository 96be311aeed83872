"""Rollouts → metric families, by the table of the catalogue.

A rollout is rendered again only if it changed, and rollouts are grouped into blocks whose sample batches are reused
while none of them changes, so that a rollout at rest costs a dictionary lookup from here to the network.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from operator import eq
from typing import TYPE_CHECKING, Final

from exporter.incremental import KeyedMemo
from exporter.metrics import Labels, MetricFamily, MetricType, SampleBatch, Series, Source, series_difference
from exporter.rollouts.output.catalogue import DEFAULT_FAMILIES, DERIVED_BY_NAME, UNKNOWN, DerivedFamily

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from exporter.rollouts.model import Rollout, RolloutKey

InfoKey = tuple[str, Labels]
"""Family name and labels of an info series."""
ReplacedInfoSeries = dict[InfoKey, float]
"""Info series that are exported as 0, each with the time (Unix seconds) at which that ends."""
_MAX_SHARED_TUPLES: Final = 10_000
"""Equal tuples are stored once for all rollouts; label values may be unlimited, so the tables are not."""
_MAX_SHARED_PAIRS: Final = 1_000
"""The same of pairs of labels: fewer, since the names of pods are among them, which come and go."""
_ROLLOUT_LABELS: Final = ("namespace", "name")
"""The labels of every series of a rollout, which come first."""
_BLOCK_ROLLOUTS: Final = 32
"""Average rollouts in a block: a change of one costs the encoding of a block, and each block costs memory."""


@dataclass(frozen=True, slots=True, eq=False)
class InfoSeries:
    """Info series that are exported: those of the last tick, and the `carried` ones of rollouts without pod data."""

    current: Mapping[str, Sequence[SampleBatch]] = field(default_factory=dict)
    carried: frozenset[InfoKey] = frozenset()

    def all(self) -> frozenset[InfoKey]:
        """Return family name and labels of each."""
        batches = ((name, batch) for name, family_batches in self.current.items() for batch in family_batches)
        return self.carried.union((name, series.labels) for name, batch in batches for series in batch.series)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InfoSeries) and self.all() == other.all()

    def __hash__(self) -> int:
        return hash(self.all())

    def __bool__(self) -> bool:
        return bool(self.all())


class RolloutSeries(Series):
    """A series of a rollout: its labels are namespace and name, and extra ones that many rollouts share."""

    __slots__ = ("extra",)

    def __init__(self, name: str, rollout_labels: Labels, extra: Labels) -> None:
        self.name = name
        self._labels = rollout_labels
        self.extra = extra

    @property
    def labels(self) -> Labels:
        """All labels."""
        return (*self._labels, *self.extra)


@dataclass(frozen=True, slots=True, eq=False)
class RenderedRollout:
    """Series and values of one rollout, family after family of the catalogue; `offsets` are where each family ends.

    `previous_series` are series exported before, by name and extra labels, so that one that returns is the same object.
    `starts_block`: a block of batches starts with this rollout.
    """

    rollout: Rollout
    series: tuple[RolloutSeries, ...]
    values: array[float]
    offsets: tuple[int, ...]
    previous_series: dict[InfoKey, RolloutSeries]
    starts_block: bool


_Batches = tuple[SampleBatch, ...]


class FamilyRenderer:
    """Renders rollouts from tick to tick.

    If a label of an info series changes, the series with the old labels is exported as 0 for a while: a join on its
    identity labels would otherwise match both until the old one is stale. `replaced` and `info_series` outlive a
    restart. `rows` are the rows of the catalogue that are exported.
    """

    def __init__(
        self,
        info_series: InfoSeries | None = None,
        replaced: ReplacedInfoSeries | None = None,
        rows: Sequence[DerivedFamily] = DEFAULT_FAMILIES,
    ) -> None:
        self._rows = rows
        self._rendered: KeyedMemo[RolloutKey, Rollout, RenderedRollout] = KeyedMemo(self._render)
        build_block = partial(_build_block, rows)
        self._blocks: KeyedMemo[RolloutKey, tuple[RenderedRollout, ...], _Batches] = KeyedMemo(build_block, same=eq)
        self._current_info: dict[str, _Batches] = {}
        exported = {row.name for row in rows}  # a setting may have turned off what the process before exported
        former = info_series.all() if info_series is not None else ()
        self._carried_info = {key for key in former if key[0] in exported}
        self._replaced_batches: dict[str, _Batches] = {}
        self._label_tuples: dict[tuple[tuple[str, ...], tuple[str, ...]], Labels] = {}
        self._label_pairs: dict[tuple[str, str], tuple[str, str]] = {}
        self._offset_tuples: dict[tuple[int, ...], tuple[int, ...]] = {}
        self.replaced: ReplacedInfoSeries = dict(replaced or {})

    @property
    def info_series(self) -> InfoSeries:
        """The info series that are exported."""
        return InfoSeries(dict(self._current_info), frozenset(self._carried_info))

    def families(self, rollouts: Sequence[Rollout], now: float, replaced_seconds: float) -> tuple[MetricFamily, ...]:
        """Return the derived families; a replaced info series is exported as 0 for `replaced_seconds`."""
        rendered = self._rendered.update({rollout.key: rollout for rollout in rollouts})
        blocks = self._blocks.update(_group_blocks(rendered.values()))
        families = [
            MetricFamily.from_batches(row.name, row.type, row.help, filter(len, batches))
            # Not strict: without rollouts there are no columns.
            for row, batches in zip(self._rows, zip(*blocks.values(), strict=True), strict=False)
        ]
        without_pods = {rollout.key for rollout in rollouts if rollout.observation.workload is None}
        self._track_replaced(families, now, now + replaced_seconds, without_pods)
        complete = (self._with_replaced(row, family) for row, family in zip(self._rows, families, strict=False))
        return tuple(family for family in complete if len(family))

    def _track_replaced(
        self, families: Sequence[MetricFamily], now: float, until: float, without_pods: Collection[RolloutKey]
    ) -> None:
        """Export replaced info series as 0 until a time; carry on those of rollouts without pod data at this tick."""
        added, removed = self._info_changes(families)
        gone = (self._carried_info | removed) - added
        if gone:
            identities = {(name, _identity(DERIVED_BY_NAME[name], labels)) for name, labels in added}
            for name, labels in gone:
                row = DERIVED_BY_NAME[name]
                if row.ends_as_zero or (name, _identity(row, labels)) in identities:
                    self.replaced[name, labels] = until
        self.replaced = {
            key: end
            for key, end in self.replaced.items()
            if end > now and key not in added and _rollout_of(key[1]) in self._rendered.values
        }
        self._carried_info = {
            (name, labels)
            for name, labels in gone
            if DERIVED_BY_NAME[name].source is Source.KUBE_STATE_METRICS and _rollout_of(labels) in without_pods
        }

    def _info_changes(self, families: Sequence[MetricFamily]) -> tuple[set[InfoKey], set[InfoKey]]:
        """Return the info series that are new at this tick, and those that are gone."""
        info_families = [family for family in families if DERIVED_BY_NAME[family.name].is_info]
        previous, self._current_info = self._current_info, {family.name: family.batches for family in info_families}
        added: set[InfoKey] = set()
        removed: set[InfoKey] = set()
        for name in {**previous, **self._current_info}:
            old, new = previous.get(name, ()), self._current_info.get(name, ())
            added.update((name, series.labels) for series in series_difference(new, old))
            removed.update((name, series.labels) for series in series_difference(old, new))
        return added, removed - added

    def _with_replaced(self, row: DerivedFamily, family: MetricFamily) -> MetricFamily:
        series = tuple(self._replaced_series(name, labels) for name, labels in self.replaced if name == row.name)
        if not series:
            return family
        zeros = SampleBatch(series, array("d", [0.0] * len(series)), interned=True)
        batch = _reuse_batch(zeros, self._replaced_batches.get(row.name, ()))
        self._replaced_batches[row.name] = (batch,)
        return MetricFamily.from_batches(row.name, row.type, row.help, [*family.batches, batch])

    def _replaced_series(self, name: str, labels: Labels) -> Series:
        """Return the same object that was exported as 1."""
        rendered = self._rendered.values[_rollout_of(labels)]
        place = len(_ROLLOUT_LABELS)
        series = RolloutSeries(name, labels[:place], labels[place:])
        return rendered.previous_series.setdefault((name, series.extra), series)

    def _render(self, key: RolloutKey, rollout: Rollout, previous: RenderedRollout | None) -> RenderedRollout:
        """Render one rollout by every row of the catalogue."""
        keys: list[InfoKey] = []
        values: list[float] = []
        offsets: list[int] = []
        for row in self._rows:
            # Of a rollout that no controller ever showed nothing else is known.
            samples = row.samples(rollout) if rollout.was_shown or row.name == UNKNOWN else ()
            for label_values, value in samples:
                keys.append((row.name, self._extra_labels(row, label_values)))
                values.append(value)
            offsets.append(len(keys))
        if len(self._offset_tuples) > _MAX_SHARED_TUPLES:
            self._offset_tuples.clear()
        shared_offsets = self._offset_tuples.setdefault(tuple(offsets), tuple(offsets))
        series, previous_series = _series_of(key, keys, previous)
        return RenderedRollout(
            rollout, series, array("d", values), shared_offsets, previous_series, starts_block=_starts_block(key)
        )

    def _extra_labels(self, row: DerivedFamily, label_values: tuple[str, ...]) -> Labels:
        """Return the labels after those of the rollout, without empty values; equal ones are one object."""
        # Labels of pods and revisions occur once, so sharing them saves nothing.
        if row.identity_labels:
            return self._nonempty_labels(row.labels, label_values)
        shared, key = self._label_tuples, (row.labels, label_values)
        extra = shared.get(key)
        if extra is None:
            if len(shared) > _MAX_SHARED_TUPLES:
                shared.clear()  # rollouts keep the tuples that they use; only later ones share no more with them
            extra = shared[key] = self._nonempty_labels(row.labels, label_values)
        return extra

    def _nonempty_labels(self, names: Sequence[str], values: Sequence[str]) -> Labels:
        """Return labels without empty values; equal pairs are one object: roles and images are those of many pods."""
        shared = self._label_pairs
        if len(shared) > _MAX_SHARED_PAIRS:
            shared.clear()
        return tuple([shared.setdefault(pair, pair) for pair in zip(names, values, strict=True) if pair[1]])


def _starts_block(key: RolloutKey) -> bool:
    """Return whether a block starts with a rollout: by a hash of its key, so that others come and go without effect."""
    # Not `hash`, which differs between processes for one text.
    return blake2b("/".join(key).encode(), digest_size=1).digest()[0] % _BLOCK_ROLLOUTS == 0


def _group_blocks(rendered: Collection[RenderedRollout]) -> dict[RolloutKey, tuple[RenderedRollout, ...]]:
    """Group consecutive rollouts into blocks, each by the key of its first rollout."""
    blocks: list[list[RenderedRollout]] = []
    for rollout in rendered:
        if rollout.starts_block or not blocks:
            blocks.append([])
        blocks[-1].append(rollout)
    return {block[0].rollout.key: tuple(block) for block in blocks}


def _build_block(
    rows: Sequence[DerivedFamily],
    _: RolloutKey,
    rendered: Sequence[RenderedRollout],
    previous: _Batches | None,
) -> _Batches:
    """Return a batch for each family; a batch that did not change is the previous object."""
    batches = []
    for place, row in enumerate(rows):
        series: list[Series] = []
        values = array("d")
        start_times = array("d") if row.type is MetricType.COUNTER else None
        for rollout in rendered:
            start, end = (rollout.offsets[place - 1] if place else 0), rollout.offsets[place]
            series += rollout.series[start:end]
            values += rollout.values[start:end]
            if start_times is not None:
                start_times.extend([rollout.rollout.state.first_seen] * (end - start))
        batch = SampleBatch(tuple(series), values, start_times, interned=True)
        batches.append(_reuse_batch(batch, previous[place : place + 1] if previous is not None else ()))
    return tuple(batches)


def _reuse_batch(batch: SampleBatch, previous: Sequence[SampleBatch]) -> SampleBatch:
    """Return the previous batch if it is equal, else the new one, with the previous series if those are equal."""
    if not previous or previous[0].series != batch.series:
        return batch
    if previous[0].values == batch.values and previous[0].start_times == batch.start_times:
        return previous[0]
    return SampleBatch(previous[0].series, batch.values, batch.start_times, interned=True)


def _series_of(
    key: RolloutKey, keys: Sequence[InfoKey], previous: RenderedRollout | None
) -> tuple[tuple[RolloutSeries, ...], dict[InfoKey, RolloutSeries]]:
    """Return the series of a rollout by name and extra labels, and those that were exported before, but are not now.

    A series that was exported before is the same object.
    """
    if previous is None:
        former: dict[InfoKey, RolloutSeries] = {}
    elif [(series.name, series.extra) for series in previous.series] == keys:
        return previous.series, previous.previous_series
    else:
        former = previous.previous_series | {(series.name, series.extra): series for series in previous.series}
    rollout_labels = tuple(zip(_ROLLOUT_LABELS, key, strict=True))
    series = tuple(
        [former.pop(info) if info in former else RolloutSeries(info[0], rollout_labels, info[1]) for info in keys]
    )
    # Pods come and go: without a limit each update would add its pods' series.
    return series, former if len(former) <= 4 * len(series) + 200 else {}


def _rollout_of(labels: Labels) -> RolloutKey:
    by_name = dict(labels)
    return by_name["namespace"], by_name["name"]


def _identity(row: DerivedFamily, labels: Labels) -> Labels:
    """Return the labels that identify what an info series is about: namespace, name and the row's first ones."""
    names = {"namespace", "name", *row.labels[: row.identity_labels or 0]}
    return tuple(pair for pair in labels if pair[0] in names)
