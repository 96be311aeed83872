"""A controller's page → a `ControllerView` of each rollout, and its AnalysisRuns."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from exporter.incremental import BatchMemo, per_sample
from exporter.rollouts.inputs import work_queue
from exporter.rollouts.model import PHASES, UNKNOWN_PHASE, ControllerProcess, ControllerView, ReplicaCounts, rollout_key
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from exporter.metrics import SampleBatch, ScrapeResult
    from exporter.rollouts.model import RolloutKey, RolloutState

_EVENTS: Final = {reason: reason for reason in (
    "AnalysisRunError", "AnalysisRunFailed", "AnalysisRunInconclusive", "AnalysisRunRunning", "AnalysisRunSuccessful",
    "ExperimentCreated", "NewReplicaSetCreated", "RolloutAborted", "RolloutCompleted", "RolloutDeleted",
    "RolloutPaused", "RolloutResumed", "RolloutStepCompleted", "RolloutUpdated", "SkipSteps", "StepPluginTransition",
    "TrafficWeightUpdated",
)}  # fmt: skip # a table
"""The event reasons that inference reads, each by itself: one string for all rollouts instead of one for each."""
_GAUGES: Final = ("desired", "updated", "available", "unavailable")
"""In the order of the fields of ReplicaCounts."""
_NO_EVENTS: Final[Mapping[str, float]] = {}  # one object for all rollouts that have no counters
_INFO: Final = "rollout_info"
_Field = tuple[str, Any]
"""A field of a rollout that one sample holds: its name and its value."""
_Extract = Callable[[Mapping[str, str], float], _Field | None]
RUN_PHASES: Final = ("Pending", "Running", "Successful", "Failed", "Error", "Inconclusive")
FINISHED_PHASES: Final = ("Successful", "Failed", "Error", "Inconclusive")
_NAME_SUFFIX: Final = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{1,10}-[0-9]+(?:[-.].*)?")
"""`-<hash>-<revision>` and what may follow; a hash has only the characters of Kubernetes' SafeEncodeString."""


def scraped_process(result: ScrapeResult) -> ControllerProcess:
    """Return the process that was scraped; its start is 0 if the page does not show it."""
    start_time = next((value for _, value in result.samples("process_start_time_seconds")), 0.0)
    # NaN equals nothing, so the process of one page would not be that of the next.
    return ControllerProcess(result.target, start_time if isfinite(start_time) else 0.0, result.installation)


def _info(labels: Mapping[str, str], value: float) -> _Field | None:
    return (_INFO, tuple(labels.get(name, "") for name in ("strategy", "traffic_router", "phase"))) if value else None


# A value that is no number counts as absent: JSON cannot hold it, and every ratio of it would be NaN, too.


def _event(labels: Mapping[str, str], value: float) -> _Field | None:
    reason = labels.get("reason", "")
    return (_EVENTS[reason], value) if reason in _EVENTS and isfinite(value) else None


def _gauge(name: str) -> Callable[[Mapping[str, str], float], _Field | None]:
    return lambda _, value: (name, value) if isfinite(value) else None


_EXTRACTORS: Final[Mapping[str, _Extract]] = {
    _INFO: _info,
    "rollout_events_total": _event,
    **{f"rollout_info_replicas_{gauge}": _gauge(gauge) for gauge in _GAUGES},
}
# The last four: runs, the start that identifies a process, the deprecated phase, and a proof of leadership.
REQUIRED_FAMILIES: Final = work_queue.REQUIRED_FAMILIES | {
    *_EXTRACTORS, "analysis_run_info", "process_start_time_seconds", "rollout_phase", "workqueue_adds_total",
}  # fmt: skip # a table


class ControllerPageReader:
    """Reads one leader's pages, one after another; builds views only of rollouts whose samples changed."""

    def __init__(self) -> None:
        self._batches: dict[str, tuple[SampleBatch, ...]] = {}
        self._fields: dict[RolloutKey, dict[str, Any]] = {}
        # By family: its samples with a field, and the fields stored of them. They differ while a field is on two lines.
        self._sample_counts: Counter[str] = Counter()
        self._field_counts: Counter[str] = Counter()
        self._views: dict[RolloutKey, ControllerView] = {}
        self._process: ControllerProcess | None = None
        self._runs = BatchMemo(per_sample(_analysis_run))
        self._phases = BatchMemo(per_sample(_deprecated_phase))

    def runs(self, result: ScrapeResult) -> list[tuple[str, str, str]]:
        """Return namespace, name and phase of each AnalysisRun on the page."""
        return self._runs.collect(result.batches("analysis_run_info"))

    def read(self, result: ScrapeResult) -> dict[RolloutKey, ControllerView]:
        """Return the view of every rollout on the page; the caller must not change the mapping."""
        process = scraped_process(result)
        changed: set[RolloutKey] = set()
        for name, extract in _EXTRACTORS.items():
            changed |= self._apply_diff(name, result.batches(name), extract)
        if not len(result.families.get(_INFO, ())):
            return self._from_rollout_phase(result, process)
        # A view holds the process, so another one changes every view.
        if process != self._process:
            self._process, changed = process, set(self._fields)
        for key in changed:
            fields = self._fields.get(key, {})
            if _INFO in fields:
                self._views[key] = _view(process, fields)
            else:
                self._views.pop(key, None)
        return self._views

    def _apply_diff(self, name: str, batches: tuple[SampleBatch, ...], extract: _Extract) -> set[RolloutKey]:
        """Bring the fields of one family up to date; return the rollouts of samples that came, went or changed.

        Fields of a sample that is gone are extracted again: a `BatchMemo` would keep 15 tuples for each rollout.
        """
        previous, self._batches[name] = self._batches.get(name, ()), batches
        gone, new, revalued = _diff_batches(previous, batches)
        changed: set[RolloutKey] = set()
        # Removals first: a sample may be in another batch than before.
        for key, former, field in chain(
            ((key, field, None) for key, field in _fields_of(gone, extract)),
            _changed_fields(revalued, extract),
            ((key, None, field) for key, field in _fields_of(new, extract)),
        ):
            changed.add(key)
            if former is not None:
                self._sample_counts[name] -= 1
                self._remove(name, key, former[0])
            if field is not None:
                self._sample_counts[name] += 1
                self._store(name, key, *field)
        if self._sample_counts[name] != self._field_counts[name]:
            changed |= self._follow_page_order(name, batches, extract)
        return changed

    def _follow_page_order(self, name: str, batches: tuple[SampleBatch, ...], extract: _Extract) -> set[RolloutKey]:
        """Read a family with repeated fields completely; return the rollouts with one that differs.

        The last line on the page counts, whichever batch changed, also if another line of the same field went.
        """
        last = {(key, field): value for key, (field, value) in _fields_of(batches, extract)}
        differing = [place for place, value in last.items() if self._fields.get(place[0], {}).get(place[1]) != value]
        for key, field in differing:
            self._store(name, key, field, last[key, field])
        return {key for key, _ in differing}

    def _store(self, name: str, key: RolloutKey, field: str, value: object) -> None:
        fields = self._fields.setdefault(key, {})
        self._field_counts[name] += field not in fields
        fields[field] = value

    def _remove(self, name: str, key: RolloutKey, field: str) -> None:
        """Remove a field, which another line of it may have done before."""
        fields = self._fields.get(key, {})
        if field in fields:
            self._field_counts[name] -= 1
            del fields[field]
            if not fields:
                del self._fields[key]

    def _from_rollout_phase(self, result: ScrapeResult, process: ControllerProcess) -> dict[RolloutKey, ControllerView]:
        """Return views with phases of the deprecated `rollout_phase`, for a controller without `rollout_info`.

        It has six 0/1 series for each rollout; if all are 0 the phase is the seventh, InvalidSpec, which has no series.
        """
        self._process, self._views = None, {}  # so that the next page with `rollout_info` is read completely
        infos: dict[RolloutKey, tuple[str, str, str]] = {}
        for key, strategy, phase in self._phases.collect(result.batches("rollout_phase")):
            if phase or key not in infos:
                infos[key] = (strategy, "", phase or "InvalidSpec")
        return {key: _view(process, {**self._fields.get(key, {}), _INFO: info}) for key, info in infos.items()}


def _view(process: ControllerProcess, fields: Mapping[str, Any]) -> ControllerView:
    strategy, router, phase = fields[_INFO]
    gauges: list[float] = [fields[gauge] for gauge in _GAUGES if gauge in fields]
    replicas = ReplicaCounts(*gauges) if len(gauges) == len(_GAUGES) else None
    event_counts = {reason: fields[reason] for reason in _EVENTS if reason in fields}
    known_phase = phase if phase in PHASES else UNKNOWN_PHASE
    return ControllerView(process, strategy, router, known_phase, replicas, event_counts or _NO_EVENTS)


def _diff_batches(
    previous: Iterable[SampleBatch], batches: Iterable[SampleBatch]
) -> tuple[list[SampleBatch], list[SampleBatch], list[tuple[SampleBatch, SampleBatch]]]:
    """Return the batches that are gone, those that are new, and pairs of former and new ones with the same series."""
    previous_set, current_set = set(previous), set(batches)
    gone = {id(batch.series): batch for batch in previous if batch not in current_set}
    added = [batch for batch in batches if batch not in previous_set]
    revalued = [(gone.pop(id(batch.series)), batch) for batch in added if id(batch.series) in gone]
    paired = {batch for _, batch in revalued}
    return [*gone.values()], [batch for batch in added if batch not in paired], revalued


def _fields_of(batches: Iterable[SampleBatch], extract: _Extract) -> Iterator[tuple[RolloutKey, _Field]]:
    for batch in batches:
        for series, value in zip(batch.series, batch.values, strict=True):
            labels = dict(series.labels)
            field = extract(labels, value)
            if field is not None:
                yield rollout_key(labels), field


def _changed_fields(
    pairs: Iterable[tuple[SampleBatch, SampleBatch]], extract: _Extract
) -> Iterator[tuple[RolloutKey, _Field | None, _Field | None]]:
    """Yield the fields before and after of samples whose value changed, in pairs of batches with the same series."""
    for former, batch in pairs:
        for series, former_value, value in zip(batch.series, former.values, batch.values, strict=True):
            if former_value != value:
                labels = dict(series.labels)
                yield rollout_key(labels), extract(labels, former_value), extract(labels, value)


def _deprecated_phase(labels: Mapping[str, str], value: float) -> tuple[RolloutKey, str, str]:
    """Return rollout, strategy and phase, "" if the value is 0."""
    return rollout_key(labels), labels.get("strategy", ""), labels.get("phase", "") if value else ""


def _analysis_run(labels: Mapping[str, str], _: float) -> tuple[str, str, str]:
    """Return namespace, name and phase of an AnalysisRun."""
    return (*rollout_key(labels), labels.get("phase", ""))


# AnalysisRuns


def owning_rollout(namespace: str, name: str, rollouts: Collection[RolloutKey]) -> RolloutKey | None:
    """Return the rollout that owns an AnalysisRun or Experiment, by its name `<rollout>-<hash>-<revision>…`.

    Only existing rollouts count: the name of a rollout may itself look like the name of a run.
    """
    ends = [end for end, letter in enumerate(name) if letter == "-" and _NAME_SUFFIX.fullmatch(name, end)]
    # The longest name first: rollouts `a` and `a-bc-1` may both exist.
    candidates = ((namespace, name[:end]) for end in reversed(ends))
    return next((key for key in candidates if key in rollouts), None)


def group_by_rollout(
    runs: Iterable[tuple[str, str, str]], rollouts: Collection[RolloutKey]
) -> dict[RolloutKey, dict[str, str]]:
    """Group runs (namespace, name, phase) by the rollout that owns them: run name → phase."""
    grouped: dict[RolloutKey, dict[str, str]] = defaultdict(dict)
    for namespace, name, phase in runs:
        key = owning_rollout(namespace, name, rollouts)
        if key is not None:
            grouped[key][name] = phase or "Pending"  # "" until the controller writes the first status
    return grouped


@dataclass(frozen=True, slots=True)
class RunsOnPage:
    """The runs of a rollout on a page: name → phase. If the page is `complete`, runs that it does not show are gone."""

    runs: Mapping[str, str]
    complete: bool


def count_finished(state: RolloutState, page: RunsOnPage, *, first: bool) -> RolloutState:
    """Return the state with its runs, and finished ones counted; runs that finished before the `first` page are not."""
    if page.runs == state.runs:
        return state
    counts = Counter(state.finished_run_counts)
    if not first:
        counts.update(
            phase
            for name, phase in page.runs.items()
            if phase in FINISHED_PHASES and state.runs.get(name) not in FINISHED_PHASES
        )
    runs = page.runs if page.complete else {**state.runs, **page.runs}
    return state if runs == state.runs else replace(state, runs=runs, finished_run_counts=dict(counts))
