"""A family while its page is being read."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from exporter.family import Family, Kind, Strip, joined

if TYPE_CHECKING:
    from exporter.family import Series
    from exporter.scrape.former import Former
    from exporter.scrape.interner import Texts


class Columns:
    """A family while it is being read; `former` is the same family on the target's last page."""

    __slots__ = ("_series", "_values", "former", "help", "kind", "name", "rows", "strips", "texts", "typed")

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind = Kind.UNTYPED
        self.help = ""
        self.typed = False
        self.texts: Texts | None = None
        self.former: Former | None = None
        self.strips: list[Strip] = []
        self.rows = 0
        self._series: list[Series] = []
        self._values = array("d")

    def put(self, strip: Strip) -> None:
        """Take a strip."""
        self.settle()
        self.strips.append(strip)
        self.rows += len(strip)

    def add(self, series: Series, value: float) -> None:
        """Take one sample, read by itself."""
        self._series.append(series)
        self._values.append(value)
        self.rows += 1

    def settle(self) -> None:
        """Make a strip of the samples that were read by themselves."""
        if self._series:
            self.strips.append(Strip(self._series, self._values))
            self._series, self._values = [], array("d")

    def family(self, before: Family | None) -> tuple[Family, int]:
        """Return the family, and how many samples only repeat a series; `before` is the one of the last page."""
        self.settle()
        strips = tuple(self.strips)
        if before is not None and before.strips == strips and before.kind is self.kind:
            return Family.of(self.name, self.kind, self.help, strips), 0
        if self.texts is not None and not self.texts.kept:
            return Family.of(self.name, self.kind, self.help, strips), 0
        family = joined(self.name, self.kind, self.help, strips)
        return family, self.rows - len(family)
