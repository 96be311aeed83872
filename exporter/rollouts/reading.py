"""A controller's page → a Reading of each rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.fleet import PHASES, UNKNOWN_PHASE, Key, Process, Reading, Replicas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exporter.family import Family, Page, Series

WANTED: Final = frozenset({
    "analysis_run_info",
    "process_start_time_seconds",
    "rollout_events_total",
    "rollout_info",
    "rollout_info_replicas_available",
    "rollout_info_replicas_desired",
    "rollout_info_replicas_unavailable",
    "rollout_info_replicas_updated",
    "rollout_phase",
    "workqueue_adds_total",
})  # fmt: skip # a table
EVENTS: Final = frozenset({
    "NewReplicaSetCreated",
    "RolloutAborted",
    "RolloutCompleted",
    "RolloutDeleted",
    "RolloutPaused",
    "RolloutResumed",
    "RolloutStepCompleted",
    "RolloutUpdated",
    "SkipSteps",
    "TrafficWeightUpdated",
})  # fmt: skip # a table
_GAUGES: Final = ("desired", "updated", "available", "unavailable")


def samples(page: Page, name: str) -> Iterable[tuple[Series, float]]:
    """Return the samples of one family of a page, none when the page lacks it."""
    family = page.families.get(name)
    return zip(family.series, family.values, strict=True) if family is not None else ()


def started(page: Page) -> float:
    """Return when the process behind a page started (Unix seconds), 0 when it does not say."""
    return next((value for _, value in samples(page, "process_start_time_seconds")), 0.0)


def read(page: Page) -> dict[Key, Reading]:
    """Return what a leader's page says of every rollout on it."""
    process = Process(page.target, started(page))
    gauges = _gauges(page)
    events = _events(page)
    return {
        key: Reading(
            process,
            strategy,
            router,
            phase if phase in PHASES else UNKNOWN_PHASE,
            gauges.get(key),
            events.get(key, {}),
        )
        for key, strategy, router, phase in _phases(page)
    }


def _key(series: Series) -> Key:
    return series.label("namespace"), series.label("name")


def _phases(page: Page) -> Iterator[tuple[Key, str, str, str]]:
    """Take phases from `rollout_info`, and from the deprecated `rollout_phase` where only that exists."""
    family = page.families.get("rollout_info")
    if family is not None and len(family):
        for series, value in samples(page, "rollout_info"):
            if value:
                yield _key(series), series.label("strategy"), series.label("traffic_router"), series.label("phase")
        return
    yield from _deprecated_phases(page)


def _deprecated_phases(page: Page) -> Iterator[tuple[Key, str, str, str]]:
    """Read six 0/1 series a rollout; all zero is the seventh phase, InvalidSpec, which has none of its own."""
    strategies: dict[Key, str] = {}
    phases: dict[Key, str] = {}
    for series, value in samples(page, "rollout_phase"):
        key = _key(series)
        strategies[key] = series.label("strategy")
        if value:
            phases[key] = series.label("phase")
    for key, strategy in strategies.items():
        yield key, strategy, "", phases.get(key, "InvalidSpec")


def _gauges(page: Page) -> Mapping[Key, Replicas]:
    columns = [
        {_key(series): value for series, value in samples(page, f"rollout_info_replicas_{gauge}")} for gauge in _GAUGES
    ]
    whole = set(columns[0]).intersection(*columns[1:])
    return {key: Replicas(*(column[key] for column in columns)) for key in whole}


def _events(page: Page) -> Mapping[Key, Mapping[str, float]]:
    events: dict[Key, dict[str, float]] = {}
    for series, value in samples(page, "rollout_events_total"):
        reason = series.label("reason")
        if reason in EVENTS:
            events.setdefault(_key(series), {})[reason] = value
    return events


def analysis_runs(page: Page) -> Iterable[tuple[str, str, str]]:
    """Return namespace, name and phase of each AnalysisRun on a leader's page."""
    family: Family | None = page.families.get("analysis_run_info")
    if family is None:
        return ()
    return [(*_key(series), series.label("phase")) for series in family.series]
