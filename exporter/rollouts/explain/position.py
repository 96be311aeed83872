"""Where an update is: its step, its pauses and who ends them, its routes, and what it spends its time on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.rollouts.details import NO_DETAILS, RUNNING_PHASES
from exporter.rollouts.explain.causes import INCONCLUSIVE_ANALYSIS, INCONCLUSIVE_EXPERIMENT
from exporter.rollouts.explain.model import Activity, StepPosition
from exporter.rollouts.model import CANARY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.rollouts.details import CanaryStep, RolloutDetails
    from exporter.rollouts.model import Rollout, RolloutStatus

PERSON: Final = "person"
TIMER: Final = "timer"
CANARY_PAUSE: Final = "CanaryPauseStep"
BLUE_GREEN_PAUSE: Final = "BlueGreenPause"
_RUN_SLOTS: Final = ("pre", "post")
_ROUTE_KINDS: Final = {"setHeaderRoute": "header", "setMirrorRoute": "mirror"}


@dataclass(frozen=True, slots=True)
class Wait:
    """Who ends a pause: person, timer, or "" for neither; `until` (Unix seconds) is when the timer does."""

    waits_for: str = ""
    until: float | None = None


def is_updating(status: RolloutStatus) -> bool:
    """Return whether the current revision is not the stable one, aborted or not; a first deploy has no stable one."""
    return bool(status.stable_hash and status.current_hash) and status.stable_hash != status.current_hash


def current_step(status: RolloutStatus) -> CanaryStep | None:
    """Return the step at the index, None behind the last one or without steps."""
    steps = (status.details or NO_DETAILS).plan.steps
    index = int(status.step_index) if status.step_index is not None else -1
    return steps[index] if steps is not None and 0 <= index < len(steps) else None


def step_position(status: RolloutStatus) -> StepPosition | None:
    """Return the step of a canary whose update is not promoted."""
    steps = (status.details or NO_DETAILS).plan.steps
    if steps is None or status.step_index is None or not is_updating(status):
        return None
    step = current_step(status)
    return StepPosition(int(status.step_index), len(steps), step.kind if step is not None else "done")


def set_weight(rollout: Rollout) -> float | None:
    """Return the weight in [0, 1] that the canary is set to: by the router as shown, else by the steps.

    None without an update of a canary, or if no source shows it. The canary's true share follows as pods become ready.
    """
    status, router = rollout.observation.status, rollout.state.weight
    if status is None or rollout.state.strategy != CANARY or not is_updating(status):
        return None
    if status.aborted:
        return 0.0
    if router is not None and router.is_exact and router.fraction is not None:
        return router.fraction
    steps = (status.details or NO_DETAILS).plan.steps
    if steps is None or status.step_index is None:
        return None
    return weight_at(steps, int(status.step_index), status.max_weight)


def weight_at(steps: Sequence[CanaryStep], index: int, max_weight: float) -> float | None:
    """Return the weight in [0, 1] of the last `setWeight` up to a step: 0 before the first, 1 behind all steps."""
    if index >= len(steps):
        return 1.0
    reached = [step.weight for step in steps[: index + 1] if step.kind == "setWeight"]
    weight = reached[-1] if reached else 0.0
    return None if weight is None or max_weight <= 0 else min(weight / max_weight, 1.0)


def wait(status: RolloutStatus) -> Wait:
    """Return who ends the pause of a status."""
    details = status.details
    if status.aborted or details is None:
        return Wait()
    starts = dict(status.pauses)
    is_paused_by_spec = details.plan.is_paused and status.health == "Paused"
    if is_paused_by_spec or INCONCLUSIVE_ANALYSIS in starts or INCONCLUSIVE_EXPERIMENT in starts:
        return Wait(PERSON)
    if CANARY_PAUSE in starts:
        step = current_step(status)
        if step is None or step.kind != "pause":
            return Wait()
        return _timed(starts[CANARY_PAUSE], step.duration)
    if BLUE_GREEN_PAUSE in starts and (details.plan.auto_promotion is False or details.plan.auto_promotion_seconds):
        return _timed(starts[BLUE_GREEN_PAUSE], details.plan.auto_promotion_seconds)
    return Wait()


def _timed(start: float, seconds: float | None) -> Wait:
    return Wait(TIMER, start + seconds) if seconds else Wait(PERSON)


def routes(status: RolloutStatus) -> Mapping[str, str]:
    """Return header and mirror routes, name → kind, that steps made so far; an abort removes all of them."""
    steps = (status.details or NO_DETAILS).plan.steps
    if steps is None or status.step_index is None or status.aborted or not is_updating(status):
        return {}
    active: dict[str, str] = {}
    for step in steps[: int(status.step_index)]:
        if step.kind in _ROUTE_KINDS:
            active.pop(step.route, None)
            if step.makes_route:
                active[step.route] = _ROUTE_KINDS[step.kind]
    return active


def activity(rollout: Rollout) -> Activity | None:
    """Return what an update under way spends its time on, None without one and after an abort."""
    status = rollout.observation.status
    if status is None or not status.current_hash:
        return _activity_on_controller_page(rollout)
    if status.aborted or not is_updating(status):
        return None
    if status.details is None:
        return Activity.UNKNOWN if status.pauses else Activity.PODS
    ends = wait(status).waits_for
    if ends:
        return Activity(ends)
    return _work(status, status.details)


def _work(status: RolloutStatus, details: RolloutDetails) -> Activity:
    """Return the activity of an update that no pause holds."""
    step = current_step(status)
    kind = step.kind if step is not None else ""
    running = {slot.slot for slot in details.slots if slot.phase in RUNNING_PHASES}
    if (kind == "analysis" and "step" in running) or not running.isdisjoint(_RUN_SLOTS):
        return Activity.ANALYSIS
    return {"experiment": Activity.EXPERIMENT, "plugin": Activity.PLUGIN, "analysis": Activity.ANALYSIS}.get(
        kind, Activity.PODS
    )


def _activity_on_controller_page(rollout: Rollout) -> Activity | None:
    """Return the activity as far as the controller's page alone shows it."""
    view = rollout.observation.view
    if view is None or rollout.state.update_state != "updating":
        return None
    is_working = view.phase == "Progressing" and not rollout.run_counts.get("Running")
    return Activity.PODS if is_working else Activity.UNKNOWN
