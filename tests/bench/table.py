"""What was measured: rows in a file, and a table with our ratio to each peer and to the best of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.bench.subjects import EXPORTER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

Row = dict[str, Any]
"""One measurement: work, mode, who, cpu_s_per_cycle, peak_mb, and what else there is to tell."""

BEST: Final = "best peer"
_COLUMNS: Final = (
    ("CPU s / cycle", "cpu_s_per_cycle", ".3f"),
    ("peak MB", "peak_mb", ".0f"),
    ("mean MB", "steady_mb", ".0f"),
    ("kB / cycle", "sent_kb_per_cycle", ".0f"),
    ("requests", "requests_per_cycle", ".1f"),
    ("points / cycle", "points_per_cycle", ",.0f"),
    ("latency s", "latency_s", ".2f"),
    ("first push s", "first_push_s", ".1f"),
)
_RATIOS: Final = (("CPU ratio", "cpu_s_per_cycle"), ("memory ratio", "peak_mb"))


def keep(rows: Iterable[Row], file: Path) -> None:
    """Add rows to those in a file, which is a list in JSON."""
    kept = json.loads(file.read_text()) if file.exists() else []
    file.write_text(json.dumps([*kept, *rows], indent=1) + "\n")


def median_rows(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each work, mode and who: of each number the median; what must hold must hold in all."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["work"], row["mode"], row["who"]), []).append(row)
    return [{key: _middle([row[key] for row in group]) for key in group[0]} for group in groups.values()]


def _middle(values: Sequence[Any]) -> object:
    known = sorted(value for value in values if value is not None)
    if isinstance(values[0], bool):
        return all(known)
    return known[len(known) // 2] if known else None


def best(rows: Iterable[Row]) -> Row | None:
    """Return what the best peer has of each number that we compare, None without peers."""
    peers = [row for row in rows if row["who"] != EXPORTER]
    return {"who": BEST} | {key: min(row[key] for row in peers) for _, key in _RATIOS} if peers else None


def tables(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a table in Markdown for each work and mode; the ratios are ours to the row's, under 1 is cheaper."""
    for work, mode in dict.fromkeys((row["work"], row["mode"]) for row in rows):
        yield table(f"{work}, {mode}", [row for row in rows if (row["work"], row["mode"]) == (work, mode)])


def table(title: str, rows: Sequence[Row]) -> str:
    """Return the rows of one work and mode as a table."""
    ours = next((row for row in rows if row["who"] == EXPORTER), None)
    champion = best(rows)
    head = [title, *(name for name, _, _ in _COLUMNS), *(name for name, _ in _RATIOS)]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    lines += [_line(row, ours) for row in ([*rows, champion] if champion else rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _line(row: Row, ours: Row | None) -> list[str]:
    cells = [_cell(row.get(key), form) for _, key, form in _COLUMNS]
    if ours is None or row is ours:
        return [row["who"], *cells, *[""] * len(_RATIOS)]
    return [row["who"], *cells, *(f"{ours[key] / row[key]:.2f}" if row[key] else "" for _, key in _RATIOS)]


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
