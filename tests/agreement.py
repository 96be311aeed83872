"""Compares what a snapshot exports about each rollout with the Kubernetes objects at the same moment.

A value is right if it matches the objects of its own frame or of a neighbouring one, since a page and an object are
never read at the same instant. A rollout that no controller's page shows may be missing. An absent series counts as
unknown.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from exporter.metrics import MetricsSnapshot, ScrapeResult
    from exporter.rollouts.model import RolloutKey

KubeObject = dict[str, Any]

HASH: Final = "rollouts-pod-template-hash"
PHASE_BY_REASON: Final = {
    "NewReplicaSetAvailable": "Completed",
    "RolloutPaused": "Paused",
    "ReplicaSetCreateError": "Error",
    "ProgressDeadlineExceeded": "Timeout",
    "RolloutAborted": "Abort",
}
PHASE_COUNT: Final = 7
TOLERANCE: Final = 0.0101
"""Allowed error of a fraction: 1 %, and a margin for rounding."""


class Correctness(StrEnum):
    """How an exported value compares with the expected one, the best first."""

    RIGHT = "right"
    UNKNOWN = "unknown"
    EXCUSED = "excused"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected values of a rollout; None: the objects do not show it. `no_fraction`: it must have no fraction."""

    phase: str
    progress: float | None
    health: str | None
    roles: Mapping[str, str]
    fraction: float | None = None
    tolerance: float = TOLERANCE
    no_fraction: bool = False


@dataclass(slots=True)
class ExportedValues:
    """The exported values of a rollout in one frame."""

    phase: dict[str, float] = field(default_factory=dict)
    health: dict[str, float] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    progress: float | None = None
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer to one question about one rollout in one frame; `frame` is its index."""

    frame: int
    key: RolloutKey
    question: str
    correctness: Correctness
    exported: str = ""
    expected: str = ""


def exported_by_rollout(snapshot: MetricsSnapshot) -> dict[RolloutKey, ExportedValues]:
    """Return the exported values of each rollout."""
    by_rollout: dict[RolloutKey, ExportedValues] = {}
    for family in snapshot.families:
        store = _FAMILIES.get(family.name)
        for series, value in zip(family.series, family.values, strict=True) if store else ():
            values = by_rollout.setdefault((series.label("namespace"), series.label("name")), ExportedValues())
            assert store
            store(values, dict(series.labels), value)
    return by_rollout


def _store_progress(values: ExportedValues, _: Mapping[str, str], value: float) -> None:
    values.progress = value


def _store_fraction(values: ExportedValues, _: Mapping[str, str], value: float) -> None:
    values.fraction = value


def _store_role(values: ExportedValues, labels: Mapping[str, str], value: float) -> None:
    if value == 1:
        values.roles[labels["uid"]] = labels["role"]


_FAMILIES: Final[Mapping[str, Callable[[ExportedValues, Mapping[str, str], float], None]]] = {
    "argo_rollouts_phase": lambda values, labels, value: values.phase.update({labels["phase"]: value}),
    "argo_rollouts_health": lambda values, labels, value: values.health.update({labels["health"]: value}),
    "argo_rollouts_update_in_progress": _store_progress,
    "argo_rollouts_canary_fraction": _store_fraction,
    "argo_rollouts_pod_info": _store_role,
}


def expected_by_rollout(frame: KubeObject, *, pods_only: bool) -> dict[RolloutKey, Expected]:
    """Return the expected values of each rollout; `pods_only` allows a routed weight one pod of error, too."""
    pods = _pods_by_rollout(frame)
    return {
        (key := (rollout["namespace"], rollout["name"])): _expected(rollout, pods.get(key, []), pods_only)
        for rollout in frame["rollouts"]
    }


def _pods_by_rollout(frame: KubeObject) -> dict[RolloutKey, list[KubeObject]]:
    """Return the pods of each rollout, found by their ReplicaSets, without terminating ones."""
    owners = {
        (replica_set["namespace"], replica_set["name"]): replica_set.get("owner") or {}
        for replica_set in frame["replicasets"]
    }
    by_rollout: dict[RolloutKey, list[KubeObject]] = {}
    for pod in frame["pods"]:
        owner = owners.get((pod["namespace"], (pod.get("owner") or {}).get("name")), {})
        if owner.get("kind") == "Rollout" and pod.get(HASH) and not pod.get("deletionTimestamp"):
            by_rollout.setdefault((pod["namespace"], owner["name"]), []).append(pod)
    return by_rollout


def _expected(rollout: KubeObject, pods: list[KubeObject], pods_only: bool) -> Expected:  # noqa: FBT001 - private, one call
    status, strategy = rollout["status"], rollout["spec"].get("strategy") or {}
    stable, current = status.get("stableRS") or "", status.get("currentPodHash") or ""
    roles = {pod["uid"]: _role(pod[HASH], stable, current, strategy) for pod in pods} if stable else {}
    in_progress = stable != current and not status.get("abort")
    is_observed = str(status.get("observedGeneration")) == str(rollout.get("generation"))
    fraction, tolerance = _fraction(rollout, pods, roles, pods_only)
    return Expected(
        phase=_phase(status),
        progress=float(in_progress) if stable and current else None,
        health=status.get("phase") if is_observed else None,
        roles=roles,
        fraction=fraction,
        tolerance=tolerance,
        no_fraction="blueGreen" in strategy and "canary" not in strategy,
    )


def _phase(status: KubeObject) -> str:
    """Return the phase as the controller's own metrics compute it from the conditions."""
    phase = "Progressing"
    for condition in status.get("conditions") or []:
        if condition["type"] == "InvalidSpec":
            return "InvalidSpec"
        if condition["type"] == "Progressing":
            phase = PHASE_BY_REASON.get(condition.get("reason", ""), "Progressing")
    return phase


def _role(pod_hash: str, stable: str, current: str, strategy: KubeObject) -> str:
    if pod_hash == stable:
        return "stable"
    if pod_hash == current:
        return "canary" if "canary" in strategy else "preview"
    return "old"


def _fraction(
    rollout: KubeObject,
    pods: list[KubeObject],
    roles: Mapping[str, str],
    pods_only: bool,  # noqa: FBT001 - private, one call
) -> tuple[float | None, float]:
    """Return the canary's share and its tolerance: the router's weight, without a router the share of ready pods."""
    status, spec = rollout["status"], rollout["spec"]
    canary = (spec.get("strategy") or {}).get("canary")
    stable, current = status.get("stableRS"), status.get("currentPodHash")
    if canary is None:
        return None, TOLERANCE
    weights, routing = (status.get("canary") or {}).get("weights"), canary.get("trafficRouting")
    is_moving = bool(stable and current and stable != current)
    if not is_moving and not (stable and _weight_on_another_hash(weights, stable)):
        return 0.0, TOLERANCE
    if weights:
        share = weights["canary"]["weight"] / ((routing or {}).get("maxTrafficWeight") or 100)
        return share, TOLERANCE + (1 / max(spec.get("replicas", 1), 1) if pods_only else 0)
    # All pods of the rollout, older revisions' among them: without a router the Service sends traffic to all.
    ready = Counter(roles.get(pod["uid"]) for pod in pods if pod.get("ready"))
    total = ready["canary"] + ready["stable"] + ready["old"]
    if "trafficRouting" in canary or not total:
        return None, TOLERANCE
    return ready["canary"] / total, TOLERANCE + 1 / total


def _weight_on_another_hash(weights: KubeObject | None, stable: str) -> bool:
    """Return whether the router still sends traffic to another revision, as dynamicStableScale does on its way back."""
    canary = (weights or {}).get("canary") or {}
    return bool(canary.get("weight")) and canary.get("podTemplateHash", stable) not in ("", stable)


def _check_phase(values: ExportedValues, expected: Expected) -> Correctness:
    if not values.phase:
        return Correctness.UNKNOWN
    return _right(_active(values.phase) == [expected.phase] and len(values.phase) >= PHASE_COUNT)


def _check_progress(values: ExportedValues, expected: Expected) -> Correctness | None:
    if expected.progress is None:
        return None
    return Correctness.UNKNOWN if values.progress is None else _right(values.progress == expected.progress)


def _check_fraction(values: ExportedValues, expected: Expected) -> Correctness | None:
    if expected.no_fraction:
        return _right(values.fraction is None)
    if expected.fraction is None:
        return None
    if values.fraction is None:
        return Correctness.UNKNOWN
    return _right(abs(values.fraction - expected.fraction) <= expected.tolerance)


def _check_roles(values: ExportedValues, expected: Expected) -> Correctness | None:
    answers = [
        Correctness.UNKNOWN if values.roles.get(uid, "unknown") == "unknown" else _right(values.roles[uid] == role)
        for uid, role in expected.roles.items()
    ]
    return max(answers, key=list(Correctness).index, default=None)


def _check_health(values: ExportedValues, expected: Expected) -> Correctness | None:
    if expected.health is None:
        return None
    return Correctness.UNKNOWN if not values.health else _right(_active(values.health) == [expected.health])


def _right(is_right: bool) -> Correctness:  # noqa: FBT001 - a conversion
    return Correctness.RIGHT if is_right else Correctness.WRONG


def _active(states: Mapping[str, float]) -> list[str]:
    return [name for name, value in states.items() if value == 1]


_CHECKS: Final[Mapping[str, Callable[[ExportedValues, Expected], Correctness | None]]] = {
    "phase": _check_phase,
    "progress": _check_progress,
    "fraction": _check_fraction,
    "roles": _check_roles,
    "health": _check_health,
}
"""By question, which is also the name of its field in `ExportedValues` and `Expected`."""
QUESTIONS: Final = (*_CHECKS, "alive")


class TruthComparer:
    """Compares the snapshots of one recording with its Kubernetes objects, frame by frame.

    A value is right if it is that of the frame or of one of its `neighbours` on either side.
    """

    def __init__(self, truth: Sequence[KubeObject], *, pods_only: bool, neighbours: int = 1) -> None:
        self._neighbours = neighbours
        self._expected = [expected_by_rollout(frame, pods_only=pods_only) for frame in truth]
        self._index_by_time = {frame["at"]: index for index, frame in enumerate(truth)}

    def compare(
        self, timestamp: float, results: Iterable[ScrapeResult], snapshot: MetricsSnapshot
    ) -> Iterator[Comparison]:
        """Answer every question about every rollout of the frame at `timestamp`."""
        index, exported, visible = self._index_by_time[timestamp], exported_by_rollout(snapshot), _visible(results)
        first, last = max(index - self._neighbours, 0), index + self._neighbours + 1
        near = [self._expected[index], *self._expected[first:index], *self._expected[index + 1 : last]]
        for key, values in exported.items():
            if values.phase:
                yield Comparison(index, key, "alive", _right(any(key in frame for frame in near)))
        for key in near[0]:
            values = exported.get(key, ExportedValues())
            expected = [frame[key] for frame in near if key in frame]
            for question in _CHECKS:
                correctness = _answer(question, values, expected, is_visible=key in visible)
                if correctness is not None:
                    texts = (str(getattr(side, question)) for side in (values, expected[0]))
                    yield Comparison(index, key, question, correctness, *texts)


def _answer(
    question: str, values: ExportedValues, expected: Sequence[Expected], *, is_visible: bool
) -> Correctness | None:
    """Answer a question by the expected values of its own frame (the first) or of a neighbour."""
    own_frame, *neighbours = (_CHECKS[question](values, frame) for frame in expected)
    if own_frame is None:
        return None
    if Correctness.RIGHT in {own_frame, *neighbours}:
        return Correctness.RIGHT
    return own_frame if own_frame is Correctness.WRONG or is_visible else Correctness.EXCUSED


def _visible(results: Iterable[ScrapeResult]) -> set[RolloutKey]:
    """Return the rollouts that any controller's page shows."""
    return {
        (series.label("namespace"), series.label("name"))
        for result in results
        if result.source == "argo" and "rollout_info" in result.families
        for series in result.families["rollout_info"].series
    }
