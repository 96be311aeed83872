"""No more series than allowed: the last ones are left out, and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.family import Family

if TYPE_CHECKING:
    from collections.abc import Iterable


def capped(families: Iterable[Family], most: int) -> tuple[tuple[Family, ...], int]:
    """Return families of at most so many series together, and how many were left out."""
    kept: list[Family] = []
    room, overflow = most, 0
    for family in families:
        fitting = family if len(family) <= room else _first(family, room)
        overflow += len(family) - len(fitting)
        room -= len(fitting)
        kept += [fitting] if len(fitting) else []
    return tuple(kept), overflow


def _first(family: Family, many: int) -> Family:
    starts = None if family.starts is None else family.starts[:many]
    return Family(family.name, family.kind, family.help, family.series[:many], family.values[:many], starts)
