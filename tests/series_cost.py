"""How many series and data points a rollout costs by `series.preset`, on the recordings of real controllers."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from exporter.config.pass_through import PRESET_SELECTIONS
from exporter.config.settings import SeriesSection, Settings
from exporter.rollouts.model import UpdateState
from exporter.rollouts.output.catalogue import DERIVED_FAMILIES
from exporter.rollouts.output.pass_through import EVENTS
from tests.recorded import EXPLAINED_ARCHIVES, Recordings, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.metrics import MetricsSnapshot, Series
    from exporter.rollouts.model import RolloutKey
    from exporter.rollouts.tracker import RolloutTracker

PER_POD: Final = frozenset({"argo_rollouts_pod_info", "kube_pod_labels"})
"""One series a pod, beyond the limits: what they cost depends on the number of pods alone."""
UNSELECTED_EVENTS: Final = f"{EVENTS}, unselected"
"""Series of events that the preset standard does not export, counted by themselves."""
AT_REST, IN_UPDATE = "at rest", "in an update"
SERIES_OF_HISTOGRAM: Final = {"rollout_reconcile": 8}
"""Families of which several series are one data point in OTLP, and how many."""


def exported_names(preset: str, names: set[str]) -> set[str]:
    """Return those of the names of families that a preset exports."""
    derived = {row.name: row.presets for row in DERIVED_FAMILIES}
    passes_through = SeriesSection.parse({"preset": preset}).passes_through
    return {name for name in names if (preset in derived[name] if name in derived else passes_through(name))}


def series_of_rollouts(snapshot: MetricsSnapshot, rollouts: set[RolloutKey]) -> dict[RolloutKey, Counter[str]]:
    """Count the series of each rollout by family: those with its name, and those of its pods and AnalysisRuns."""
    counts: dict[RolloutKey, Counter[str]] = {key: Counter() for key in rollouts}
    for family in snapshot.families:
        for series in family.series:
            namespace, name = series.label("namespace"), series.label("name") or series.label("pod") or ""
            owners = [key for key in rollouts if key[0] == namespace and f"{name}-".startswith(f"{key[1]}-")]
            if owners:
                counts[max(owners, key=len)][counted_name(family.name, series)] += 1
    return counts


def counted_name(family: str, series: Series) -> str:
    event = series.label("type") or "", series.label("reason") or ""
    is_unselected = family == EVENTS and not PRESET_SELECTIONS["standard"].matches_event(*event)
    return UNSELECTED_EVENTS if is_unselected else family


def counted_series(recordings: Recordings) -> Iterator[tuple[str, Counter[str]]]:
    """Yield the series of preset full of each rollout: in updates at each tick, and of others at the end.

    The end is later than the time during which series of an update that ended are exported as 0.
    """
    for name in (name for name in recordings.names if "full" in recordings.variants(name)):
        for tick, snapshot, tracker in recordings.play(name, "full", 10.0):  # noqa: B007 - the last one is used below
            yield from of_state(snapshot, tracker, IN_UPDATE)
        later = tick.timestamp + recordings.policy.ended_info + 1
        snapshot = tracker.process(later, [replace(result, scraped_at=later) for result in tick.results])
        yield from of_state(snapshot, tracker, AT_REST)


def of_state(snapshot: MetricsSnapshot, tracker: RolloutTracker, state: str) -> Iterator[tuple[str, Counter[str]]]:
    chosen = {
        rollout.key
        for rollout in tracker.status.rollouts
        if (rollout.state.update_state is UpdateState.UPDATING) is (state == IN_UPDATE)
    }
    counts = series_of_rollouts(snapshot, {rollout.key for rollout in tracker.status.rollouts})
    return ((state, counts[key]) for key in chosen)


def cost(preset: str, series: Counter[str]) -> int:
    return sum(series[name] for name in exported_names(preset, set(series)) - PER_POD)


def point_cost(preset: str, series: Counter[str]) -> int:
    """Return the data points of a rollout in one cycle."""
    spared = sum(series[name] // size * (size - 1) for name, size in SERIES_OF_HISTOGRAM.items())
    is_spared = exported_names(preset, set(SERIES_OF_HISTOGRAM))
    return cost(preset, series) - (spared if is_spared else 0)


def count_series(folders: Iterable[Path]) -> list[tuple[str, Counter[str]]]:
    """Return state and series of preset full of each rollout of the recordings in some folders."""
    settings = Settings(series=SeriesSection(preset="full"))  # the others select from what it exports
    return [row for folder in folders for row in counted_series(Recordings(folder, settings))]


def preset_figures() -> dict[str, dict[str, float]]:
    """Return, by preset, the median and the maximum of series in each state, and the median of points at rest."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        counted = count_series((unpack(Path(first)), unpack(Path(second), EXPLAINED_ARCHIVES)))
    return {preset: _figures(preset, counted) for preset in PRESET_SELECTIONS}


def _figures(preset: str, counted: Iterable[tuple[str, Counter[str]]]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for state in (AT_REST, IN_UPDATE):
        rows = [series for row_state, series in counted if row_state == state]
        costs = [cost(preset, series) for series in rows]
        figures |= {state: median(costs), f"{state}, at most": max(costs)}
        figures[f"points {state}"] = median(point_cost(preset, series) for series in rows)
    return figures
