"""Group the series of histograms and summaries by the point that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, takewhile
from math import inf, isnan, nan
from typing import TYPE_CHECKING

from exporter import metrics
from exporter.incremental import GenerationalCache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.metrics import Labels, MetricFamily, Series


_Member = tuple[str, str]
"""The name of a series of a group, and its bound as text, "" for none."""


@dataclass(frozen=True, slots=True)
class BoundLabel:
    """The label that holds bucket bounds or quantiles, the suffix of the series with it, and the range of its values.

    A bound of +Inf is valid, but omitted from points.
    """

    label: str
    suffix: str
    min_bound: float
    max_bound: float

    def parse_bound(self, text: str) -> float:
        """Return the bound that a label holds, NaN if it is missing ("") or invalid."""
        try:
            bound = float(text)
        except ValueError:
            return nan
        # Comparisons with NaN are false, so a bound written as NaN is invalid, too.
        return bound if self.min_bound <= bound <= self.max_bound else nan


@dataclass(frozen=True, slots=True)
class GroupLayout:
    """Which series of a group are bounds (finite, in ascending order), sum and count, by position.

    `width` is the number of series, `ignored` how many of them repeat another or belong to no field of a point.
    """

    width: int
    bounds: tuple[float, ...]
    bound_positions: tuple[int, ...]
    sum_position: int | None
    count_position: int | None
    ignored: int
    invalid_bounds: bool

    @property
    def used(self) -> int:
        """The number of series that become a part of the point."""
        return self.width - self.ignored


@dataclass(frozen=True, slots=True)
class PointGroup:
    """Consecutive series that differ only in their bound: their other labels, encoded, and which series they are."""

    attribute_bytes: bytes
    layout: GroupLayout


@dataclass(frozen=True, slots=True)
class _CachedGroups:
    columns: Sequence[Sequence[Series]]
    groups: Sequence[PointGroup]


class PointGroups:
    """Finds the groups of families, and caches them by the columns of series of their batches.

    A family whose groups are not consecutive is reordered first: rare, since client libraries write a point's series
    together.
    """

    def __init__(self, bound_label: BoundLabel, encode_attributes: Callable[[Labels], bytes]) -> None:
        self._bound_label = bound_label
        self._encode_attributes = encode_attributes
        # By the ids of the columns. The entry holds these, so that no id is reused.
        self._groups: GenerationalCache[tuple[int, ...], _CachedGroups] = GenerationalCache()
        self._layouts: GenerationalCache[tuple[str, tuple[_Member, ...]], GroupLayout] = GenerationalCache()

    def group(self, family: MetricFamily) -> tuple[MetricFamily, Sequence[PointGroup]]:
        """Return a family and its groups, reordered if a group is not consecutive."""
        columns = tuple([batch.series for batch in family.batches])
        key = tuple(map(id, columns))
        cached = self._groups.get(key)
        if cached is None:
            cached = self._groups.put(key, _CachedGroups(columns, self._split(family)))
        if len({group.attribute_bytes for group in cached.groups}) == len(cached.groups):
            return family, cached.groups
        point_labels = [self._point_labels(series.labels) for series in family.series]
        family = metrics.reorder(family, sorted(range(len(point_labels)), key=point_labels.__getitem__))
        return family, self._split(family)

    def end_cycle(self) -> None:
        """End a cycle: evict what was not used recently."""
        self._groups.end_cycle()
        self._layouts.end_cycle()

    def _split(self, family: MetricFamily) -> list[PointGroup]:
        groups: list[PointGroup] = []
        members = [(series.name, series.labels) for series in family.series]
        position = 0
        while position < len(members):
            groups.append(self._read_group(family.name, members, position))
            position += groups[-1].layout.width
        return groups

    def _read_group(self, name: str, all_members: Sequence[tuple[str, Labels]], start: int) -> PointGroup:
        """Read the group that starts at a position."""
        label, point_labels = self._bound_label.label, self._point_labels(all_members[start][1])
        following = islice(all_members, start, None)
        same_point = takewhile(lambda member: self._point_labels(member[1]) == point_labels, following)
        members = tuple([(member, dict(labels).get(label, "")) for member, labels in same_point])
        layout = self._layouts.get((name, members))  # of all groups with these bounds
        if layout is None:
            layout = self._layouts.put((name, members), _layout(name, members, self._bound_label))
        return PointGroup(self._encode_attributes(point_labels), layout)

    def _point_labels(self, labels: Labels) -> Labels:
        return tuple(sorted([label for label in labels if label[0] != self._bound_label.label]))


def _layout(name: str, series: Sequence[_Member], bound_label: BoundLabel) -> GroupLayout:
    """Return the layout of a group; of several series with one meaning the first is used."""
    bound_positions: dict[float, int] = {}
    other_positions: dict[str, int] = {}
    for position, (series_name, bound) in enumerate(series):
        if series_name == name + bound_label.suffix:
            bound_positions.setdefault(bound_label.parse_bound(bound), position)
        else:
            other_positions.setdefault(series_name, position)
    sum_position, count_position = other_positions.get(f"{name}_sum"), other_positions.get(f"{name}_count")
    used = len(bound_positions) + (sum_position is not None) + (count_position is not None)
    # The last bucket has no bound in OTLP; `_count` is its count (T25).
    bound_positions.pop(inf, None)
    bounds = tuple(sorted(bound_positions))
    return GroupLayout(
        width=len(series),
        bounds=bounds,
        bound_positions=tuple(map(bound_positions.__getitem__, bounds)),
        sum_position=sum_position,
        count_position=count_position,
        ignored=len(series) - used,
        invalid_bounds=any(map(isnan, bound_positions)),
    )
