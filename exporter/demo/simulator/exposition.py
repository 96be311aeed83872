"""Writes exposition text 0.0.4 byte for byte as Go programs do."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

LabelPair = tuple[str, str]
ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
MAX_PLAIN_EXPONENT = 6
MIN_PLAIN_EXPONENT = -4


class FamilyHeader(NamedTuple):
    """The content of a family's HELP and TYPE lines."""

    name: str
    type: str
    help: str


class SampleRow(NamedTuple):
    """A sample; its name is the family's and `suffix`."""

    labels: tuple[LabelPair, ...]
    value: float
    suffix: str = ""


def parse_headers(text: str) -> tuple[FamilyHeader, ...]:
    """Parse a table of families: in each line a name, a type and the help text."""
    return tuple(FamilyHeader(*line.split(" ", 2)) for line in text.strip().splitlines())


def render_family(header: FamilyHeader, rows: Iterable[SampleRow]) -> str:
    """Return a family's text: its header, then its samples."""
    lines = [f"# HELP {header.name} {header.help}", f"# TYPE {header.name} {header.type}"]
    lines += [f"{header.name}{row.suffix}{_format_labels(row.labels)} {format_number(row.value)}" for row in rows]
    return "\n".join(lines) + "\n"


# Cached, as below: a page repeats most of the page before, and Decimal is slow.
@lru_cache(maxsize=1 << 14)
def format_number(value: float) -> str:
    """Format a number in Go's shortest form: from 1e+06 on with an exponent of two digits."""
    plain = Decimal(repr(float(value)))
    mantissa, _, exponent = f"{plain.normalize():e}".partition("e")
    if MIN_PLAIN_EXPONENT <= int(exponent) < MAX_PLAIN_EXPONENT:
        return f"{plain.normalize():f}"
    return f"{mantissa}e{int(exponent):+03d}"


@lru_cache(maxsize=1 << 14)
def _format_labels(labels: tuple[LabelPair, ...]) -> str:
    pairs = ",".join(f'{name}="{value.translate(ESCAPES)}"' for name, value in labels)
    return f"{{{pairs}}}" if pairs else ""
