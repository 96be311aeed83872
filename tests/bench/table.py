"""Measurements as rows in a file, and as tables with the exporter's ratio to each peer and to the best."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.bench.subjects import EXPORTER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

Row = dict[str, Any]
"""A measurement: work, mode, who, cpu_s_per_cycle, peak_mb, and more (see `runner._row`)."""

BEST_PEER: Final = "best peer"
_COLUMNS: Final = (
    ("CPU s / cycle", "cpu_s_per_cycle", ".3f"),
    ("peak RSS MB", "peak_mb", ".0f"),
    ("mean RSS MB", "steady_mb", ".0f"),
    ("sent kB / cycle", "sent_kb_per_cycle", ".0f"),
    ("written kB / cycle", "disk_kb_per_cycle", ".0f"),
    ("requests / cycle", "requests_per_cycle", ".1f"),
    ("points / cycle", "points_per_cycle", ",.0f"),
    ("latency s", "latency_s", ".2f"),
    ("first push s", "first_push_s", ".1f"),
    ("cold CPU s", "cold_cpu_s", ".1f"),
)
_RATIOS: Final = (("CPU ratio", "cpu_s_per_cycle"), ("memory ratio", "peak_mb"))


def append_rows(rows: Iterable[Row], file: Path) -> None:
    """Append rows to a file, a list in JSON."""
    existing = json.loads(file.read_text()) if file.exists() else []
    file.write_text(json.dumps([*existing, *rows], indent=1) + "\n")


def median_rows(rows: Sequence[Row]) -> list[Row]:
    """Return a row for each work, mode and subject: the median of numbers; a boolean must be true in all."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["work"], row["mode"], row["who"]), []).append(row)
    return [{key: _median([row[key] for row in group]) for key in group[0]} for group in groups.values()]


def _median(values: Sequence[Any]) -> object:
    measured = sorted(value for value in values if value is not None)
    if isinstance(values[0], bool):
        return all(measured)
    return measured[len(measured) // 2] if measured else None


def best_peer(rows: Iterable[Row]) -> Row | None:
    """Return the minimum over the peers of each compared number, None without peers."""
    peers = [row for row in rows if row["who"] != EXPORTER]
    return {"who": BEST_PEER} | {key: min(row[key] for row in peers) for _, key in _RATIOS} if peers else None


def tables(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a Markdown table for each work and mode; a ratio under 1 means that the exporter uses less."""
    for work, mode in dict.fromkeys((row["work"], row["mode"]) for row in rows):
        yield table(f"{work}, {mode}", [row for row in rows if (row["work"], row["mode"]) == (work, mode)])


def table(title: str, rows: Sequence[Row]) -> str:
    """Return the rows of a work and mode as a table."""
    exporter_row = next((row for row in rows if row["who"] == EXPORTER), None)
    best_row = best_peer(rows)
    header = [title, *(name for name, _, _ in _COLUMNS), *(name for name, _ in _RATIOS)]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    lines += [_line(row, exporter_row) for row in ([*rows, best_row] if best_row else rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _line(row: Row, exporter_row: Row | None) -> list[str]:
    cells = [_cell(row.get(key), form) for _, key, form in _COLUMNS]
    if exporter_row is None or row is exporter_row:
        return [row["who"], *cells, *[""] * len(_RATIOS)]
    return [row["who"], *cells, *(f"{exporter_row[key] / row[key]:.2f}" if row[key] else "" for _, key in _RATIOS)]


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
