"""Histograms and summaries on a page: runs of series that make one point together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from math import inf, isnan, nan
from typing import TYPE_CHECKING

from exporter import metrics
from exporter.incremental import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.metrics import Labels, MetricFamily, Series


@dataclass(frozen=True, slots=True)
class Edges:
    """How a kind of family marks the edges of its points: the label, the suffix of the names that bear it, the range.

    An edge of +Inf is understood and not kept.
    """

    label: str
    suffix: str
    lowest: float
    highest: float

    def read(self, labels: Labels) -> float:
        """Return the edge that a series with these labels stands for, NaN when it is none."""
        try:
            edge = float(dict(labels).get(self.label, ""))
        except ValueError:
            return nan
        return edge if self.lowest <= edge <= self.highest else nan


@dataclass(frozen=True, slots=True)
class Shape:
    """What the series of a run are: `edges` ascending and finite, `places` theirs in the run; where sum and count are.

    `surplus` is how many say what another has said already, or nothing that a point has room for; `broken` that an
    edge is no number.
    """

    width: int
    edges: tuple[float, ...]
    places: tuple[int, ...]
    total: int | None
    count: int | None
    surplus: int
    broken: bool


@dataclass(frozen=True, slots=True)
class Run:
    """Series that follow each other and differ only in their edge; `head` is the rest of their labels, encoded."""

    series: Sequence[Series]
    head: bytes
    shape: Shape


class Runs:
    """Finds the runs of families, and remembers each by its first series.

    A family whose runs are torn apart is put in order first: rare, since clients write a point's series together.
    """

    def __init__(self, edges: Edges, encode: Callable[[Labels], bytes]) -> None:
        self._edges = edges
        self._encode = encode
        self._known: Recent[Series, Run] = Recent()
        self._shapes: Recent[Shape, Shape] = Recent()

    def of(self, family: MetricFamily) -> tuple[MetricFamily, list[Run]]:
        """Return a family's runs, each once and one after another, and the family in their order."""
        series = list(family.series)
        runs = self._runs(family.name, series)
        if len({run.head for run in runs}) == len(runs):
            return family, runs
        rests = [self._rest(one.labels) for one in series]
        family = metrics.reorder(family, sorted(range(len(series)), key=rests.__getitem__))
        return family, self._runs(family.name, list(family.series), anew=True)

    def age(self) -> None:
        """End a cycle: forget what was not used lately."""
        self._known.age()
        self._shapes.age()

    def _runs(self, name: str, series: list[Series], *, anew: bool = False) -> list[Run]:
        runs: list[Run] = []
        at = 0
        while at < len(series):
            run = None if anew else self._known.get(series[at])
            if run is None or series[at : at + run.shape.width] != run.series:
                run = self._next(name, series, at)
            runs.append(run)
            at += run.shape.width
        return runs

    def _next(self, name: str, series: list[Series], at: int) -> Run:
        """Learn the run that begins at a place."""
        told = [series[at].labels]
        rest = self._rest(told[0])
        for one in islice(series, at + 1, None):
            labels = one.labels
            if self._rest(labels) != rest:
                break
            told.append(labels)
        own = series[at : at + len(told)]
        shape = _shape(name, list(zip((one.name for one in own), told, strict=True)), self._edges)
        shape = self._shapes.get(shape) or self._shapes.put(shape, shape)
        return self._known.put(series[at], Run(own, self._encode(rest), shape))

    def _rest(self, labels: Labels) -> Labels:
        return tuple(sorted([pair for pair in labels if pair[0] != self._edges.label]))


def _shape(name: str, series: Sequence[tuple[str, Labels]], edges: Edges) -> Shape:
    """Say what each series of a run is, by name and labels; of several that say the same the first is believed."""
    at: dict[float, int] = {}
    ends: dict[str, int] = {}
    for place, (own, labels) in enumerate(series):
        if own == name + edges.suffix:
            at.setdefault(edges.read(labels), place)
        else:
            ends.setdefault(own, place)
    total, count = ends.get(f"{name}_sum"), ends.get(f"{name}_count")
    used = len(at) + (total is not None) + (count is not None)
    at.pop(inf, None)
    order = tuple(sorted(at))
    return Shape(
        len(series), order, tuple(map(at.__getitem__, order)), total, count, len(series) - used, any(map(isnan, at))
    )
