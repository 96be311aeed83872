"""What the Kubernetes objects of a recording justify as transitions: how often each happened to a rollout."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from tests.updates import RevisionStatus, revision_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.rollouts.model import RolloutKey
    from tests.agreement import KubeObject

Happened = tuple[str, str]
"""Type of a transition, and what it is about: a hash, a step index, an AnalysisRun, or nothing."""
FINISHED: Final = ("Successful", "Failed", "Error", "Inconclusive")
DEGRADING: Final = ("ProgressDeadlineExceeded", "ReplicaSetCreateError")
"""Reasons of the condition Progressing, besides an abort's."""


def justified_transitions(truth: Sequence[KubeObject], until: float) -> dict[RolloutKey, Counter[Happened]]:
    """Return the transitions of each rollout from the first frame to a time (Unix seconds)."""
    histories: dict[RolloutKey, list[KubeObject]] = defaultdict(list)
    frames = [frame for frame in truth if frame["at"] <= until]
    for frame in frames:
        for rollout in frame["rollouts"]:
            histories[rollout["namespace"], rollout["name"]].append(rollout)
    happened = {key: Counter(_history(history)) for key, history in histories.items()}
    for key, change in _runs(frames):
        if key in happened:
            happened[key][change] += 1
    for key, change in _deletions(frames):
        happened[key][change] += 1
    return happened


def _history(history: Iterable[KubeObject]) -> Iterator[Happened]:
    """Yield the transitions of one name; a status that is not of the present spec shows no pauses and no steps."""
    observed = [rollout for rollout in history if _is_observed(rollout)]
    for before, now in pairwise(observed):
        if before["uid"] == now["uid"]:
            yield from _pauses(before, now)
            yield from _step(before, now)
    for before, now in pairwise(history):
        former, current = revision_status(before), revision_status(now)
        if before["uid"] == now["uid"]:
            yield from _degradation(before, now)
            if former is not None and current is not None:
                yield from _update(former, current)


def _step(before: KubeObject, now: KubeObject) -> Iterator[Happened]:
    former, current = revision_status(before), revision_status(now)
    index = now["status"].get("currentStepIndex")
    if former is None or current is None or current.state != "updating" or not index:
        return
    is_same = former.current == current.current and former.state == current.state
    if not is_same or index != before["status"].get("currentStepIndex"):
        yield "step_reached", str(index)


def _update(former: RevisionStatus, now: RevisionStatus) -> Iterator[Happened]:
    changed, promoted = former.current != now.current, former.stable != now.stable
    if promoted:
        if former.state == "settled" or (changed and former.current != now.stable):
            yield "update_started", now.stable
        elif former.state == "aborted":
            yield "retried", ""
        yield "promoted", now.stable
    elif former.state == "updating" and now.state == "settled":
        yield "rolled_back", former.current
    elif former.state == "updating" and changed:
        yield "superseded", former.current
    elif former.state == "aborted" and now.state == "settled":
        yield "recovered", ""
    if now.state != "settled" and changed:
        yield "update_started", now.current
    if former.state == "aborted" and now.state == "updating" and not changed:
        yield "retried", ""
    if now.state == "aborted" and (former.state != "aborted" or (changed and not promoted)):
        yield "aborted", now.current


def _is_observed(rollout: KubeObject) -> bool:
    return str(rollout["generation"]) == str(rollout["status"].get("observedGeneration"))


def _pause_set(rollout: KubeObject, status: RevisionStatus | None) -> frozenset[tuple[str, str]]:
    conditions = rollout["status"].get("pauseConditions") or ()
    if status is not None and status.state == "aborted":
        return frozenset()
    pauses = {(pause["reason"], pause["startTime"]) for pause in conditions}
    is_paused = rollout["spec"].get("paused") and rollout["status"].get("phase") == "Paused"
    return frozenset({*pauses, *([("spec.paused", "")] if is_paused else [])})


def _pauses(before: KubeObject, now: KubeObject) -> Iterator[Happened]:
    former, current = revision_status(before), revision_status(now)
    old, new = _pause_set(before, former), _pause_set(now, current)
    if new - old:
        yield "paused", ""
    is_ended = (
        former is not None and current is not None and (former.current != current.current or current.state == "aborted")
    )
    if old and not old & new and not is_ended:
        yield "resumed", ""


def _is_degraded(rollout: KubeObject) -> bool:
    conditions = {condition["type"]: condition for condition in rollout["status"].get("conditions") or ()}
    if "InvalidSpec" in conditions:
        return True
    return conditions.get("Progressing", {}).get("reason") in DEGRADING and not _is_aborted(rollout)


def _is_aborted(rollout: KubeObject) -> bool:
    status = revision_status(rollout)
    return status is not None and status.state == "aborted"


def _degradation(before: KubeObject, now: KubeObject) -> Iterator[Happened]:
    if _is_degraded(now) and not _is_degraded(before):
        yield "degraded", ""
    if _is_degraded(before) and not _is_degraded(now) and not _is_aborted(now):
        yield "recovered", ""


def _runs(frames: Sequence[KubeObject]) -> Iterator[tuple[RolloutKey, Happened]]:
    """Yield the AnalysisRuns of rollouts and of their experiments that started or ended."""
    phases = {run["uid"]: run.get("phase") or "" for run in frames[0]["analysisruns"]}
    experiments = {
        (experiment["namespace"], experiment["name"]): (experiment.get("owner") or {}).get("name", "")
        for frame in frames
        for experiment in frame["experiments"]
    }
    for frame in frames[1:]:
        for run in frame["analysisruns"]:
            owner: Mapping[str, Any] = run.get("owner") or {}
            name = owner.get("name", "")
            rollout = experiments.get((run["namespace"], name), "") if owner.get("kind") == "Experiment" else name
            phase, former = run.get("phase") or "", phases.get(run["uid"])
            phases[run["uid"]] = phase
            if former is None:
                yield (run["namespace"], rollout), ("analysis_started", run["name"])
            if phase in FINISHED and former not in FINISHED:
                yield (run["namespace"], rollout), ("analysis_ended", run["name"])


def _deletions(frames: Sequence[KubeObject]) -> Iterator[tuple[RolloutKey, Happened]]:
    """Yield the objects that went, for good: while the API does not answer, a frame has none."""
    uids = [{(r["namespace"], r["name"]): r["uid"] for r in frame["rollouts"]} for frame in frames]
    last = {uid: place for place, by_key in enumerate(uids) for uid in by_key.values()}
    for place, (before, now) in enumerate(pairwise(uids)):
        for key, uid in before.items():
            if now.get(key) != uid and last[uid] == place:
                yield key, ("deleted", "")
