"""Writes exposition text 0.0.4 byte for byte as Go programs do."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Labels = tuple[tuple[str, str], ...]
ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
LONGEST_PLAIN = 6
SHORTEST_PLAIN = -4


@dataclass(frozen=True, slots=True)
class Header:
    """What a family's HELP and TYPE lines say."""

    name: str
    kind: str
    help: str


@dataclass(frozen=True, slots=True)
class Row:
    """One sample; `suffix` is what its name has more than the family's."""

    labels: Labels
    value: float
    suffix: str = ""


def render(header: Header, rows: Iterable[Row]) -> str:
    """Write a family: its header, then its samples."""
    lines = [f"# HELP {header.name} {header.help}", f"# TYPE {header.name} {header.kind}"]
    lines += [f"{header.name}{row.suffix}{_braces(row.labels)} {number(row.value)}" for row in rows]
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Write a number as Go's shortest form: 1e+06 and beyond with an exponent of two digits."""
    plain = Decimal(repr(float(value)))
    mantissa, _, exponent = f"{plain.normalize():e}".partition("e")
    if SHORTEST_PLAIN <= int(exponent) < LONGEST_PLAIN:
        return f"{plain.normalize():f}"
    return f"{mantissa}e{int(exponent):+03d}"


def _braces(labels: Labels) -> str:
    inner = ",".join(f'{name}="{value.translate(ESCAPES)}"' for name, value in labels)
    return f"{{{inner}}}" if inner else ""
