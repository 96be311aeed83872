"""What a gate would have done in past updates: their canaries in the store, verdicts, and a summary. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from exporter.gate.analysis_run import TERMINATED, AnalysisPhase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from exporter.gate.analysis_run import AnalysisRunStatus
    from exporter.net.prometheus_response import RangeSeries

STEP_SECONDS: Final = 60.0
"""Resolution in which canaries are looked for."""
MAX_GAP_SECONDS: Final = 600.0
"""A canary that is absent for longer, and returns, is another update: gaps of the exporter are shorter."""
END_SECONDS: Final = 900.0
"""By how much the counted end of an update may be later than the last sample of its canary."""


class UpdateEnd(StrEnum):
    """How an update ended; the first four are the values of the label result."""

    PROMOTED = "promoted"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled_back"
    SUPERSEDED = "superseded"
    OPEN = "open"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What the gate would have done; `undecided` if the canary ended before its decision."""

    STOPPED = "stopped"
    PASSED = "passed"
    PAUSED = "paused"
    ERROR = "error"
    UNDECIDED = "undecided"


BAD_ENDS: Final = {UpdateEnd.ABORTED, UpdateEnd.ROLLED_BACK}
_VERDICTS: Final[Mapping[AnalysisPhase | None, Verdict]] = {
    AnalysisPhase.SUCCESSFUL: Verdict.PASSED,
    AnalysisPhase.FAILED: Verdict.STOPPED,
    AnalysisPhase.ERROR: Verdict.ERROR,
    AnalysisPhase.INCONCLUSIVE: Verdict.PAUSED,
}


@dataclass(frozen=True, slots=True)
class PastUpdate:
    """A canary in the store: rollout and hash, first and last sample (Unix seconds), and how the update ended."""

    namespace: str
    rollout: str
    hash: str
    start: float
    end: float
    result: UpdateEnd = UpdateEnd.UNKNOWN


@dataclass(frozen=True, slots=True)
class GateDecision:
    """A verdict, the seconds until it, and why."""

    verdict: Verdict
    seconds: float
    message: str = ""


@dataclass(frozen=True, slots=True)
class JudgedUpdate:
    """An update with the gate's decision, and with that on the scaled bad requests of the canary, if asked for."""

    update: PastUpdate
    decision: GateDecision
    injected: GateDecision | None = None

    @property
    def assessment(self) -> str:
        """Return how the verdict compares with the update's end, "" if they do not contradict or confirm each other."""
        stopped, bad = self.decision.verdict is Verdict.STOPPED, self.update.result in BAD_ENDS
        if bad and self.decision.verdict in {Verdict.STOPPED, Verdict.PASSED}:
            return "caught" if stopped else "missed"
        return "false alarm" if stopped and self.update.result is UpdateEnd.PROMOTED else ""


def find_updates(canaries: Sequence[RangeSeries], counters: Sequence[RangeSeries], now: float) -> list[PastUpdate]:
    """Return the updates of canaries, oldest first.

    `canaries` has a series for each namespace, name and pod_template_hash, where and while pods have the role canary;
    `counters` the series of argo_rollouts_updates_total.
    """
    updates = []
    for series in canaries:
        labels = dict(series.labels)
        for start, end in _spans(sorted(timestamp for timestamp, _ in series.points)):
            update = PastUpdate(labels["namespace"], labels["name"], labels["pod_template_hash"], start, end)
            updates.append(_with_result(update, counters, now))
    return sorted(updates, key=lambda update: update.start)


def _spans(timestamps: Sequence[float]) -> Iterable[tuple[float, float]]:
    """Yield first and last of each group of times without a long gap."""
    starts = [0, *(index for index in range(1, len(timestamps)) if _is_gap(timestamps, index))]
    for start, end in zip(starts, [*starts[1:], len(timestamps)], strict=True):
        if timestamps:
            yield timestamps[start], timestamps[end - 1]


def _is_gap(timestamps: Sequence[float], index: int) -> bool:
    return timestamps[index] - timestamps[index - 1] > MAX_GAP_SECONDS


def _with_result(update: PastUpdate, counters: Sequence[RangeSeries], now: float) -> PastUpdate:
    """Return an update with the result whose counter grew last before, or soon after, the canary's last sample."""
    growths = [
        (timestamp, labels["result"])
        for series in counters
        if (labels := dict(series.labels))["namespace"] == update.namespace and labels["name"] == update.rollout
        for timestamp in _growth_times(series)
        if update.start < timestamp <= update.end + END_SECONDS
    ]
    if growths:
        result = min(growths, key=lambda growth: abs(growth[0] - update.end))[1]
        end = UpdateEnd(result) if result in set(UpdateEnd) else UpdateEnd.UNKNOWN
    else:
        end = UpdateEnd.OPEN if update.end >= now - MAX_GAP_SECONDS else UpdateEnd.UNKNOWN
    return replace(update, result=end)


def _growth_times(series: RangeSeries) -> Iterable[float]:
    points = sorted(series.points)
    return (time for (_, before), (time, after) in pairwise(points) if after > before)


def decision(status: AnalysisRunStatus, start: float) -> GateDecision:
    """Return the verdict of a run that began at a time."""
    terminated = status.message.startswith(TERMINATED)
    verdict = Verdict.UNDECIDED if terminated else _VERDICTS.get(status.phase, Verdict.UNDECIDED)
    seconds = (status.completed_at or start) - start
    return GateDecision(verdict, seconds, "" if terminated else status.message)


# The summary


def summary(judged: Sequence[JudgedUpdate], factor: float | None = None) -> dict[str, Any]:
    """Return the numbers of updates by end and verdict, of false alarms and catches, and the median times."""
    verdicts = Counter(item.decision.verdict for item in judged)
    assessments = Counter(item.assessment for item in judged)
    document: dict[str, Any] = {
        "updates": len(judged),
        "ended": {str(end): count for end, count in Counter(item.update.result for item in judged).items()},
        "verdicts": {str(verdict): verdicts[verdict] for verdict in Verdict},
        "false_alarms": assessments["false alarm"],
        "caught": assessments["caught"],
        "missed": assessments["missed"],
        "median_minutes_to_stop": _median_minutes([item.decision for item in judged], Verdict.STOPPED),
        "median_minutes_to_pass": _median_minutes([item.decision for item in judged], Verdict.PASSED),
    }
    injected = [item.injected for item in judged if item.injected and item.update.result not in BAD_ENDS]
    if factor is not None:
        stopped = sum(item.verdict is Verdict.STOPPED for item in injected)
        minutes = _median_minutes(injected, Verdict.STOPPED)
        document["injected"] = {
            "factor": factor,
            "updates": len(injected),
            "stopped": stopped,
            "median_minutes": minutes,
        }
    return document


def _median_minutes(decisions: Sequence[GateDecision], verdict: Verdict) -> float | None:
    minutes = [item.seconds / 60 for item in decisions if item.verdict is verdict]
    return round(median(minutes), 1) if minutes else None


def judged_json(judged: JudgedUpdate) -> dict[str, Any]:
    """Return an update with the decisions as JSON."""
    injected = {"injected": asdict(judged.injected)} if judged.injected else {}
    return {**asdict(judged.update), "gate": asdict(judged.decision), "assessment": judged.assessment, **injected}
