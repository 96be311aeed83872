"""Families cut, picked from and merge_families, columns and all."""

from __future__ import annotations

from array import array
from itertools import chain, compress, repeat
from typing import TYPE_CHECKING, Final

from exporter.family import Family

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNSET: Final = 0.0
"""The start time of a series whose start is not known."""


def parts(family: Family, size: int) -> Iterator[Family]:
    """Cut a family into parts of at most `size` series."""
    if len(family) <= size:
        yield family
        return
    for first in range(0, len(family), size):
        cut = slice(first, first + size)
        starts = None if family.starts is None else family.starts[cut]
        yield Family(family.name, family.kind, family.help, family.series[cut], family.values[cut], starts)


def only(family: Family, wanted: Sequence[bool]) -> Family:
    """Keep the series whose turn in `wanted` is true."""
    starts = None if family.starts is None else list(compress(family.starts, wanted))
    series, values = list(compress(family.series, wanted)), array("d", compress(family.values, wanted))
    return Family(family.name, family.kind, family.help, series, values, starts)


def reordered(family: Family, order: Sequence[int]) -> Family:
    """Put the series of a family into another order; start times are not kept."""
    series = [family.series[place] for place in order]
    return Family(family.name, family.kind, family.help, series, array("d", [family.values[place] for place in order]))


def merge_families(first: Family, families: Sequence[Family]) -> Family:
    """Join families of one name and kind, those of `first`, in order."""
    if len(families) == 1:
        return families[0]
    text = next((family.help for family in families if family.help), first.help)
    series = list(chain.from_iterable(family.series for family in families))
    values = array("d", chain.from_iterable(family.values for family in families))
    starts = list(chain.from_iterable(family.starts or repeat(UNSET, len(family)) for family in families))
    return Family(first.name, first.kind, text, series, values, starts if any(starts) else None)
