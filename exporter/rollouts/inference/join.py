"""The join: one tick's sightings and what is remembered → a Rollout, of which every series is made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.rollouts.inference.fraction import Fraction, canary_fraction
from exporter.rollouts.inference.revisions import Hashes
from exporter.rollouts.model import BLUE_GREEN, UNKNOWN_PHASE, Pod, Role, RolloutKey, UpdateState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from exporter.rollouts.inference.state_machine import RolloutState
    from exporter.rollouts.model import ControllerView, Observation

_TAIL: Final = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{1,10}-[0-9]+(?:[-.].*)?")


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout as it is known at one tick.

    `runs` are its AnalysisRuns by phase, `finished_runs` those seen to finish. `unknown` are the reasons for what
    is not known of it.
    """

    key: RolloutKey
    life: RolloutState
    sighting: Observation
    roles: tuple[tuple[Pod, Role], ...] = ()
    fraction: Fraction | None = None
    runs: Mapping[str, int] = field(default_factory=dict)
    finished_runs: Mapping[str, int] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """Who could answer at this tick: a leading controller, and kube-state-metrics (False: it is not configured)."""

    leader: bool
    workload: bool


def join(key: RolloutKey, life: RolloutState, sighting: Observation, asked: Asked, *, router: bool) -> Rollout:
    """Make the rollout of a tick of what is remembered and what is sighted."""
    reading, state = sighting.reading, sighting.state
    trusted = state is not None and bool(state.stable and state.current)
    hashes = Hashes(state.current, state.stable) if state is not None and trusted else life.hashes
    pods = sighting.workload.pods if sighting.workload is not None else ()
    roles = tuple((pod, role_of(pod, hashes, life.strategy, trusted=trusted)) for pod in pods)
    fraction = None
    if reading is not None:
        usable = roles if _usable(sighting, reading, hashes) else ()
        fraction = canary_fraction(life.standing, reading, state, usable, router=router or life.router)
    unknown = tuple(_unknown(life, sighting, fraction, {role for _, role in roles}, asked))
    return Rollout(key, life, sighting, roles, fraction, unknown=unknown)


def role_of(pod: Pod, hashes: Hashes, strategy: str, *, trusted: bool) -> Role:
    """Say what a pod is: by the rollout's own status, else by its label, else by remembered hashes, else unknown."""
    if pod.experiment:
        return Role.EXPERIMENT
    if pod.label_role and not trusted:
        return Role(pod.label_role)
    if hashes.stable and pod.hash == hashes.stable:
        return Role.STABLE
    if not hashes.stable or not hashes.current:
        return Role.UNKNOWN
    if pod.hash == hashes.current:
        return Role.PREVIEW if strategy == BLUE_GREEN else Role.CANARY
    return Role.OLD


def _usable(sighting: Observation, reading: ControllerView, hashes: Hashes) -> bool:
    """Tell whether pods may stand for traffic: only while they agree with the controller's own, younger gauges."""
    if sighting.workload is None or reading.replicas is None:
        return False
    own = [pod for pod in sighting.workload.pods if not pod.experiment]
    wanted = sum(pod.hash == hashes.current for pod in own)
    return (len(own), wanted) == (reading.replicas.total, reading.replicas.updated)


def _unknown(
    life: RolloutState, sighting: Observation, fraction: Fraction | None, roles: Collection[Role], asked: Asked
) -> Iterator[str]:
    """Give the reasons for what is not known, as `argo_rollouts_unknown{reason}` says them."""
    if not asked.leader:
        yield "no_leader"
    elif sighting.reading is None:
        yield "not_shown"
    elif life.standing is UpdateState.UNKNOWN:
        yield "update"
    elif fraction is not None and fraction.best is None:
        yield "fraction"
    if sighting.workload is None and asked.workload and asked.leader:
        yield "pods"
    if Role.UNKNOWN in roles:
        yield "roles"
    if life.phases.phase == UNKNOWN_PHASE:
        yield "phase"


def owner(namespace: str, name: str, known: Collection[RolloutKey]) -> RolloutKey | None:
    """Find the rollout that owns an AnalysisRun or Experiment by its name `<rollout>-<hash>-<revision>…`.

    Only rollouts that are known count: a rollout's own name may look like that of a run (argo-rollouts.md 1.4).
    """
    cuts = [cut for cut, letter in enumerate(name) if letter == "-" and _TAIL.fullmatch(name, cut)]
    found = ((namespace, name[:cut]) for cut in reversed(cuts))
    return next((key for key in found if key in known), None)
