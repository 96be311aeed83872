"""The sentences of transitions that the explanation of a rollout does not hold: they are about what is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.durations import duration as duration_text
from exporter.rollouts.events.model import TransitionType
from exporter.rollouts.explain.sentences import quoted

if TYPE_CHECKING:
    from exporter.rollouts.details import AnalysisRunDetails
    from exporter.rollouts.model import ControllerProcess, Rollout

_ENDINGS = {
    TransitionType.UPDATE_STARTED: "{name} started",
    TransitionType.ABORTED: "{name} was aborted{after}",
    TransitionType.PROMOTED: "{name} was promoted{after}",
    TransitionType.ROLLED_BACK: "{name} was given up{after}: the stable revision is the current one again",
    TransitionType.RECOVERED: "{name} is degraded no longer{after}",
    TransitionType.SUPERSEDED: "{name} was replaced by a new one{after}",
    TransitionType.RETRIED: "{name} is retried",
    TransitionType.DEGRADED: "{name} is degraded",
    TransitionType.STEP_REACHED: "{name} reached its next step",
    TransitionType.PAUSED: "{name} is paused",
    TransitionType.RESUMED: "{name} goes on{after}",
    TransitionType.DELETED: "the rollout was deleted",
}


def plain_sentence(kind: TransitionType, revision: str, duration: float | None = None) -> str:
    """Return what happened to a revision ("" if its number is unknown)."""
    after = f" after {duration_text(duration)}" if duration is not None else ""
    text = _ENDINGS[kind].format(name=f"revision {revision}" if revision else "a revision", after=after)
    return text[0].upper() + text[1:]


def run_sentence(rollout: Rollout, name: str, phase: str) -> str:
    """Return what happened to an AnalysisRun: it started (phase ""), or it ended in a phase."""
    details = run_details(rollout, name)
    if not phase:
        return f"Analysis {name} started"
    if details is not None and details.was_terminated:
        return f"Analysis {name} was cut short"
    ending = {"Successful": "succeeded", "Failed": "failed", "Inconclusive": "was inconclusive"}
    message = f": {quoted(details.message)}" if details is not None and details.message else ""
    return f"Analysis {name} {ending.get(phase, 'ended with an error')}{message}"


def run_details(rollout: Rollout, name: str) -> AnalysisRunDetails | None:
    """Return what rollout state shows of an AnalysisRun."""
    return next((run for run in rollout.observation.details.runs if run.name == name), None)


def leader_sentence(process: ControllerProcess, former: str) -> str:
    """Return which controller leads now; `former` are the addresses of those that led before."""
    if process.target == former:
        return f"{process.target} leads again, after a restart"
    return f"{process.target} leads, instead of {former}"
