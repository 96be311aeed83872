"""The judge: what was said of each rollout in a frame, held against the Kubernetes objects of that moment.

A frame agrees when it agrees with the truth of its own moment or of a neighbouring one, since a page and an object
are never read at the same instant. A rollout that no controller's page shows is excused from being known. Unknown
(a series that is absent) is honest, and should be rare.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from exporter.metrics import MetricsSnapshot, ScrapeResult

Key = tuple[str, str]
Objects = dict[str, Any]

HASH: Final = "rollouts-pod-template-hash"
PHASE_BY_REASON: Final = {
    "NewReplicaSetAvailable": "Completed",
    "RolloutPaused": "Paused",
    "ReplicaSetCreateError": "Error",
    "ProgressDeadlineExceeded": "Timeout",
    "RolloutAborted": "Abort",
}
FEWEST_PHASES: Final = 7
SKEW: Final = 0.0101


class Answer(StrEnum):
    """How what was said compares with what was true, the best first."""

    RIGHT = "right"
    UNKNOWN = "unknown"
    EXCUSED = "excused"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be said of a rollout; None: truth itself cannot tell. `speechless`: no fraction may be said."""

    phase: str
    progress: float | None
    health: str | None
    roles: Mapping[str, str]
    fraction: float | None = None
    tolerance: float = SKEW
    speechless: bool = False


@dataclass(slots=True)
class Said:
    """What was said of a rollout in one frame."""

    phases: dict[str, float] = field(default_factory=dict)
    health: dict[str, float] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    progress: float | None = None
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one question about one rollout in one frame (its place among the frames of truth)."""

    place: int
    key: Key
    question: str
    answer: Answer
    said: str = ""
    true: str = ""


def said_in(cycle: MetricsSnapshot) -> dict[Key, Said]:
    """Gather what a cycle says of each rollout."""
    found: dict[Key, Said] = {}
    for family in cycle.families:
        take = _TAKERS.get(family.name)
        for series, value in zip(family.series, family.values, strict=True) if take else ():
            about = found.setdefault((series.label("namespace"), series.label("name")), Said())
            assert take
            take(about, dict(series.labels), value)
    return found


def _take_progress(about: Said, _: Mapping[str, str], value: float) -> None:
    about.progress = value


def _take_fraction(about: Said, _: Mapping[str, str], value: float) -> None:
    about.fraction = value


def _take_role(about: Said, labels: Mapping[str, str], value: float) -> None:
    if value == 1:
        about.roles[labels["uid"]] = labels["role"]


_TAKERS: Final[Mapping[str, Callable[[Said, Mapping[str, str], float], None]]] = {
    "argo_rollouts_phase": lambda about, labels, value: about.phases.update({labels["phase"]: value}),
    "argo_rollouts_health": lambda about, labels, value: about.health.update({labels["health"]: value}),
    "argo_rollouts_update_in_progress": _take_progress,
    "argo_rollouts_canary_fraction": _take_fraction,
    "argo_rollouts_pod_info": _take_role,
}


def expected_in(frame: Objects, *, pods_only: bool) -> dict[Key, Expected]:
    """Say what must be said of each rollout; `pods_only` allows a routed weight one pod of error, too."""
    pods = _pods_by_rollout(frame)
    return {
        (one["namespace"], one["name"]): _expected(one, pods.get((one["namespace"], one["name"]), []), pods_only)
        for one in frame["rollouts"]
    }


def _pods_by_rollout(frame: Objects) -> dict[Key, list[Objects]]:
    """Give each rollout its pods, by way of their ReplicaSets, without those that are on their way out."""
    owners = {(one["namespace"], one["name"]): one.get("owner") or {} for one in frame["replicasets"]}
    found: dict[Key, list[Objects]] = {}
    for pod in frame["pods"]:
        owner = owners.get((pod["namespace"], (pod.get("owner") or {}).get("name")), {})
        if owner.get("kind") == "Rollout" and pod.get(HASH) and not pod.get("deletionTimestamp"):
            found.setdefault((pod["namespace"], owner["name"]), []).append(pod)
    return found


def _expected(rollout: Objects, pods: list[Objects], pods_only: bool) -> Expected:  # noqa: FBT001 - private, one call
    status, strategy = rollout["status"], rollout["spec"].get("strategy") or {}
    stable, current = status.get("stableRS") or "", status.get("currentPodHash") or ""
    roles = {pod["uid"]: _role(pod[HASH], stable, current, strategy) for pod in pods} if stable else {}
    apart = stable != current and not status.get("abort")
    observed = str(status.get("observedGeneration")) == str(rollout.get("generation"))
    fraction, tolerance = _fraction(rollout, pods, roles, pods_only)
    return Expected(
        phase=_phase(status),
        progress=float(apart) if stable and current else None,
        health=status.get("phase") if observed else None,
        roles=roles,
        fraction=fraction,
        tolerance=tolerance,
        speechless="blueGreen" in strategy and "canary" not in strategy,
    )


def _phase(status: Objects) -> str:
    """Name the phase as the controller's own metrics compute it from the conditions."""
    phase = "Progressing"
    for condition in status.get("conditions") or []:
        if condition["type"] == "InvalidSpec":
            return "InvalidSpec"
        if condition["type"] == "Progressing":
            phase = PHASE_BY_REASON.get(condition.get("reason", ""), "Progressing")
    return phase


def _role(own: str, stable: str, current: str, strategy: Objects) -> str:
    if own == stable:
        return "stable"
    if own == current:
        return "canary" if "canary" in strategy else "preview"
    return "old"


def _fraction(
    rollout: Objects,
    pods: list[Objects],
    roles: Mapping[str, str],
    pods_only: bool,  # noqa: FBT001 - private, one call
) -> tuple[float | None, float]:
    """Say the canary's share and its tolerance: the router's weight, without a router the share of ready pods."""
    status, spec = rollout["status"], rollout["spec"]
    canary = (spec.get("strategy") or {}).get("canary")
    stable, current = status.get("stableRS"), status.get("currentPodHash")
    if canary is None:
        return None, SKEW
    if not stable or not current or stable == current:
        return 0.0, SKEW
    weights, routing = (status.get("canary") or {}).get("weights"), canary.get("trafficRouting")
    if weights:
        share = weights["canary"]["weight"] / ((routing or {}).get("maxTrafficWeight") or 100)
        return share, SKEW + (1 / max(spec.get("replicas", 1), 1) if pods_only else 0)
    ready = Counter(roles.get(pod["uid"]) for pod in pods if pod.get("ready"))
    total = ready["canary"] + ready["stable"]
    if "trafficRouting" in canary or not total:
        return None, SKEW
    return ready["canary"] / total, SKEW + 1 / total


def _ask_phase(said: Said, want: Expected) -> Answer:
    if not said.phases:
        return Answer.UNKNOWN
    return _right(_ones(said.phases) == [want.phase] and len(said.phases) >= FEWEST_PHASES)


def _ask_progress(said: Said, want: Expected) -> Answer | None:
    if want.progress is None:
        return None
    return Answer.UNKNOWN if said.progress is None else _right(said.progress == want.progress)


def _ask_fraction(said: Said, want: Expected) -> Answer | None:
    if want.speechless:
        return _right(said.fraction is None)
    if want.fraction is None:
        return None
    return Answer.UNKNOWN if said.fraction is None else _right(abs(said.fraction - want.fraction) <= want.tolerance)


def _ask_roles(said: Said, want: Expected) -> Answer | None:
    answers = [
        Answer.UNKNOWN if said.roles.get(uid, "unknown") == "unknown" else _right(said.roles[uid] == role)
        for uid, role in want.roles.items()
    ]
    return max(answers, key=list(Answer).index, default=None)


def _ask_health(said: Said, want: Expected) -> Answer | None:
    if want.health is None:
        return None
    return Answer.UNKNOWN if not said.health else _right(_ones(said.health) == [want.health])


def _right(is_right: bool) -> Answer:  # noqa: FBT001 - reads as what it says
    return Answer.RIGHT if is_right else Answer.WRONG


def _ones(told: Mapping[str, float]) -> list[str]:
    return [name for name, value in told.items() if value == 1]


_ASKED: Final[Mapping[str, Callable[[Said, Expected], Answer | None]]] = {
    "phase": _ask_phase,
    "progress": _ask_progress,
    "fraction": _ask_fraction,
    "roles": _ask_roles,
    "health": _ask_health,
}
QUESTIONS: Final = (*_ASKED, "alive")


class Judge:
    """Knows the truth of one recording, frame by frame."""

    def __init__(self, truth: Sequence[Objects], *, pods_only: bool) -> None:
        self._truth = [expected_in(frame, pods_only=pods_only) for frame in truth]
        self._places = {frame["at"]: place for place, frame in enumerate(truth)}

    def verdicts(self, at: float, pages: Iterable[ScrapeResult], cycle: MetricsSnapshot) -> Iterator[Verdict]:
        """Answer every question about every rollout of one frame."""
        place, said, visible = self._places[at], said_in(cycle), _shown(pages)
        near = [self._truth[one] for one in (place, place - 1, place + 1) if 0 <= one < len(self._truth)]
        for key, about in said.items():
            if about.phases:
                yield Verdict(place, key, "alive", _right(any(key in frame for frame in near)))
        for key in near[0]:
            wants = [frame[key] for frame in near if key in frame]
            for question in _ASKED:
                verdict = _asked(question, said.get(key, Said()), wants, shown=key in visible)
                if verdict is not None:
                    true, told = getattr(wants[0], question), getattr(said.get(key, Said()), _FIELDS[question])
                    yield Verdict(place, key, question, verdict, str(told), str(true))


_FIELDS: Final = {question: question for question in _ASKED} | {"phase": "phases"}


def _asked(question: str, said: Said, wants: Sequence[Expected], *, shown: bool) -> Answer | None:
    """Answer a question by the truth of its own frame (the first) or of a neighbour."""
    own, *others = (_ASKED[question](said, want) for want in wants)
    if own is None:
        return None
    if Answer.RIGHT in {own, *others}:
        return Answer.RIGHT
    return own if own is Answer.WRONG or shown else Answer.EXCUSED


def _shown(pages: Iterable[ScrapeResult]) -> set[Key]:
    """Return the rollouts that any controller's page shows."""
    return {
        (series.label("namespace"), series.label("name"))
        for page in pages
        if page.source == "argo" and "rollout_info" in page.families
        for series in page.families["rollout_info"].series
    }
