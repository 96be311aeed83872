"""The command `series`: the catalogue of derived series; the manual's table has the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.output import durations, namespace_counters, targets
from exporter.rollouts.output.catalogue import ALL_PRESETS, DERIVED_FAMILIES, LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.rollouts.output.catalogue import DerivedFamily


def series_rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield name, type, labels and help text of each derived family, in the order of export."""
    for row in DERIVED_FAMILIES:
        yield row.name, row.type.value, ", ".join(("namespace", "name", *row.labels)), row.help + _presets(row)
    yield durations.NAME, "histogram", "namespace, result", durations.HELP
    for name, (label, text) in namespace_counters.NAMESPACE_FAMILIES.items():
        yield name, "counter", f"namespace, {label}", text
    for name, text in targets.TARGET_FAMILIES.items():
        yield name, "gauge", ", ".join(targets.TARGET_LABELS), text


def _presets(row: DerivedFamily) -> str:
    """Return a sentence about the presets that export a family, if these are not all."""
    # The setting `series.labels` turns on the family of labels.
    if row.presets == ALL_PRESETS or row.name == LABELS:
        return ""
    return f" Presets: {', '.join(sorted(row.presets))}."


DERIVED_FAMILY_NAMES: Final = frozenset(name for name, *_ in series_rows())
"""The names of the families that the exporter derives, including those of targets; all others pass through."""


def catalogue_lines() -> Iterator[str]:
    """Yield the catalogue as plain text, two lines per family."""
    for name, kind, labels, text in series_rows():
        yield f"{name}{{{labels}}} {kind}"
        yield f"    {text}"
