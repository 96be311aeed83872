"""Families → Prometheus text format 0.0.4, block by block."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exporter.metrics import MetricFamily, SampleBatch, Series

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BLOCK: Final = 2_000
_NAME: Final = "__name__"  # a label that would name the series once more
HELP_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})
LABEL_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
SPECIAL: Final = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}


def render(families: Iterable[MetricFamily]) -> Iterator[bytes]:
    """Yield the page in blocks of some thousand samples, families in the order of their names.

    Families of one name stand under one header, the first's type; of a series told twice the first value counts,
    whatever the order of its labels; a family without samples leaves nothing. A counter keeps its name. What was read
    from a page goes out as it stood there.
    """
    for name, group in sorted(_by_name(families).items()):
        head = _header(name, group).encode()
        for block in _interned(group[0]) if _is_interned(group) else _blocks(_lines(group)):
            yield head + block
            head = b""


def _is_interned(group: Sequence[MetricFamily]) -> bool:
    """Tell whether no series can be told twice in a group."""
    return len(group) == 1 and all(strip.interned for strip in group[0].batches)


def _interned(family: MetricFamily) -> Iterator[bytes]:
    block: list[bytes] = []
    many = 0
    for strip in family.batches:
        block.append(_rows(strip))
        many += len(strip)
        if many >= BLOCK:
            yield b"".join(block)
            block, many = [], 0
    if block:
        yield b"".join(block)


def _rows(strip: SampleBatch) -> bytes:
    samples = zip(strip.series, strip.values, strict=True)
    return "".join([f"{_text(series)} {number(value)}\n" for series, value in samples]).encode()


def _text(series: Series) -> str:
    """Return a series as it stood on a page, or as the format writes it."""
    text = series.exposition
    return text if text and _NAME not in text else _head(series)


def _blocks(lines: Iterator[str]) -> Iterator[bytes]:
    while block := "".join(islice(lines, BLOCK)):
        yield block.encode()


def number(value: float) -> str:
    """Return a value as the format writes it, exactly: `1`, `0.25`, `1e+22`, `NaN`, `+Inf`, `-Inf`."""
    text = repr(float(value))
    return text.removesuffix(".0") if text[-1].isdigit() else SPECIAL[text]


def _by_name(families: Iterable[MetricFamily]) -> dict[str, list[MetricFamily]]:
    groups: dict[str, list[MetricFamily]] = {}
    for family in families:
        groups.setdefault(family.name, []).append(family)
    return groups


def _header(name: str, group: Iterable[MetricFamily]) -> str:
    """Return the HELP line, if any family has one to give, and the TYPE line."""
    text = next((family.help for family in group if family.help), "")
    told = f"# HELP {name} {text.translate(HELP_ESCAPES)}\n" if text else ""
    return f"{told}# TYPE {name} {next(iter(group)).type}\n"


def _lines(group: Iterable[MetricFamily]) -> Iterator[str]:
    seen: set[str] = set()
    for family in group:
        for series, value in family.samples():
            head = _head(series)
            if head not in seen:
                seen.add(head)
                yield f"{head} {number(value)}\n"


def _head(series: Series) -> str:
    """Return a series as the format writes it, its labels sorted."""
    if not series.labels:
        return series.name
    labels = sorted(series.labels)
    text = '",'.join([f'{key}="{value}' for key, value in labels])
    # Escaping costs three times what the rest does, and hardly any value needs it.
    if "\\" in text or "\n" in text or text.count('"') >= 2 * len(labels):
        text = '",'.join([f'{key}="{value.translate(LABEL_ESCAPES)}' for key, value in labels])
    return f'{series.name}{{{text}"}}'
