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

import zlib
from sys import intern
from typing import TYPE_CHECKING, Final

from exporter.rollouts.inference.classify import classify_update
from exporter.rollouts.inference.controller_page import is_aborted_when_promoted
from exporter.rollouts.inference.evidence import NOTHING_NEW, Classification, Evidence
from exporter.rollouts.inference.revisions import (
    EVENT_FIELDS,
    ahead_of_counters,
    event_deltas,
    is_mid_update,
    numbered_ahead,
)
from exporter.rollouts.inference.transitions import NEXT_STATE, UPDATE_RESULTS, infer_transitions, summarize_interval
from exporter.rollouts.inference.weight import router_weight
from exporter.rollouts.model import (
    BLUE_GREEN,
    CANARY,
    NOTHING,
    ControllerView,
    EventDeltas,
    Observation,
    PhaseHistory,
    RolloutState,
    TickContext,
    Transition,
    Update,
    UpdateState,
    UpdateTransition,
)
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from exporter.rollouts.inference.transitions import IntervalSummary
    from exporter.rollouts.model import RevisionHashes

_HANDOVER: Final = 10.0
"""Seconds for which nobody leads before a standby does, at least: it waits for the end of the lease, of 15 s."""
_ABORT_EVENT_COUNT: Final = 2
"""How often RolloutAborted is counted at most for one abort: twice for one by a deadline (progressDeadlineAbort)."""
_NOT_AT_REST: Final = (UpdateState.UPDATING, UpdateState.ABORTED)
"""States of a rollout that has a stable revision."""
_OF_LEADERS: Final = ("phases", "replicas", "event_counts", "pending_since", "pending_counts")
"""Fields of a state that only a leader's page changes."""
_CLOCK_SKEW: Final = 5.0
"""Seconds by which the clocks of exporter and controller may differ."""


def advance(
    state: RolloutState | None, context: TickContext, observation: Observation, view: ControllerView
) -> tuple[RolloutState, tuple[UpdateTransition, ...]]:
    """Return the state of a rollout after a tick and its transitions; `view` is the observation's own."""
    if state is None:
        return _first_state(context, observation, view), ()
    deltas = _event_deltas(state, context, view)
    if _is_reborn(state, observation, deltas):
        return _reborn_state(state, context, observation, view, deltas), ()
    evidence = Evidence(
        state, context.now, observation, view, deltas, context.has_rollout_state, context.reconciling_since
    )
    result = classify_update(evidence)
    is_ahead = ahead_of_counters(state.hashes.current, result.hashes.current, deltas)
    # A revision that is neither counted nor proven by hashes waits: counting it now and at RolloutUpdated would be two.
    hashes = result.hashes if result.from_hashes or not is_ahead else state.hashes
    effective_deltas = _without(deltas, result.pending)
    if result.update_state is UpdateState.SETTLED and is_aborted_when_promoted(evidence):
        effective_deltas = replace(effective_deltas, aborts=0)
    interval = summarize_interval(state.hashes, hashes, effective_deltas)
    if deltas.process_restarted and not result.from_hashes:
        interval = _with_former_process(interval, state, result)
    # An interval counts for the phase at its start; what happened within is unknown.
    was_paused = state.phases.phase == "Paused" and state.update_state is UpdateState.UPDATING
    explained = deltas.explains_phase_change
    has_news = deltas.has_transition or deltas.process_restarted
    is_updated = result.update_state in _NOT_AT_REST
    has_router = state.has_router or _has_router(view, observation)
    checksum = _pods_checksum(observation)
    updated = replace(
        state,
        phases=observe_phase(state.phases, view.phase, context.now, context.hold_down, explained=explained),
        process=view.process,
        event_counts=_consumed_counts(state, view, result.pending),
        evidence=state.evidence if result.reason is NOTHING_NEW else _evidence_text(result),
        hashes=result.hashes,
        # Remembered: the counter that proves a router starts again with each controller process.
        has_router=has_router,
        strategy=view.strategy,
        had_revision=state.had_revision or _has_revision(view),
        had_promotion=state.had_promotion or is_updated or deltas.has_steps or _has_promotion(state, view),
        last_event_at=context.now if has_news and not result.from_hashes else state.last_event_at,
        ahead_of_counters=(
            result.from_hashes and (is_ahead or numbered_ahead(state.hashes, result.hashes, effective_deltas))
        ),
        promotion_ahead=(
            result.from_hashes and interval.promotions > deltas.completions and not deltas.process_restarted
        ),
        abort_ahead=_is_abort_ahead(state, view, deltas, result),
        pending_since=(state.pending_since or context.now) if result.pending else 0.0,
        pending_counts={reason: count for reason, count in view.event_counts.items() if reason in result.pending}
        or NOTHING,
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
    # From the stable revision, one RolloutUpdated can only lead away.
    is_away = state.update_state is UpdateState.SETTLED and effective_deltas.updates == 1
    update = Update(
        _update_kind(view, result.hashes, observation, deltas),
        context.now,
        reuses_replica_set=effective_deltas.new_replica_sets < effective_deltas.updates and not is_away,
    )
    advanced, changes = _apply_transitions(updated, transitions, result, update, finished_at or context.now)
    return _with_start(advanced, started_at), changes


def _evidence_text(result: Classification) -> str:
    return intern(f"{result.rung}: {result.reason}")  # of thousands of rollouts, few differ


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


def _event_deltas(state: RolloutState, context: TickContext, view: ControllerView) -> EventDeltas:
    """Compare the event counters with the previous ones, without events that are already known.

    A first deploy counts as RolloutUpdated and RolloutCompleted, too. What the hashes showed ahead of the counters is
    counted a tick late.
    """
    if _led_beside(state, context, view):
        return EventDeltas(process_restarted=True)
    deltas = event_deltas(state.event_counts, view.event_counts, same_process=state.process == view.process)
    is_known_update = not state.had_revision or state.ahead_of_counters
    if not (state.had_promotion or deltas.completions or deltas.has_steps):
        return replace(deltas, updates=0)  # revisions before the first promotion replace nothing
    # The first deploy is promoted before the first update begins.
    is_first = not state.had_promotion and state.update_state is UpdateState.SETTLED
    # Steps are skipped while there is no stable revision, so those that are counted are of the update after it.
    is_next = is_mid_update(view) or deltas.has_steps
    is_known_promotion = state.promotion_ahead or (is_first and (deltas.updates <= is_known_update or is_next))
    return replace(
        deltas,
        updates=max(deltas.updates - is_known_update, 0),
        completions=max(deltas.completions - is_known_promotion, 0),
        aborts=deltas.aborts if deltas.aborts > _ABORT_EVENT_COUNT or not state.abort_ahead else 0,
    )


def _is_abort_ahead(state: RolloutState, view: ControllerView, deltas: EventDeltas, result: Classification) -> bool:
    """Return whether the hashes of a tick show an abort that the controller's page neither counts nor shows yet."""
    if result.update_state is not UpdateState.ABORTED or not result.from_hashes or view.phase == "Abort":
        return False
    is_new = state.update_state is not UpdateState.ABORTED or state.abort_ahead
    return is_new and not (deltas.aborts or deltas.process_restarted)


def _led_beside(state: RolloutState, context: TickContext, view: ControllerView) -> bool:
    """Return whether the process led already when the former one was seen to lead: that of another cluster, say.

    What its counters show is no growth since then, and may be about other rollouts of the same names.
    """
    was_running = 0 < view.process.start_time < context.last_seen_at - _CLOCK_SKEW
    return state.process != view.process and was_running and context.now - context.last_seen_at < _HANDOVER


def _pods_checksum(observation: Observation) -> int:
    """Return a number that changes whenever a pod of the rollout comes, goes, becomes ready or unready."""
    pods = observation.workload.pods if observation.workload is not None else ()
    return zlib.crc32("\n".join([f"{pod.uid} {pod.ready}" for pod in pods]).encode())


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


def _consumed_counts(state: RolloutState, view: ControllerView, pending: Collection[str]) -> Mapping[str, float]:
    """Return the counters of a tick without the growth that is pending: the next tick finds it again."""
    if not pending:
        return view.event_counts
    before = state.event_counts if state.process == view.process else {}
    counts = {reason: count for reason, count in view.event_counts.items() if reason not in pending}
    return counts | {reason: count for reason, count in before.items() if reason in pending}


def _without(deltas: EventDeltas, pending: Collection[str]) -> EventDeltas:
    """Return the growth of the counters that the status shows."""
    if not pending:
        return deltas
    hidden = {field for reason, field in EVENT_FIELDS.items() if reason in pending}
    counts = {field: 0.0 if field in hidden else getattr(deltas, field) for field in EVENT_FIELDS.values()}
    return EventDeltas(**counts, other_steps=deltas.other_steps, process_restarted=deltas.process_restarted)


def _is_reborn(state: RolloutState, observation: Observation, deltas: EventDeltas) -> bool:
    """Return whether the rollout was deleted and created again under the same name."""
    uid = observation.status.uid if observation.status is not None else ""
    # The counters of another process do not show what was deleted before it led.
    if deltas.process_restarted and _has_lost_revisions(state.hashes, observation):
        return True
    return bool(deltas.deletions and not deltas.process_restarted) or bool(uid and state.uid and uid != state.uid)


def _has_lost_revisions(hashes: RevisionHashes, observation: Observation) -> bool:
    """Return whether the ReplicaSets are another object's: the stable one stays, and revision numbers only grow."""
    replica_sets = observation.replica_sets
    if not hashes.stable or not replica_sets or not {hashes.stable, hashes.current}.isdisjoint(replica_sets):
        return False
    return max(replica_set.revision or 0 for replica_set in replica_sets.values()) < hashes.number


def _reborn_state(
    former: RolloutState, context: TickContext, observation: Observation, view: ControllerView, deltas: EventDeltas
) -> RolloutState:
    """Return the first state of a rollout whose name the `former` one had; that one's counters go on for 65 s."""
    if _shows_former(observation, former):  # pages that were made before that of the controller
        observation = replace(observation, status=None, workload=None)
    observation = replace(observation, first_deploy=True)
    state = _first_state(context, observation, view)
    # Revisions and promotions of this interval may be the new object's.
    return replace(
        state,
        had_revision=state.had_revision or deltas.updates > 0,
        had_promotion=state.had_promotion or deltas.completions > 0,
        last_event_at=context.now - 0.001,
    )


def _shows_former(observation: Observation, former: RolloutState) -> bool:
    """Return whether pages still show a deleted rollout: a new one has another uid, other hashes, lower numbers."""
    status, hashes = observation.status, former.hashes
    if status is not None and status.uid and former.uid:
        return status.uid == former.uid
    if status is not None and hashes.current:
        return (status.current_hash, status.stable_hash) == (hashes.current, hashes.stable)
    replica_set = observation.replica_sets.get(hashes.current)
    return replica_set is not None and (replica_set.revision or 0) == hashes.number


def _of_this_tick(observation: Observation, now: float) -> Observation:
    """Return an observation without pages of earlier ticks, which may be about a former rollout of the same name."""
    workload, status = observation.workload, observation.status
    return replace(
        observation,
        workload=workload if workload is not None and workload.observed_at >= now else None,
        status=status if status is not None and status.observed_at >= now else None,
    )


def _has_revision(view: ControllerView) -> bool:
    """Return whether a revision was ever applied; a rollout whose spec is invalid from the start has none."""
    # The counters of a deleted rollout of the same name go on.
    is_counted = view.event_counts.get("RolloutUpdated") and not view.event_counts.get("RolloutDeleted")
    return bool(is_counted) or (view.replicas is not None and view.replicas.total > 0)


def _has_promotion(state: RolloutState | None, view: ControllerView) -> bool:
    """Return whether the first deploy is counted; `state` is of the last tick, None at first sight."""
    if view.phase == "Completed":
        return True
    count = view.event_counts.get("RolloutCompleted", 0)
    if state is not None and state.process == view.process:
        return count > state.event_counts.get("RolloutCompleted", 0)
    return bool(count) and not view.event_counts.get("RolloutDeleted")


def _first_state(context: TickContext, observation: Observation, view: ControllerView) -> RolloutState:
    now, observation = context.now, _of_this_tick(observation, context.now)
    deltas = _deltas_since_creation(observation, view)
    evidence = Evidence(None, now, observation, view, deltas, context.has_rollout_state)
    result = classify_update(evidence)
    is_updating = result.update_state is UpdateState.UPDATING
    has_router = _has_router(view, observation)
    return RolloutState(
        first_seen=now,
        # The phase at first sight is no transition: it may have begun long before.
        phases=PhaseHistory(view.phase, now),
        process=view.process,
        event_counts=view.event_counts,
        update_state=result.update_state,
        evidence=_evidence_text(result),
        update=Update(_update_kind(view, result.hashes, observation, None), None) if is_updating else None,
        hashes=result.hashes,
        has_router=has_router,
        strategy=view.strategy,
        had_revision=not observation.first_deploy or _has_revision(view) or bool(result.hashes.current),
        had_promotion=_has_promotion(None, view)
        or result.update_state in _NOT_AT_REST
        or not (observation.first_deploy or _is_in_first_deploy(observation, view)),
        ahead_of_counters=is_updating and result.from_hashes and _shows_no_update(view),
        replicas=view.replicas,
        pods_checksum=_pods_checksum(observation),
        pods_newer=True,
        weight=router_weight(evidence, result, deltas) if has_router or context.has_router else None,
        uid=observation.status.uid if observation.status is not None else "",
    )


def _shows_no_update(view: ControllerView) -> bool:
    """Return whether the controller's page is of a rollout without update, and so from before one that hashes show."""
    has_old_pods = view.replicas is not None and view.replicas.old > 0
    # blueGreen is Completed from the switch of its service on, while the former set keeps its pods.
    return view.phase == "Completed" and (view.strategy == CANARY or not has_old_pods)


def _is_in_first_deploy(observation: Observation, view: ControllerView) -> bool:
    """Return whether a rollout at first sight has no stable revision yet: it has one revision, and promoted none."""
    status = observation.status
    if status is not None and status.current_hash:
        return not status.stable_hash
    numbers = [replica_set.revision for replica_set in observation.replica_sets.values()]
    counts = view.event_counts
    is_counted = bool(counts.get("RolloutUpdated")) and not counts.get("RolloutCompleted")
    return numbers == [1] and is_counted and view.phase != "Abort"


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
