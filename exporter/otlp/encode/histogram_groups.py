"""Group the series of histograms and summaries by the point that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from math import inf, isnan, nan
from typing import TYPE_CHECKING

from exporter import metrics
from exporter.incremental import GenerationalCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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

    `members` are all of them, `ignored` is how many repeat another or belong to no field of a point.
    """

    members: tuple[_Member, ...]
    bounds: tuple[float, ...]
    bound_positions: tuple[int, ...]
    sum_position: int | None
    count_position: int | None
    ignored: int
    invalid_bounds: bool

    @property
    def width(self) -> int:
        """The number of series."""
        return len(self.members)

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
class _ColumnGroups:
    column: Sequence[Series]
    groups: Sequence[PointGroup]


class PointGroups:
    """Finds the groups of families, and caches those of each batch by its column of series.

    A family whose groups are not consecutive is reordered first: rare, since client libraries write a point's series
    together.
    """

    def __init__(self, bound_label: BoundLabel, encode_attributes: Callable[[Labels], bytes]) -> None:
        self._bound_label = bound_label
        self._encode_attributes = encode_attributes
        # By the id of the column. The entry holds it, so that no id is reused.
        self._columns: GenerationalCache[int, _ColumnGroups] = GenerationalCache()
        self._layouts: GenerationalCache[tuple[str, tuple[_Member, ...]], GroupLayout] = GenerationalCache()

    def group(self, family: MetricFamily) -> tuple[MetricFamily, Sequence[PointGroup]]:
        """Return a family and its groups, reordered if a group is not consecutive."""
        groups: list[PointGroup] = []
        for batch in family.batches:
            self._append(groups, family.name, self._groups_of(family.name, batch.series))
        if len({group.attribute_bytes for group in groups}) == len(groups):
            return family, groups
        point_labels = [self._point_labels(series.labels) for series in family.series]
        family = metrics.reorder(family, sorted(range(len(point_labels)), key=point_labels.__getitem__))
        return family, self._read_groups(family.name, family.series)

    def end_cycle(self) -> None:
        """End a cycle: evict what was not used recently."""
        self._columns.end_cycle()
        self._layouts.end_cycle()

    def _append(self, groups: list[PointGroup], name: str, following: Sequence[PointGroup]) -> None:
        """Append the groups of the next batch; a group may have begun in the batch before."""
        is_split = groups and following and groups[-1].attribute_bytes == following[0].attribute_bytes
        if is_split:
            begun, rest = groups.pop(), following[0]
            layout = self._layout(name, begun.layout.members + rest.layout.members)
            groups.append(PointGroup(rest.attribute_bytes, layout))
        groups += following[1:] if is_split else following

    def _groups_of(self, name: str, column: Sequence[Series]) -> Sequence[PointGroup]:
        cached = self._columns.get(id(column))
        if cached is None:
            cached = self._columns.put(id(column), _ColumnGroups(column, self._read_groups(name, column)))
        return cached.groups

    def _read_groups(self, name: str, column: Iterable[Series]) -> Sequence[PointGroup]:
        label = self._bound_label.label
        groups: list[PointGroup] = []
        all_members = [(series.name, series.labels) for series in column]
        for point_labels, same_point in groupby(all_members, lambda member: self._point_labels(member[1])):
            members = tuple([(member, dict(labels).get(label, "")) for member, labels in same_point])
            groups.append(PointGroup(self._encode_attributes(point_labels), self._layout(name, members)))
        return groups

    def _layout(self, name: str, members: tuple[_Member, ...]) -> GroupLayout:
        """Return the one layout of all groups with these members."""
        layout = self._layouts.get((name, members))
        if layout is None:
            layout = self._layouts.put((name, members), _layout(name, members, self._bound_label))
        return layout

    def _point_labels(self, labels: Labels) -> Labels:
        return tuple(sorted([label for label in labels if label[0] != self._bound_label.label]))


def _layout(name: str, series: tuple[_Member, ...], bound_label: BoundLabel) -> GroupLayout:
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
        members=series,
        bounds=bounds,
        bound_positions=tuple(map(bound_positions.__getitem__, bounds)),
        sum_position=sum_position,
        count_position=count_position,
        ignored=len(series) - used,
        invalid_bounds=any(map(isnan, bound_positions)),
    )
