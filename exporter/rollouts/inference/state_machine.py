"""The state machine of a rollout: previous state and observation at a tick → next state and completed updates.

    first sight ──▶ unknown | settled       a first deploy is settled: there is no other revision than the stable one

    settled  ── started ─────▶ updating ── promoted ────▶ settled
                                  │ ▲ └─── rolled back ─▶ settled
                               aborted │ started, retried
                                  ▼ │
                               aborted ─── rolled back, promoted ─▶ settled

The update state is classified from evidence, not derived from transitions. Transitions only explain how the rollout
got there, so that updates that start and end between two ticks are counted, too. A phase is remembered since when it
is shown; one that ends within its hold-down does not count.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.rollouts.inference.classify import NOTHING_NEW, Classification, classify_update
from exporter.rollouts.inference.revisions import ahead_of_counters, event_deltas
from exporter.rollouts.inference.transitions import NEXT_STATE, UPDATE_RESULTS, infer_transitions, summarize_interval
from exporter.rollouts.model import (
    BLUE_GREEN,
    CompletedUpdate,
    PhaseHistory,
    RolloutState,
    Transition,
    Update,
    UpdateState,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.rollouts.model import ControllerView, EventDeltas, Observation, RevisionHashes, TickContext


def advance(
    state: RolloutState | None, context: TickContext, observation: Observation, view: ControllerView
) -> tuple[RolloutState, tuple[CompletedUpdate, ...]]:
    """Return the state of a rollout after a tick and the updates that ended; `view` is the observation's own."""
    if state is None:
        return _first_state(context.now, observation, view), ()
    deltas = _event_deltas(state, view)
    result = classify_update(state, context.now, observation, view, deltas)
    is_ahead = ahead_of_counters(state.hashes.current, result.hashes.current, deltas)
    # A revision that is neither counted nor proven by hashes waits: counting it now and at RolloutUpdated would be two.
    hashes = result.hashes if result.from_hashes or not is_ahead else state.hashes
    interval = summarize_interval(state.hashes, hashes, deltas)
    # An interval counts for the phase at its start; what happened within is unknown.
    was_paused = state.phases.phase == "Paused" and state.update_state is UpdateState.UPDATING
    explained = deltas.explains_phase_change
    updated = replace(
        state,
        phases=observe_phase(state.phases, view.phase, context.now, context.hold_down, explained=explained),
        process=view.process,
        event_counts=view.event_counts,
        evidence=result.evidence if result.evidence is not NOTHING_NEW else state.evidence,
        hashes=result.hashes,
        # Remembered: the counter that proves a router starts again with each controller process.
        has_router=state.has_router or _has_router(view, observation),
        strategy=view.strategy,
        had_revision=state.had_revision or _has_revision(view),
        last_event_at=context.now if deltas.has_transition and not result.from_hashes else state.last_event_at,
        ahead_of_counters=is_ahead and result.from_hashes,
        paused_seconds=state.paused_seconds + (max(context.now - context.last_seen_at, 0.0) if was_paused else 0.0),
    )
    transitions = infer_transitions(state.update_state, result.update_state, interval)
    if not transitions and state.update_state is result.update_state:
        return updated, ()
    kind = _update_kind(view, result.hashes, observation, deltas)
    return _apply_transitions(updated, transitions, result, kind, context.now)


def without_future(state: RolloutState, now: float) -> RolloutState:
    """Return a state without times after `now`, to which the clock was set back: what they begin has just begun."""
    phases, update = state.phases, state.update
    held = phases.hold_down_from
    phases = replace(phases, since=min(phases.since, now), hold_down_from=held and (held[0], min(held[1], now)))
    if update is not None and update.started_at is not None:
        update = replace(update, started_at=min(update.started_at, now))
    first_seen, last_event_at = min(state.first_seen, now), min(state.last_event_at, now)
    return replace(state, first_seen=first_seen, phases=phases, update=update, last_event_at=last_event_at)


def _event_deltas(state: RolloutState, view: ControllerView) -> EventDeltas:
    """Compare the event counters with the previous ones, without events that are already known.

    A first deploy counts as RolloutUpdated and RolloutCompleted, too. A revision that the hashes showed ahead of the
    counters is counted one tick late.
    """
    deltas = event_deltas(state.event_counts, view.event_counts, same_process=state.process == view.process)
    if deltas.updates and not state.had_revision:
        return replace(deltas, updates=deltas.updates - 1, completions=max(deltas.completions - 1, 0))
    return replace(deltas, updates=deltas.updates - 1) if deltas.updates and state.ahead_of_counters else deltas


def _has_revision(view: ControllerView) -> bool:
    """Return whether a revision was ever applied; a rollout whose spec is invalid from the start has none."""
    return bool(view.event_counts.get("RolloutUpdated")) or (view.replicas is not None and view.replicas.total > 0)


def _first_state(now: float, observation: Observation, view: ControllerView) -> RolloutState:
    result = classify_update(None, now, observation, view, _deltas_since_creation(observation, view))
    is_updating = result.update_state is UpdateState.UPDATING
    return RolloutState(
        first_seen=now,
        # The phase at first sight is no transition: it may have begun long before.
        phases=PhaseHistory(view.phase, now),
        process=view.process,
        event_counts=view.event_counts,
        update_state=result.update_state,
        evidence=result.evidence,
        update=Update(_update_kind(view, result.hashes, observation, None), None) if is_updating else None,
        hashes=result.hashes,
        has_router=_has_router(view, observation),
        strategy=view.strategy,
        had_revision=not observation.first_deploy or _has_revision(view),
    )


def _deltas_since_creation(observation: Observation, view: ControllerView) -> EventDeltas | None:
    """Return the counters of a rollout created since the last tick: all that they count happened since then.

    None for any other. RolloutDeleted shows that they are the counters of a deleted rollout of the same name: the
    controller keeps these for 65 s.
    """
    if not observation.first_deploy or view.event_counts.get("RolloutDeleted"):
        return None
    return event_deltas({}, view.event_counts, same_process=False)


def _has_router(view: ControllerView, observation: Observation) -> bool:
    """Return whether a router splits the traffic.

    `rollout_info{traffic_router}` is "" for Traefik, Apisix and every plugin, so weights prove one, too: the
    controller sets them only with a router.
    """
    if view.router or view.event_counts.get("TrafficWeightUpdated"):
        return True
    return observation.status is not None and observation.status.weight is not None


def _update_kind(
    view: ControllerView, hashes: RevisionHashes, observation: Observation, deltas: EventDeltas | None
) -> str:
    """Return the kind of an update: blueGreen, rollback (to an older ReplicaSet than the stable one), or canary."""
    if view.strategy == BLUE_GREEN:
        return "blueGreen"
    replica_sets = observation.replica_sets
    current, stable = replica_sets.get(hashes.current), replica_sets.get(hashes.stable)
    if current is not None and stable is not None:
        # False if a creation time is unknown (NaN).
        return "rollback" if current.created_at < stable.created_at else "canary"
    # A rollback takes up the ReplicaSet of its revision, so that no new one is counted.
    return "rollback" if deltas is not None and deltas.updates and not deltas.new_replica_sets else "canary"


def _apply_transitions(
    state: RolloutState, transitions: Iterable[Transition], result: Classification, kind: str, now: float
) -> tuple[RolloutState, tuple[CompletedUpdate, ...]]:
    """Apply transitions and count the updates that they end; `kind` is that of an update that starts at this tick."""
    update_state, update = state.update_state, state.update
    completed: list[CompletedUpdate] = []
    for transition in transitions:
        if update is not None and transition in UPDATE_RESULTS and update_state is UpdateState.UPDATING:
            duration = now - update.started_at if update.started_at is not None else None
            completed.append(CompletedUpdate(transition, duration))
        update_state = NEXT_STATE.get((update_state, transition), update_state)
        update = _next_update(update_state, transition, update, Update(kind, now))
    if update_state is not result.update_state:  # evidence came late, and no transition explains it
        update = Update(kind, None) if result.update_state is UpdateState.UPDATING else None
    result_counts, last_durations = dict(state.result_counts), dict(state.last_durations)
    for ended in completed:
        result_counts[ended.result] = result_counts.get(ended.result, 0) + 1
        if ended.duration is not None:
            last_durations[ended.result] = ended.duration
    state = replace(
        state,
        update_state=result.update_state,
        update=update,
        result_counts=result_counts,
        last_durations=last_durations,
    )
    return state, tuple(completed)


def _next_update(
    update_state: UpdateState, transition: Transition, update: Update | None, new_update: Update
) -> Update | None:
    if update_state is not UpdateState.UPDATING:
        return None
    is_new = transition in (Transition.STARTED, Transition.RETRIED, Transition.SUPERSEDED)
    return new_update if is_new else update


# Phases


def observe_phase(history: PhaseHistory, phase: str, now: float, hold_down: float, *, explained: bool) -> PhaseHistory:
    """Add the phase shown at a tick (Unix seconds); `explained`: a counted event can have changed it.

    While a paused rollout is scaled, each pod that becomes ready turns the phase to Progressing for 10 to 30 ms, with
    no event. A scrape can hit that, so an unexplained change from Paused to Progressing counts only once it has lasted
    for `hold_down` seconds.
    """
    if history.hold_down_from is not None and phase == history.hold_down_from[0] and not explained:
        return PhaseHistory(phase, history.hold_down_from[1], history.transition_counts)
    if phase == history.phase:
        is_real = explained or now - history.since >= hold_down
        return _confirmed(history) if history.hold_down_from and is_real else history
    left = _confirmed(history)
    if left.phase == "Paused" and phase == "Progressing" and not explained:
        return PhaseHistory(phase, now, left.transition_counts, (left.phase, left.since))
    return PhaseHistory(phase, now, _count(left.transition_counts, phase))


def _confirmed(history: PhaseHistory) -> PhaseHistory:
    """Count the entry into a phase, and end its hold-down."""
    if history.hold_down_from is None:
        return history
    return replace(history, transition_counts=_count(history.transition_counts, history.phase), hold_down_from=None)


def _count(counts: Mapping[str, int], phase: str) -> Mapping[str, int]:
    return {**counts, phase: counts.get(phase, 0) + 1}
