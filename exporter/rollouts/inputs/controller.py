"""A controller's page → a Reading of each rollout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from exporter.incremental import Notes, rollout
from exporter.rollouts.model import PHASES, UNKNOWN_PHASE, ControllerProcess, ControllerView, ReplicaCounts, RolloutKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.metrics import SampleBatch, ScrapeResult, Series

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
_EVENT: Final = "event "
EVENTS: Final = {
    reason: _EVENT + reason
    for reason in (
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
    )
}  # fmt: skip # a table
_GAUGES: Final = {
    f"rollout_info_replicas_{gauge}": gauge for gauge in ("desired", "updated", "available", "unavailable")
}
_NO_EVENTS: Final[Mapping[str, float]] = {}
_INFO: Final = "rollout_info"
Fact = Callable[[Mapping[str, str], float], "_Fact | None"]
_Fact = tuple[str, Any]
"""What a sample says of its rollout: a name for it, and it."""


def samples(page: ScrapeResult, name: str) -> Iterable[tuple[Series, float]]:
    """Return the samples of one family of a page, none when the page lacks it."""
    family = page.families.get(name)
    return family.samples() if family is not None else ()


def started(page: ScrapeResult) -> float:
    """Return when the process behind a page started (Unix seconds), 0 when it does not say."""
    return next((value for _, value in samples(page, "process_start_time_seconds")), 0.0)


def _info(labels: Mapping[str, str], value: float) -> _Fact | None:
    return (_INFO, tuple(labels.get(name, "") for name in ("strategy", "traffic_router", "phase"))) if value else None


def _event(labels: Mapping[str, str], value: float) -> _Fact | None:
    reason = labels.get("reason", "")
    return (EVENTS[reason], (reason, value)) if reason in EVENTS else None


def _gauge(name: str) -> Callable[[Mapping[str, str], float], _Fact]:
    return lambda _, value: (name, value)


FACTS: Final[Mapping[str, Fact]] = {
    _INFO: _info,
    "rollout_events_total": _event,
    **{family: _gauge(gauge) for family, gauge in _GAUGES.items()},
}
"""What a sample of each family says of a rollout."""


class Reader:
    """Reads one leader's pages, one after another: only of what has changed something is worked out."""

    def __init__(self) -> None:
        self._strips: dict[str, tuple[SampleBatch, ...]] = {}
        self._facts: dict[RolloutKey, dict[str, Any]] = {}
        self._readings: dict[RolloutKey, ControllerView] = {}
        self._process: ControllerProcess | None = None
        self._runs = Notes("analysis_run_info", analysis_run)
        self._phases = Notes("rollout_phase", _deprecated)

    def runs(self, page: ScrapeResult) -> list[tuple[str, str, str]]:
        """Return namespace, name and phase of each AnalysisRun on the page."""
        return self._runs.of([page])

    def read(self, page: ScrapeResult) -> dict[RolloutKey, ControllerView]:
        """Return what the page says of every rollout on it; nobody may change it."""
        process = ControllerProcess(page.target, started(page), page.installation)
        touched: set[RolloutKey] = set()
        for name, fact in FACTS.items():
            self._follow(page, name, fact, touched)
        if not len(page.families.get(_INFO, ())):
            return self._without_info(self._phases.of([page]), process)
        if process != self._process:
            self._process, touched = process, set(self._facts)
        for key in touched:
            reading = self._reading(process, self._facts.get(key, {}))
            if reading is None:
                self._readings.pop(key, None)
            else:
                self._readings[key] = reading
        return self._readings

    def _follow(self, page: ScrapeResult, name: str, fact: Fact, touched: set[RolloutKey]) -> None:
        """Bring the facts of one family to what its strips say now; put into `touched` which rollouts that is about."""
        family = page.families.get(name)
        strips = family.batches if family is not None else ()
        before, self._strips[name] = self._strips.get(name, ()), strips
        known, present = set(before), set(strips)
        for strip in before:
            if strip not in present:
                for key, (what, _) in _facts(strip, fact):
                    touched.add(key)
                    self._facts[key].pop(what, None)
                    if not self._facts[key]:
                        del self._facts[key]
        for strip in strips:
            if strip not in known:
                for key, (what, told) in _facts(strip, fact):
                    touched.add(key)
                    self._facts.setdefault(key, {})[what] = told

    def _reading(self, process: ControllerProcess, facts: Mapping[str, Any]) -> ControllerView | None:
        if _INFO not in facts:
            return None
        strategy, router, phase = facts[_INFO]
        gauges: list[float] = [facts[gauge] for gauge in _GAUGES.values() if gauge in facts]
        replicas = ReplicaCounts(*gauges) if len(gauges) == len(_GAUGES) else None
        events = dict(told for what, told in facts.items() if what.startswith(_EVENT))
        said = phase if phase in PHASES else UNKNOWN_PHASE
        return ControllerView(process, strategy, router, said, replicas, events or _NO_EVENTS)

    def _without_info(
        self, told: Iterable[tuple[RolloutKey, str, str]], process: ControllerProcess
    ) -> dict[RolloutKey, ControllerView]:
        """Take phases from the deprecated `rollout_phase`, where only that exists."""
        self._process = None
        readings: dict[RolloutKey, ControllerView] = {}
        for key, strategy, phase in _deprecated_phases(told):
            facts = {**self._facts.get(key, {}), _INFO: (strategy, "", phase)}
            reading = self._reading(process, facts)
            if reading is not None:
                readings[key] = reading
        return readings


def _facts(strip: SampleBatch, fact: Fact) -> Iterator[tuple[RolloutKey, _Fact]]:
    for series, value in zip(strip.series, strip.values, strict=True):
        labels = dict(series.labels)
        told = fact(labels, value)
        if told is not None:
            yield rollout(labels), told


def _deprecated(labels: Mapping[str, str], value: float) -> tuple[RolloutKey, str, str]:
    """Note one of six 0/1 series a rollout: its strategy, and the phase if it is that one."""
    return rollout(labels), labels.get("strategy", ""), labels.get("phase", "") if value else ""


def _deprecated_phases(told: Iterable[tuple[RolloutKey, str, str]]) -> Iterator[tuple[RolloutKey, str, str]]:
    """Join what was noted of each rollout; all zero is the seventh phase, InvalidSpec, which has no series."""
    strategies: dict[RolloutKey, str] = {}
    phases: dict[RolloutKey, str] = {}
    for key, strategy, phase in told:
        strategies[key] = strategy
        if phase:
            phases[key] = phase
    for key, strategy in strategies.items():
        yield key, strategy, phases.get(key, "InvalidSpec")


def analysis_run(labels: Mapping[str, str], _: float) -> tuple[str, str, str]:
    """Note namespace, name and phase of an AnalysisRun."""
    return (*rollout(labels), labels.get("phase", ""))
