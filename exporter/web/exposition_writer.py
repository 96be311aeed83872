"""Metric families → Prometheus text format 0.0.4, in blocks."""

from __future__ import annotations

from itertools import groupby, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.metrics import MetricFamily, SampleBatch, Series

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BLOCK_SAMPLES: Final = 2_000  # some 5 ms of CPU: the server lets the event loop run between two blocks
_NAME_LABEL: Final = "__name__"  # a label that names the series a second time
HELP_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})
LABEL_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
SPECIAL_VALUES: Final = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}


def render(families: Iterable[MetricFamily]) -> Iterator[bytes]:
    """Yield the page in blocks of some thousand samples, sorted by family name.

    Families of one name share one header, with the type of the first. Of duplicate series, whatever the order of their
    labels, the first value is written. Families without samples are omitted. A counter's name gets no suffix. A scraped
    series is written as it was scraped.
    """
    by_name = attrgetter("name")
    for name, same_name in groupby(sorted(families, key=by_name), by_name):
        group = list(same_name)
        header = _family_header(name, group).encode()
        # A single family of series that the scrape cache interned cannot have duplicates.
        is_interned = len(group) == 1 and all(batch.interned for batch in group[0].batches)
        blocks = _render_interned(group[0]) if is_interned else _blocks(_deduplicated_lines(group))
        for block in blocks:
            yield header + block
            header = b""


def _render_interned(family: MetricFamily) -> Iterator[bytes]:
    block: list[bytes] = []
    sample_count = 0
    for batch in family.batches:
        block.append(_format_batch(batch))
        sample_count += len(batch)
        if sample_count >= BLOCK_SAMPLES:
            yield b"".join(block)
            block, sample_count = [], 0
    if block:
        yield b"".join(block)


def _format_batch(batch: SampleBatch) -> bytes:
    samples = zip(batch.series, batch.values, strict=True)
    return "".join([f"{_interned_text(series)} {format_value(value)}\n" for series, value in samples]).encode()


def _interned_text(series: Series) -> str:
    """Return a series as it was scraped, or formatted."""
    text = series.exposition
    return text if text and _NAME_LABEL not in text else _series_text(series)


def _blocks(lines: Iterator[str]) -> Iterator[bytes]:
    while block := "".join(islice(lines, BLOCK_SAMPLES)):
        yield block.encode()


def format_value(value: float) -> str:
    """Format a value without loss of precision: `1`, `0.25`, `1e+22`, `NaN`, `+Inf`, `-Inf`."""
    text = repr(float(value))
    return text.removesuffix(".0") if text[-1].isdigit() else SPECIAL_VALUES[text]


def sample_line(series: Series, value: float) -> str:
    """Return a sample as a line, without its end."""
    return f"{_series_text(series)} {format_value(value)}"


def _family_header(name: str, group: Iterable[MetricFamily]) -> str:
    """Return the HELP line, if any family of the group has a text, and the TYPE line."""
    text = next((family.help for family in group if family.help), "")
    help_line = f"# HELP {name} {text.translate(HELP_ESCAPES)}\n" if text else ""
    return f"{help_line}# TYPE {name} {next(iter(group)).type}\n"


def _deduplicated_lines(group: Iterable[MetricFamily]) -> Iterator[str]:
    exported: set[str] = set()
    for family in group:
        for series, value in family.samples():
            text = _series_text(series)
            if text not in exported:
                exported.add(text)
                yield f"{text} {format_value(value)}\n"


def _series_text(series: Series) -> str:
    """Format a series, with its labels sorted."""
    if not series.labels:
        return series.name
    labels = sorted(series.labels)
    text = '",'.join([f'{key}="{value}' for key, value in labels])
    # Escaping costs three times as much as the rest, and hardly any value needs it.
    if "\\" in text or "\n" in text or text.count('"') >= 2 * len(labels):
        text = '",'.join([f'{key}="{value.translate(LABEL_ESCAPES)}' for key, value in labels])
    return f'{series.name}{{{text}"}}'
