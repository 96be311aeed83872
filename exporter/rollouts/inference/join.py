"""Joins the observation of a tick and the remembered state into a `Rollout`: adds pod roles and canary fraction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.rollouts.inference.fraction import canary_fraction
from exporter.rollouts.inference.state_machine import view_without_leader
from exporter.rollouts.model import BLUE_GREEN, UNKNOWN_PHASE, PodRole, RevisionHashes, Rollout, UpdateState
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.rollouts.model import (
        CanaryFraction,
        ControllerView,
        Observation,
        Pod,
        PodRoles,
        RolloutKey,
        RolloutState,
    )


@dataclass(frozen=True, slots=True)
class AvailableSources:
    """Sources that can show a rollout at this tick: a leading controller, a configured kube-state-metrics."""

    leader_was_scraped: bool
    has_workload_source: bool


def join(
    key: RolloutKey,
    now: float,
    state: RolloutState,
    observation: Observation,
    sources: AvailableSources,
    *,
    router: bool,
) -> Rollout:
    """Return a rollout at a tick (`now`, Unix seconds); `router`: the settings say that it has a router."""
    view, status = observation.view or view_without_leader(state, observation), observation.status
    shows_hashes = status is not None and bool(status.stable_hash and status.current_hash)
    hashes, is_proved = state.hashes, shows_hashes or _has_revisions(observation)
    pods = _pods_with_valid_labels(state, observation, now)
    # Labels of an earlier tick are of the roles then.
    is_older = observation.workload is not None and observation.workload.observed_at < now
    newer = _newer_hashes(observation, hashes)
    pod_roles = tuple(
        (pod, pod_role(pod, hashes, state.strategy, is_proved=is_proved or is_older, newer=newer)) for pod in pods
    )
    fraction = None
    if view is not None:
        roles_now = pod_roles if _shows_ready_pods(observation, view, state, now) else ()
        fraction = canary_fraction(state, view, roles_now, router=router or state.has_router)
    unknown_reasons = tuple(_unknown_reasons(state, observation, fraction, pod_roles, sources))
    return Rollout(
        key, state, observation, pod_roles, fraction, unknown_reasons=unknown_reasons, is_current=view is not None
    )


def _pods_with_valid_labels(state: RolloutState, observation: Observation, now: float) -> tuple[Pod, ...]:
    """Return the pods, without their labels of roles if the counters have shown a transition since."""
    workload = observation.workload
    if workload is None or workload.observed_at >= min(now, state.last_event_at):
        return workload.pods if workload is not None else ()
    return tuple(replace(pod, label_role="") if pod.label_role else pod for pod in workload.pods)


def _has_revisions(observation: Observation) -> bool:
    """Return whether the hashes are those of revision annotations, not inferred from sizes."""
    return any(replica_set.revision is not None for replica_set in observation.replica_sets.values())


def _newer_hashes(observation: Observation, hashes: RevisionHashes) -> frozenset[str]:
    """Return the ReplicaSets that came after the current revision: the status is older than the page that has them."""
    replica_sets = observation.replica_sets
    current = replica_sets.get(hashes.current)
    if current is None or current.revision is None:
        return frozenset()
    number = current.revision
    return frozenset(name for name, other in replica_sets.items() if (other.revision or 0) > number)


def pod_role(
    pod: Pod, hashes: RevisionHashes, strategy: str, *, is_proved: bool, newer: frozenset[str] = frozenset()
) -> PodRole:
    """Return a pod's role by proved hashes, else by its label, else by inferred hashes.

    A label overrides inferred hashes: the controller sets ephemeral metadata itself when a pod's role changes. Pods of
    ReplicaSets that are `newer` than the current revision of the hashes have no role yet.
    """
    # An experiment has hashes of its own, so that its pods belong to no revision of the rollout.
    if pod.experiment:
        return PodRole.EXPERIMENT
    if pod.label_role and not (is_proved and hashes.stable and hashes.current):
        return PodRole(pod.label_role)
    if hashes.stable and pod.hash == hashes.stable:
        return PodRole.STABLE
    # With one hash alone, any other pod may be canary or old.
    if not hashes.stable or not hashes.current or pod.hash in newer:
        return PodRole.UNKNOWN
    if pod.hash == hashes.current:
        return PodRole.PREVIEW if strategy == BLUE_GREEN else PodRole.CANARY
    return PodRole.OLD


def _shows_ready_pods(observation: Observation, view: ControllerView, state: RolloutState, now: float) -> bool:
    """Return whether the pods are those that get traffic now: newer than the controller's gauges, or as these count.

    The gauges lag behind the pods of the same tick, and are ahead of those of an earlier one, which a page of this tick
    may still show.
    """
    hashes = state.hashes
    if observation.workload is None or not hashes.current or not hashes.stable:
        return False
    is_of_tick = observation.workload.observed_at >= now
    if view.replicas is None:  # nobody leads, so that nothing shows what became of earlier pods
        return is_of_tick
    if is_of_tick and state.pods_newer:
        return True
    pods = [pod for pod in observation.workload.pods if not pod.experiment]  # experiments' pods are in no gauge
    current, ready = sum(pod.hash == hashes.current for pod in pods), sum(pod.ready for pod in pods)
    return (len(pods), current, ready) == (view.replicas.total, view.replicas.updated, view.replicas.available)


def _label_contradicts(observation: Observation, pod_roles: PodRoles) -> bool:
    """Return whether labels claim roles that contradict each other, or roles that are known."""
    if observation.workload is not None and observation.workload.has_doubtful_roles:
        return True
    return any(pod.label_role not in ("", role) and not pod.experiment for pod, role in pod_roles)


def _unknown_reasons(
    state: RolloutState,
    observation: Observation,
    fraction: CanaryFraction | None,
    pod_roles: PodRoles,
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
        yield "weight" if state.weight is not None else "fraction"
    if observation.workload is None and sources.has_workload_source and sources.leader_was_scraped:
        yield "pods"
    if any(role is PodRole.UNKNOWN for _, role in pod_roles):
        yield "roles"
    if _label_contradicts(observation, pod_roles):
        yield "role_label"
    if state.phases.phase == UNKNOWN_PHASE:
        yield "phase"
