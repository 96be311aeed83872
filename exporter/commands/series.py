"""The catalogue as lines for people: what `series` prints and the README's table repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.rollouts.output import durations, targets
from exporter.rollouts.output.catalogue import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Return name, kind, labels and meaning of each derived family, in the order in which they are said."""
    for row in ROWS:
        yield row.name, row.kind.value, ", ".join(("namespace", "name", *row.labels)), row.help
    yield durations.NAME, "histogram", "namespace, result", durations.HELP
    for name, text in targets.ROWS.items():
        yield name, "gauge", ", ".join(targets.LABELS), text


def catalogue() -> Iterator[str]:
    """Return the catalogue as plain text, two lines a family."""
    for name, kind, labels, text in rows():
        yield f"{name}{{{labels}}} {kind}"
        yield f"    {text}"
