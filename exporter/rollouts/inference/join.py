"""Joins the observation of a tick and the remembered state into a `Rollout`: adds pod roles and canary fraction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.rollouts.inference.fraction import canary_fraction
from exporter.rollouts.model import BLUE_GREEN, UNKNOWN_PHASE, PodRole, RevisionHashes, Rollout, UpdateState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from exporter.rollouts.model import CanaryFraction, ControllerView, Observation, Pod, RolloutKey, RolloutState


@dataclass(frozen=True, slots=True)
class AvailableSources:
    """Sources that can show a rollout at this tick: a leading controller, a configured kube-state-metrics."""

    leader_was_scraped: bool
    has_workload_source: bool


def join(
    key: RolloutKey, state: RolloutState, observation: Observation, sources: AvailableSources, *, router: bool
) -> Rollout:
    """Return a rollout at a tick; `router`: the settings say that a router splits its traffic."""
    view, status = observation.view, observation.status
    hashes, from_status = state.hashes, False
    if status is not None and status.stable_hash and status.current_hash:
        hashes, from_status = RevisionHashes(status.current_hash, status.stable_hash), True
    pods = observation.workload.pods if observation.workload is not None else ()
    pod_roles = tuple((pod, pod_role(pod, hashes, state.strategy, from_status=from_status)) for pod in pods)
    fraction = None
    if view is not None:
        roles_now = pod_roles if _pods_match_controller(observation, view, hashes) else ()
        fraction = canary_fraction(state.update_state, view, status, roles_now, router=router or state.has_router)
    roles = {role for _, role in pod_roles}
    unknown_reasons = tuple(_unknown_reasons(state, observation, fraction, roles, sources))
    return Rollout(key, state, observation, pod_roles, fraction, unknown_reasons=unknown_reasons)


def pod_role(pod: Pod, hashes: RevisionHashes, strategy: str, *, from_status: bool) -> PodRole:
    """Return a pod's role by the hashes of the rollout's own status, else by its label, else by inferred hashes.

    A label overrides inferred hashes: the controller sets ephemeral metadata itself when a pod's role changes.
    """
    # An experiment has hashes of its own, so that its pods belong to no revision of the rollout.
    if pod.experiment:
        return PodRole.EXPERIMENT
    if pod.label_role and not from_status:
        return PodRole(pod.label_role)
    if hashes.stable and pod.hash == hashes.stable:
        return PodRole.STABLE
    # With one hash alone, any other pod may be canary or old.
    if not hashes.stable or not hashes.current:
        return PodRole.UNKNOWN
    if pod.hash == hashes.current:
        return PodRole.PREVIEW if strategy == BLUE_GREEN else PodRole.CANARY
    return PodRole.OLD


def _pods_match_controller(observation: Observation, view: ControllerView, hashes: RevisionHashes) -> bool:
    """Return whether pods can be used to estimate traffic: only while they agree with the controller's newer gauges."""
    if observation.workload is None or view.replicas is None:
        return False
    pods = [pod for pod in observation.workload.pods if not pod.experiment]  # experiments' pods are in no gauge
    current = sum(pod.hash == hashes.current for pod in pods)
    return (len(pods), current) == (view.replicas.total, view.replicas.updated)


def _unknown_reasons(
    state: RolloutState,
    observation: Observation,
    fraction: CanaryFraction | None,
    roles: Collection[PodRole],
    sources: AvailableSources,
) -> Iterator[str]:
    """Yield why values are absent, as values of `argo_rollouts_unknown{reason}`."""
    # One reason of this chain at most: each is the cause of those below it.
    if not sources.leader_was_scraped:
        yield "no_leader"
    elif observation.view is None:
        yield "not_shown"
    elif state.update_state is UpdateState.UNKNOWN:
        yield "update"
    elif fraction is not None and fraction.value is None:
        yield "fraction"
    if observation.workload is None and sources.has_workload_source and sources.leader_was_scraped:
        yield "pods"
    if PodRole.UNKNOWN in roles:
        yield "roles"
    if state.phases.phase == UNKNOWN_PHASE:
        yield "phase"
