"""Recognises the transitions of a rollout at a tick, by the state before, the state after, and what led to it.

Pure and without memory: an unchanged rollout has no transitions. In the order in which things happen: first what ends
of the former update, then what begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from exporter.rollouts.events.model import ATTEMPT_BEGINNINGS, ATTEMPT_ENDS, ReportedTransition, TransitionType
from exporter.rollouts.events.sentences import leader_sentence, plain_sentence, run_details, run_sentence
from exporter.rollouts.events.shown_state import PHASE
from exporter.rollouts.explain.explain import explain
from exporter.rollouts.explain.model import Cause, RevisionImages, StepPosition
from exporter.rollouts.inputs.controller import FINISHED_PHASES
from exporter.rollouts.model import AttemptEvent, Transition, UpdateState
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from exporter.rollouts.details import Images
    from exporter.rollouts.explain.model import Explanation
    from exporter.rollouts.model import (
        ControllerProcess,
        Rollout,
        RolloutKey,
        RolloutState,
        ShownState,
        UpdateTransition,
    )

_RESULTS: Final = {
    Transition.PROMOTED: TransitionType.PROMOTED,
    Transition.ABORTED: TransitionType.ABORTED,
    Transition.ROLLED_BACK: TransitionType.ROLLED_BACK,
    Transition.SUPERSEDED: TransitionType.SUPERSEDED,
}
_BEGINNINGS: Final = frozenset({Transition.STARTED, Transition.SUPERSEDED})
MAX_HISTORY: Final = 256
"""Transitions of an attempt that are remembered: a trace of more spans is not readable, and state is written often."""
_NO_RESUMPTION: Final = frozenset(
    {Transition.ABORTED, Transition.ROLLED_BACK, Transition.SUPERSEDED, Transition.STARTED, Transition.RETRIED}
)
"""What ends a pause, too: nobody resumed it."""


def transitions_of(
    before: RolloutState, rollout: Rollout, changes: Sequence[UpdateTransition], now: float
) -> tuple[ReportedTransition, ...]:
    """Return the transitions of a rollout at a tick (`now`, Unix seconds), in order.

    `before` is its state before the tick, `changes` what `advance` returned with the state after it.
    """
    if before.first_seen != rollout.state.first_seen:  # deleted, and created again under the same name
        return (deletion(rollout.key, before, now, rollout.observation.details.labels),)
    return tuple(_with_attempts(_Recognition(before, rollout, tuple(changes), now).all(), before.last_shown))


def deletion(key: RolloutKey, state: RolloutState, now: float, labels: Mapping[str, str]) -> ReportedTransition:
    """Return the transition of a rollout that is gone, by its last state; `labels` are those that it had."""
    subject = _current(state)
    return ReportedTransition(
        timestamp=now,
        rollout=key,
        type=TransitionType.DELETED,
        sentence=plain_sentence(TransitionType.DELETED, subject.revision),
        revision=subject.revision,
        hash=subject.hash,
        images=subject.images,
        attempt=state.last_shown.attempt,
        history=state.last_shown.history,
        uid=state.uid,
        strategy=state.strategy,
        labels=labels,
    )


def _with_attempts(transitions: Iterable[ReportedTransition], last_shown: ShownState) -> Iterator[ReportedTransition]:
    """Yield the transitions of a tick with the attempt of each, that which ends one with its history.

    `last_shown` is of the tick before.
    """
    attempt, history, begun = last_shown.attempt, last_shown.history, 0
    for transition in transitions:
        if transition.type in ATTEMPT_BEGINNINGS:
            attempt, history, begun = (transition.timestamp, begun), (), begun + 1
        is_end = transition.type in ATTEMPT_ENDS
        yield replace(transition, attempt=attempt, history=history if is_end else ())
        attempt, history = (None, ()) if is_end else (attempt, continue_history(history, transition))


def attempt_history(last_shown: ShownState, transitions: Iterable[ReportedTransition]) -> tuple[AttemptEvent, ...]:
    """Return the history of the attempt under way after the transitions of a tick, which led to `last_shown`."""
    history = last_shown.history
    for transition in transitions:
        if last_shown.attempt is not None and transition.attempt == last_shown.attempt:
            history = continue_history(history, transition)
    return history


def continue_history(history: tuple[AttemptEvent, ...], transition: ReportedTransition) -> tuple[AttemptEvent, ...]:
    """Return a history with one more transition, unless it is full."""
    if len(history) >= MAX_HISTORY:
        return history
    step = transition.step
    has_sentence = transition.type in {TransitionType.PAUSED, TransitionType.ANALYSIS_ENDED}
    event = AttemptEvent(
        transition.timestamp,
        transition.type.value,
        (step.index, step.count, step.kind) if step is not None else None,
        transition.run,
        transition.phase,
        transition.sentence if has_sentence else "",
    )
    return (*history, event)


def leader_changes(
    former: Collection[ControllerProcess], leaders: Iterable[ControllerProcess], now: float
) -> tuple[ReportedTransition, ...]:
    """Return the transitions of processes that lead now, of installations that others led before."""
    changed = []
    for process in sorted(set(leaders) - set(former), key=lambda process: (process.installation, process.target)):
        before = sorted(other.target for other in former if other.installation == process.installation)
        if before:
            sentence = leader_sentence(process, ", ".join(before))
            changed.append(ReportedTransition(now, None, TransitionType.LEADER_CHANGED, sentence))
    return tuple(changed)


@dataclass(frozen=True, slots=True)
class _Subject:
    """The update that a transition is about, as far as it is known."""

    revision: str = ""
    hash: str = ""
    images: RevisionImages | None = None
    step: StepPosition | None = None


def _current(state: RolloutState, stable: Images | None = None) -> _Subject:
    """Return the current revision of a state; `stable` are the images that it replaces, by default the stable ones."""
    memory, hashes = state.memory, state.hashes
    number = memory.revision if memory.hash == hashes.current else ""
    current = memory.images.get(hashes.current)
    stable = stable or memory.images.get(hashes.stable)
    images = RevisionImages(current, stable) if current and stable else None
    return _Subject(number or str(hashes.number or ""), hashes.current, images, _position(state.last_shown))


def _position(state: ShownState) -> StepPosition | None:
    """Return the step that was reached; without the number of steps it is not known in full."""
    return StepPosition(*state.step) if state.step is not None and state.step[1] else None


@dataclass(frozen=True)
class _Recognition:
    """One tick of one rollout."""

    before: RolloutState
    rollout: Rollout
    changes: tuple[UpdateTransition, ...]
    now: float

    @cached_property
    def explanation(self) -> Explanation:
        return explain(self.rollout, self.now)

    @property
    def after(self) -> RolloutState:
        return self.rollout.state

    @cached_property
    def present(self) -> _Subject:
        """The current revision after the tick; its images are against those that were stable before."""
        stable = self.before.memory.images.get(self.before.hashes.stable)
        subject = _current(self.after, stable if self._promotes else None)
        return replace(subject, step=self._stopped_at() or subject.step)

    @property
    def _promotes(self) -> bool:
        return bool(self.changes) and self.changes[-1].transition is Transition.PROMOTED

    def all(self) -> Iterator[ReportedTransition]:
        new_runs = [name for name in sorted(self.after.runs) if name not in self.before.runs]
        former_runs = [name for name in new_runs if self.changes and self._is_of_former_update(name)]
        earlier_runs = [name for name in new_runs if name not in former_runs and self._is_of_earlier_step(name)]
        if not self.changes:
            yield from self._recovery()
        yield from self._ended_runs()
        yield from self._resumption()
        yield from self._new_runs(former_runs)
        yield from self._changes()
        yield from self._new_runs(earlier_runs)
        yield from self._step()
        yield from self._new_runs(name for name in new_runs if name not in {*former_runs, *earlier_runs})
        yield from self._new_pauses()
        if self.changes:
            yield from self._recovery()
        yield from self._degradation()

    # AnalysisRuns -----------------------------------------------------------------------------------------------------

    def _is_of_former_update(self, run: str) -> bool:
        """Return whether a run is of the update that was under way before the tick, by the hash in its name."""
        return bool(self.before.hashes.current) and f"-{self.before.hashes.current}-" in run

    def _is_of_earlier_step(self, run: str) -> bool:
        """Return whether a run that is new has ended at a step before the one that is shown."""
        details, step = run_details(self.rollout, run), self.after.last_shown.step
        is_earlier = details is None or (details.step is not None and step is not None and details.step < step[0])
        return self._has_ended(run) and is_earlier

    def _has_ended(self, run: str) -> bool:
        return self.after.runs.get(run) in FINISHED_PHASES

    def _ended_runs(self) -> Iterator[ReportedTransition]:
        for name, phase in sorted(self.before.runs.items()):
            if phase not in FINISHED_PHASES and self._has_ended(name):
                yield self._run(name, self.after.runs[name])

    def _new_runs(self, names: Iterable[str]) -> Iterator[ReportedTransition]:
        for name in names:
            yield self._run(name, "")
            if self._has_ended(name):
                yield self._run(name, self.after.runs[name])

    def _run(self, name: str, phase: str) -> ReportedTransition:
        """Return the start (phase "") or the end of an AnalysisRun."""
        is_former = self._is_of_former_update(name) and self.before.hashes.current != self.after.hashes.current
        subject = _current(self.before) if is_former else self.present
        details = run_details(self.rollout, name)
        if details is not None and details.step is not None and not is_former:
            subject = replace(subject, step=self._step_at(details.step) or subject.step)
        times = (details.started_at, details.completed_at) if details is not None and phase else (None, None)
        transition = self._transition(
            TransitionType.ANALYSIS_ENDED if phase else TransitionType.ANALYSIS_STARTED,
            subject,
            sentence=run_sentence(self.rollout, name, phase),
            duration=times[1] - times[0] if times[0] is not None and times[1] is not None else None,
        )
        is_cut_short = details is not None and details.was_terminated
        return replace(transition, run=name, phase="" if is_cut_short else phase)

    # The update -------------------------------------------------------------------------------------------------------

    def _changes(self) -> Iterator[ReportedTransition]:
        """Yield what happened to updates; only of the first and the last one more is known than that they were."""
        numbers = [0, *accumulate(change.transition in _BEGINNINGS for change in self.changes)]
        for place, change in enumerate(self.changes):
            yield from self._ending(change, self._subject(numbers[place], numbers[-1]))
            if change.transition in _BEGINNINGS:
                is_last = numbers[place + 1] == numbers[-1] and place == len(self.changes) - 1
                subject = self._subject(numbers[place + 1], numbers[-1])
                yield self._transition(TransitionType.UPDATE_STARTED, subject, is_present=is_last)

    def _subject(self, number: int, last: int) -> _Subject:
        """Return the update with a number: 0 is the one before the tick, `last` that after it."""
        if number == 0:
            return replace(_current(self.before), step=self._stopped_at() or _position(self.before.last_shown))
        is_back = self.changes[-1].transition is Transition.ROLLED_BACK
        return self.present if number == last and not is_back else _Subject()

    def _ending(self, change: UpdateTransition, subject: _Subject) -> Iterator[ReportedTransition]:
        is_present = change is self.changes[-1]
        if change.transition is Transition.RETRIED:
            yield self._transition(TransitionType.RETRIED, self.present, is_present=is_present)
        elif change.ends_update:
            kind = _RESULTS[change.transition]
            is_present = is_present and kind in {TransitionType.ABORTED, TransitionType.PROMOTED}
            cause = self._cause(kind)
            yield self._transition(kind, subject, is_present=is_present, duration=change.duration, cause=cause)
        elif change.transition is Transition.ROLLED_BACK:  # of an update that was aborted before
            duration = max(self.now - self.before.phases.started_at, 0.0)
            yield self._transition(TransitionType.RECOVERED, self.present, is_present=is_present, duration=duration)

    def _cause(self, kind: TransitionType) -> Cause | None:
        if kind is TransitionType.SUPERSEDED:
            return Cause.NEW_REVISION
        if kind is not TransitionType.ABORTED:
            return None
        is_aborted = self.after.update_state is UpdateState.ABORTED
        return (self.explanation.cause if is_aborted else None) or Cause.UNKNOWN

    def _stopped_at(self) -> StepPosition | None:
        """Return the step that an aborted update had reached."""
        index = self.explanation.stopped_at if self.after.update_state is UpdateState.ABORTED else None
        return self._step_at(index) if index is not None else None

    def _step_at(self, index: int) -> StepPosition | None:
        """Return a step of the current revision, None if its steps are not known."""
        steps = self.rollout.observation.details.plan.steps
        if steps is None:
            return None
        return StepPosition(index, len(steps), steps[index].kind if index < len(steps) else "done")

    # Within an update -------------------------------------------------------------------------------------------------

    def _step(self) -> Iterator[ReportedTransition]:
        before, after = self.before.last_shown, self.after.last_shown
        if self.after.update_state is not UpdateState.UPDATING or after.step is None or not after.step[0]:
            return
        is_same = before.step is not None and before.hash == after.hash and before.step[0] == after.step[0]
        if not is_same or self._restarts:
            yield self._transition(TransitionType.STEP_REACHED, replace(self.present, step=_position(after)))

    @property
    def _restarts(self) -> bool:
        return any(change.transition in {*_BEGINNINGS, Transition.RETRIED} for change in self.changes)

    def _resumption(self) -> Iterator[ReportedTransition]:
        before, pauses = self.before.last_shown.pauses, self.after.last_shown.pauses
        if not before or set(before) & set(pauses) or self._pauses_continue:
            return
        if any(change.transition in _NO_RESUMPTION for change in self.changes):
            return
        duration = max(self.now - min(since for _, since in before), 0.0)
        is_present = not pauses and not self.changes
        subject = self.present if not self.changes else _current(self.before)
        yield self._transition(TransitionType.RESUMED, subject, is_present=is_present, duration=duration)

    @property
    def _pauses_continue(self) -> bool:
        """Return whether a source that names the reasons has taken the place of one that does not, or has gone."""
        before, after = dict(self.before.last_shown.pauses), dict(self.after.last_shown.pauses)
        return bool(before and after) and (PHASE in before) != (PHASE in after)

    def _new_pauses(self) -> Iterator[ReportedTransition]:
        new = set(self.after.last_shown.pauses) - set(self.before.last_shown.pauses)
        if new and not self._pauses_continue:
            yield self._transition(TransitionType.PAUSED, self.present, cause=self.explanation.cause)

    def _degradation(self) -> Iterator[ReportedTransition]:
        if self.before.last_shown.degraded_since is None and self.after.last_shown.degraded_since is not None:
            yield self._transition(TransitionType.DEGRADED, self.present, cause=self.explanation.cause)

    def _recovery(self) -> Iterator[ReportedTransition]:
        since = self.before.last_shown.degraded_since
        is_aborted = any(change.transition is Transition.ABORTED for change in self.changes)
        if since is not None and self.after.last_shown.degraded_since is None and not is_aborted:
            duration = max(self.now - since, 0.0)
            yield self._transition(TransitionType.RECOVERED, self.present, duration=duration)

    def _transition(
        self,
        kind: TransitionType,
        subject: _Subject,
        *,
        is_present: bool = True,
        sentence: str = "",
        duration: float | None = None,
        cause: Cause | None = None,
    ) -> ReportedTransition:
        """Return a transition; if it leads to the present state, the explanation of this is its sentence."""
        fraction = self.rollout.fraction
        explained = self.explanation.sentence if is_present else ""
        return ReportedTransition(
            timestamp=self.now,
            rollout=self.rollout.key,
            type=kind,
            sentence=sentence or explained or plain_sentence(kind, subject.revision, duration),
            revision=subject.revision,
            hash=subject.hash,
            step=subject.step,
            images=subject.images,
            fraction=fraction.value if fraction is not None else None,
            duration=duration,
            cause=cause,
            uid=self.after.uid,
            strategy=self.after.strategy,
            labels=self.rollout.observation.details.labels,
        )
