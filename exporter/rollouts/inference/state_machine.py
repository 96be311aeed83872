"""The state machine of a rollout: previous state and observation at a tick → next state and completed updates.

    first sight ──▶ unknown | settled       a first deploy is settled: there is no other revision than the stable one

    settled  ── started ─────▶ updating ── promoted ────▶ settled
                                  │ ▲ └─── rolled back ─▶ settled
                               aborted │ started, retried
                                  ▼ │
                               aborted ─── rolled back, promoted ─▶ settled

The update state is classified from evidence, not derived from transitions. Transitions only explain how the rollout
got there, so that updates that start and end between two ticks are counted, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.rollouts.inference.aspects import (
    NOT_AT_REST,
    evidence_text,
    has_promotion,
    has_revision,
    pods_checksum,
    shows_router,
    update_kind,
)
from exporter.rollouts.inference.classify import classify_update
from exporter.rollouts.inference.controller_page import is_aborted_when_promoted
from exporter.rollouts.inference.evidence import NOTHING_NEW, Classification, Evidence
from exporter.rollouts.inference.first_sight import first_state, is_reborn, reborn_state
from exporter.rollouts.inference.new_events import (
    consumed_counts,
    is_abort_ahead,
    new_event_deltas,
    pending_counts,
    without_pending,
)
from exporter.rollouts.inference.phases import observe_phase
from exporter.rollouts.inference.revisions import ahead_of_counters, leads_away, numbered_ahead
from exporter.rollouts.inference.transitions import NEXT_STATE, UPDATE_RESULTS, infer_transitions, summarize_interval
from exporter.rollouts.inference.weight import router_weight
from exporter.rollouts.model import (
    CANARY,
    ControllerView,
    Observation,
    RolloutState,
    TickContext,
    Transition,
    Update,
    UpdateState,
    UpdateTransition,
)
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.rollouts.inference.transitions import IntervalSummary

_OF_LEADERS: Final = ("phases", "replicas", "event_counts", "pending_since", "pending_counts")
"""Fields of a state that only a leader's page changes."""


def advance(
    state: RolloutState | None, context: TickContext, observation: Observation, view: ControllerView
) -> tuple[RolloutState, tuple[UpdateTransition, ...]]:
    """Return the state of a rollout after a tick and its transitions; `view` is the observation's own."""
    if state is None:
        return first_state(context, observation, view), ()
    deltas = new_event_deltas(state, context, view)
    if is_reborn(state, observation, deltas):
        return reborn_state(state, context, observation, view, deltas), ()
    evidence = Evidence(
        state, context.now, observation, view, deltas, context.has_rollout_state, context.reconciling_since
    )
    result = classify_update(evidence)
    is_ahead = ahead_of_counters(state.hashes.current, result.hashes.current, deltas)
    # A revision that is neither counted nor proven by hashes waits: counting it now and at RolloutUpdated would be two.
    hashes = result.hashes if result.from_hashes or not is_ahead else state.hashes
    effective_deltas = without_pending(deltas, result.pending)
    if result.update_state is UpdateState.SETTLED and is_aborted_when_promoted(evidence):
        effective_deltas = replace(effective_deltas, aborts=0)
    interval = summarize_interval(state.hashes, hashes, effective_deltas)
    if deltas.process_restarted and not result.from_hashes:
        interval = _with_former_process(interval, state, result)
    # An interval counts for the phase at its start; what happened within is unknown.
    was_paused = state.phases.phase == "Paused" and state.update_state is UpdateState.UPDATING
    explained = deltas.explains_phase_change
    has_news = deltas.has_transition or deltas.process_restarted
    is_updated = result.update_state in NOT_AT_REST
    has_router = state.has_router or shows_router(view, observation)
    checksum = pods_checksum(observation)
    updated = replace(
        state,
        phases=observe_phase(state.phases, view.phase, context.now, context.hold_down, explained=explained),
        process=view.process,
        event_counts=consumed_counts(state, view, result.pending),
        evidence=state.evidence if result.reason is NOTHING_NEW else evidence_text(result),
        hashes=result.hashes,
        # Remembered: the counter that proves a router starts again with each controller process.
        has_router=has_router,
        strategy=view.strategy,
        had_revision=state.had_revision or has_revision(view),
        had_promotion=state.had_promotion or is_updated or deltas.has_steps or has_promotion(state, view),
        last_event_at=context.now if has_news and not result.from_hashes else state.last_event_at,
        ahead_of_counters=(
            result.from_hashes and (is_ahead or numbered_ahead(state.hashes, result.hashes, effective_deltas))
        ),
        promotion_ahead=(
            result.from_hashes and interval.promotions > deltas.completions and not deltas.process_restarted
        ),
        abort_ahead=is_abort_ahead(state, view, deltas, result),
        pending_since=(state.pending_since or context.now) if result.pending else 0.0,
        pending_counts=pending_counts(view, result.pending),
        replicas=view.replicas,
        pods_checksum=checksum,
        pods_newer=_are_pods_newer(state, observation, view, result, checksum),
        weight=router_weight(evidence, result, effective_deltas) if has_router or context.has_router else None,
        uid=observation.status.uid if observation.status is not None and observation.status.uid else state.uid,
        paused_seconds=state.paused_seconds + (max(context.now - context.last_seen_at, 0.0) if was_paused else 0.0),
    )
    transitions = infer_transitions(state.update_state, result.update_state, interval)
    started_at, finished_at = _shown_times(observation, context.now)
    if not transitions and state.update_state is result.update_state:
        return _with_start(updated, started_at), ()
    reuses_replica_set = effective_deltas.new_replica_sets < effective_deltas.updates
    update = Update(
        update_kind(view, result.hashes, observation, deltas),
        context.now,
        reuses_replica_set=reuses_replica_set and not leads_away(state.update_state, effective_deltas),
    )
    advanced, changes = _apply_transitions(updated, transitions, result, update, finished_at or context.now)
    return _with_start(advanced, started_at), changes


def _with_former_process(interval: IntervalSummary, state: RolloutState, result: Classification) -> IntervalSummary:
    """Return an interval with what another process must have done since the last tick: its counters are not shown."""
    # What the new process promoted without a new revision was an update of the former one.
    if state.update_state is result.update_state is UpdateState.SETTLED:
        return replace(interval, revisions=max(interval.revisions, interval.promotions))
    stable_hashes = {state.hashes.stable, result.hashes.stable} - {""}
    if state.update_state is UpdateState.UPDATING and len(stable_hashes) > 1:
        return replace(interval, promotions=max(interval.promotions, 1))
    # A canary with all of its pods that does not pause is about to be promoted, before another revision comes.
    replicas = state.replicas
    if state.update_state is result.update_state is UpdateState.UPDATING and replicas is not None:
        is_ending = state.phases.phase == "Progressing" and replicas.updated >= replicas.desired > 0
        if state.strategy == CANARY and is_ending and interval.revisions and not interval.promotions:
            return replace(interval, promotions=1)
    return interval


def _shown_times(observation: Observation, now: float) -> tuple[float | None, float | None]:
    """Return start and end of the last update (Unix seconds) as `status.duration` of this tick shows them."""
    status = observation.status
    if status is None or status.observed_at < now:
        return None, None
    # While an update runs, there is no end.
    return (status.started_at if status.finished_at is None else None), status.finished_at


def _with_start(state: RolloutState, started_at: float | None) -> RolloutState:
    """Return a state whose running update started at the time that the controller shows."""
    if started_at is None or state.update is None or state.update.started_at == started_at:
        return state
    return replace(state, update=replace(state.update, started_at=started_at))


def advance_without_leader(
    state: RolloutState, now: float, hold_down: float, observation: Observation
) -> tuple[RolloutState, tuple[UpdateTransition, ...]]:
    """Return the state of a rollout that no leader shows, by the rollout state of this tick, and its transitions.

    Its phase and the time that it is paused wait for the next leader.
    """
    view = view_without_leader(state, observation)
    if view is None:
        return state, ()
    advanced, changes = advance(state, TickContext(now, now, hold_down), observation, view)
    # The next leader may count again what is pending.
    unchanged = {name: getattr(state, name) for name in _OF_LEADERS}
    return replace(advanced, **unchanged), changes


def view_without_leader(state: RolloutState, observation: Observation) -> ControllerView | None:
    """Return the view that a leader last showed, without gauges; None if rollout state does not show the revisions."""
    status = observation.status
    if status is None or not status.stable_hash or not status.current_hash:
        return None
    return ControllerView(state.process, state.strategy, "", state.phases.phase, None, state.event_counts)


def without_future(state: RolloutState, now: float) -> RolloutState:
    """Return a state without times after `now`, to which the clock was set back: what they begin has just begun."""
    phases, update = state.phases, state.update
    held, account = phases.hold_down_from, state.account
    phases = replace(phases, since=min(phases.since, now), hold_down_from=held and (held[0], min(held[1], now)))
    if update is not None and update.started_at is not None:
        update = replace(update, started_at=min(update.started_at, now))
    if account.counted_until is not None:
        account = replace(account, counted_until=min(account.counted_until, now))
    return replace(
        state,
        first_seen=min(state.first_seen, now),
        phases=phases,
        update=update,
        last_event_at=min(state.last_event_at, now),
        pending_since=min(state.pending_since, now),
        account=account,
    )


def _are_pods_newer(
    state: RolloutState, observation: Observation, view: ControllerView, result: Classification, checksum: int
) -> bool:
    """Return whether the pods of a tick, of this `checksum`, changed later than the controller's gauges."""
    if checksum == state.pods_checksum:
        return state.pods_newer and view.replicas == state.replicas
    return view.replicas == state.replicas or not _are_pods_behind(state, observation, view, result)


def _are_pods_behind(
    state: RolloutState, observation: Observation, view: ControllerView, result: Classification
) -> bool:
    """Return whether the pods of a tick show the rollout as it was before the gauges of that tick."""
    replicas, workload = view.replicas, observation.workload
    if replicas is None or workload is None or not result.hashes.current:
        return False
    if view.phase == "Paused" and not replicas.unavailable:
        return True  # nothing moves in a pause: pods that its gauges do not count are those from before it
    if state.replicas is None or replicas.desired != state.replicas.desired:
        return False
    # An update makes pods of its revision, and an abort removes them.
    growth = replicas.updated - sum(pod.hash == result.hashes.current for pod in workload.pods)
    return growth > 0 if result.update_state is UpdateState.UPDATING else growth < 0


def _apply_transitions(
    state: RolloutState, transitions: Iterable[Transition], result: Classification, new_update: Update, now: float
) -> tuple[RolloutState, tuple[UpdateTransition, ...]]:
    """Apply transitions and count the updates that they end, at `now`; `new_update` is the next one, if there is."""
    update_state, update = state.update_state, state.update
    changes: list[UpdateTransition] = []
    for transition in transitions:
        ends_update = transition in UPDATE_RESULTS and update_state is UpdateState.UPDATING
        started_at = update.started_at if update is not None and ends_update else None
        duration = max(now - started_at, 0.0) if started_at is not None else None
        changes.append(UpdateTransition(transition, update is not None and ends_update, duration))
        update_state = NEXT_STATE.get((update_state, transition), update_state)
        update = _next_update(update_state, transition, update, new_update)
    if update_state is not result.update_state:  # evidence came late, and no transition explains it
        update = replace(new_update, started_at=None) if result.update_state is UpdateState.UPDATING else None
    result_counts, last_durations = dict(state.result_counts), dict(state.last_durations)
    for ended in filter(lambda change: change.ends_update, changes):
        result_counts[ended.transition] = result_counts.get(ended.transition, 0) + 1
        if ended.duration is not None:
            last_durations[ended.transition] = ended.duration
    state = replace(
        state,
        update_state=result.update_state,
        update=update,
        result_counts=result_counts,
        last_durations=last_durations,
    )
    return state, tuple(changes)


def _next_update(
    update_state: UpdateState, transition: Transition, update: Update | None, new_update: Update
) -> Update | None:
    if update_state is not UpdateState.UPDATING:
        return None
    is_new = transition in (Transition.STARTED, Transition.RETRIED, Transition.SUPERSEDED)
    return new_update if is_new else update
