"""A controller's page → a Reading of each rollout."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Final

from exporter.rollouts.fleet import PHASES, UNKNOWN_PHASE, Key, Process, Reading, Replicas

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

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
SLICE: Final = 4000
"""How many samples are read between two turns of whoever else waits."""
_GAUGES: Final = ("desired", "updated", "available", "unavailable")
_NO_EVENTS: Final[Mapping[str, float]] = {}
_Fact = tuple[Key, str, str, str]
"""What a series is about, and the labels that matter of it."""


def samples(page: Page, name: str) -> Iterable[tuple[Series, float]]:
    """Return the samples of one family of a page, none when the page lacks it."""
    family = page.families.get(name)
    return zip(family.series, family.values, strict=True) if family is not None else ()


def started(page: Page) -> float:
    """Return when the process behind a page started (Unix seconds), 0 when it does not say."""
    return next((value for _, value in samples(page, "process_start_time_seconds")), 0.0)


def _key(series: Series) -> Key:
    return series.label("namespace"), series.label("name")


def _info(series: Series) -> _Fact:
    return _key(series), series.label("strategy"), series.label("traffic_router"), series.label("phase")


def _event(series: Series) -> _Fact:
    reason = series.label("reason")
    return _key(series), reason if reason in EVENTS else "", "", ""


class Reader:
    """Reads leaders' pages; what a series is about is worked out once, since its labels never change."""

    def __init__(self) -> None:
        self._facts: dict[Series, _Fact] = {}

    def read(self, page: Page) -> Generator[None, None, dict[Key, Reading]]:
        """Return what a leader's page says of every rollout on it, giving way between slices."""
        process = Process(page.target, started(page), page.installation)
        gauges = yield from self._gauges(page)
        events = yield from self._events(page)
        readings: dict[Key, Reading] = {}
        for number, (key, strategy, router, phase) in enumerate(self._phases(page)):
            said = phase if phase in PHASES else UNKNOWN_PHASE
            readings[key] = Reading(process, strategy, router, said, gauges.get(key), events.get(key, _NO_EVENTS))
            if number % SLICE == SLICE - 1:
                yield
        self._sweep(4 * sum(len(family) for family in page.families.values()) + 1000)
        return readings

    def _fact(self, series: Series, work_out: Callable[[Series], _Fact]) -> _Fact:
        fact = self._facts.get(series)
        if fact is None:
            fact = self._facts[series] = work_out(series)
        return fact

    def _sweep(self, most: int) -> None:
        if len(self._facts) > most:
            self._facts.clear()

    def _phases(self, page: Page) -> Iterator[_Fact]:
        """Take phases from `rollout_info`, and from the deprecated `rollout_phase` where only that exists."""
        family = page.families.get("rollout_info")
        if family is not None and len(family):
            return (self._fact(series, _info) for series, value in samples(page, "rollout_info") if value)
        return _deprecated_phases(page)

    def _gauges(self, page: Page) -> Generator[None, None, Mapping[Key, Replicas]]:
        columns: list[dict[Key, float]] = []
        for gauge in _GAUGES:
            found = {self._fact(one, _info)[0]: value for one, value in samples(page, f"rollout_info_replicas_{gauge}")}
            columns.append(found)
            yield
        desired, updated, available, unavailable = columns
        return {
            key: Replicas(count, updated[key], available[key], unavailable[key])
            for key, count in desired.items()
            if key in updated and key in available and key in unavailable
        }

    def _events(self, page: Page) -> Generator[None, None, Mapping[Key, Mapping[str, float]]]:
        events: dict[Key, dict[str, float]] = defaultdict(dict)
        told = iter(samples(page, "rollout_events_total"))
        while batch := list(islice(told, SLICE)):
            for series, value in batch:
                key, reason, _, _ = self._fact(series, _event)
                if reason:
                    events[key][reason] = value
            yield
        return events


def _deprecated_phases(page: Page) -> Iterator[_Fact]:
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


def analysis_runs(page: Page) -> Iterable[tuple[str, str, str]]:
    """Return namespace, name and phase of each AnalysisRun on a leader's page."""
    family: Family | None = page.families.get("analysis_run_info")
    if family is None:
        return ()
    return [(*_key(series), series.label("phase")) for series in family.series]
