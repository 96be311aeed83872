"""An explanation in plain words: the state and why, and who has to do what, with the command."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from exporter.durations import duration
from exporter.rollouts.details import FINISHED_BADLY, RUNNING_PHASES, MetricMeasurements
from exporter.rollouts.explain import position
from exporter.rollouts.explain.causes import ABORT_PREFIX, INCONCLUSIVE_ANALYSIS, INCONCLUSIVE_EXPERIMENT, is_up_to_date
from exporter.rollouts.explain.evidence import evidence
from exporter.rollouts.explain.model import Activity, Cause, Explanation
from exporter.rollouts.model import BLUE_GREEN, UpdateState
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.rollouts.details import RolloutDetails
    from exporter.rollouts.explain.model import RevisionImages
    from exporter.rollouts.model import Rollout, RolloutStatus

_MAX_QUOTED: Final = 200
"""Characters of users' text in a sentence: messages may have kilobytes."""
_WORDS_OF_MESSAGE: Final = {
    "more replicas need to be updated": "more pods of the new revision have to start",
    "updated replicas are still becoming available": "new pods are not available yet",
    "old replicas are pending termination": "old pods are ending",
    "waiting for all steps to complete": "the last step is ending",
    "active service cutover pending": "the switch of the active Service is pending",
    "waiting for analysis to complete": "an analysis is running",
    "waiting for post-promotion verification to complete": "the analysis after the switch is running",
    "rollout is restarting": "its pods are being restarted",
}
"""One wording in Argo Rollouts 1.6 to 1.11 (`rolloututil.CalculateRolloutStatus`)."""
_NOTHING: Final = "Nothing."
_Words = tuple[str, str]
"""Sentence and what to do."""


@dataclass(frozen=True, slots=True)
class _Situation:
    """What a sentence is about."""

    rollout: Rollout
    explanation: Explanation
    now: float

    @property
    def status(self) -> RolloutStatus | None:
        return self.rollout.observation.status

    @property
    def details(self) -> RolloutDetails:
        return self.rollout.observation.details

    @property
    def is_aborted(self) -> bool:
        view = self.rollout.observation.view
        if self.status is None or not self.status.current_hash:
            return view is not None and view.phase == "Abort"
        return self.status.aborted and is_up_to_date(self.status)

    def command(self, *words: str) -> str:
        """Return a command line about the rollout."""
        namespace, name = self.rollout.key
        return f"`kubectl argo rollouts {' '.join(words)} {name} -n {namespace}`"

    @property
    def revision(self) -> str:
        """The current revision in words, with the images that it changes."""
        number = f"revision {self.explanation.revision}" if self.explanation.revision else "the new revision"
        changed = image_changes(self.explanation.images)
        return f"{number} ({changed})" if changed else number

    @property
    def place(self) -> str:
        """Where the update stands or stopped, "" without steps."""
        step, stopped_at = self.explanation.step, self.explanation.stopped_at
        if step is None or (self.is_aborted and stopped_at is None):
            return ""
        if not self.is_aborted and step.kind == "done":
            return f" after all {step.count} steps"
        index = stopped_at if self.is_aborted and stopped_at is not None else step.index
        return f" at step {index + 1} of {step.count}"


def describe(rollout: Rollout, explanation: Explanation, now: float) -> Explanation:
    """Return the explanation with its sentence, what to do, and its evidence."""
    situation = _Situation(rollout, explanation, now)
    sentence, next_action = next(words for rule in _RULES if (words := rule(situation)) is not None)
    lines = tuple(evidence(rollout, explanation, now))
    return replace(explanation, sentence=sentence, next_action=next_action, evidence=lines)


def image_changes(images: RevisionImages | None) -> str:
    """Return the images that an update changes, without registries: `app:v1 → app:v2`."""
    if images is None:
        return ""
    pairs = [(images.stable.get(name, ""), image) for name, image in images.current.items()]
    changed = [f"{short_image(old) or 'none'} → {short_image(new)}" for old, new in pairs if old != new]
    return ", ".join(changed)


def short_image(image: str) -> str:
    """Return an image without its registry: `app:v1`."""
    return image.rpartition("/")[2]


def quoted(text: str) -> str:
    """Return users' text on one line, shortened."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_QUOTED else f"{line[: _MAX_QUOTED - 1]}…"


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S UTC")


def measured(metric: MetricMeasurements) -> str:
    """Return what was measured of a metric and what it is measured against."""
    value = metric.last_value or quoted(metric.last_message)
    if metric.success_condition:
        limit = f"has to be {metric.success_condition}"
    elif metric.failure_condition:
        limit = f"must not be {metric.failure_condition}"
    else:
        limit = ""
    text = " ".join(filter(None, (metric.name, value)))
    return ", ".join(filter(None, (text, quoted(limit))))


# The rules: each returns its words, or None if it does not apply.


def _nobody_shows_it(situation: _Situation) -> _Words | None:
    observation = situation.rollout.observation
    if observation.view is not None or observation.status is not None:
        return None
    phase = situation.rollout.state.phases.phase
    return (
        f"Unknown: no controller shows it now; it was last in phase {phase or 'unknown'}.",
        f"Look at the controllers, and at {situation.command('get', 'rollout')}.",
    )


def _invalid_spec(situation: _Situation) -> _Words | None:
    view = situation.rollout.observation.view
    is_invalid = situation.explanation.cause is Cause.INVALID_SPEC
    is_page_only = situation.explanation.cause is Cause.UNKNOWN and view is not None and view.phase == "InvalidSpec"
    if not is_invalid and not is_page_only:
        return None
    message = situation.details.invalid_spec or situation.details.message.partition(": ")[2]
    where = f": {quoted(message)}" if message else ""
    return (
        f"The spec is invalid, so that the controller does nothing{where}.",
        "Correct the spec where it is kept (Git, Helm); `kubectl argo rollouts lint -f FILE` checks a file.",
    )


def _aborted(situation: _Situation) -> _Words | None:
    if not situation.is_aborted:
        return None
    reason = _ABORT_REASONS.get(situation.explanation.cause or Cause.UNKNOWN, _unknown_abort)(situation)
    again = f"try this one again with {situation.command('retry', 'rollout')}"
    advice = f"Deploy a corrected revision, or {again}."
    if situation.explanation.cause is Cause.DEADLINE:
        advice = f"Find out why its pods are not ready ({_pods_command(situation)}), then deploy a corrected revision."
    elif situation.explanation.cause is Cause.UNKNOWN:
        advice = f"See why with {situation.command('get', 'rollout')}; then deploy a corrected revision, or {again}."
    elif situation.explanation.cause is Cause.PERSON:
        advice = f"Ask who aborted it; then deploy another revision, or {again}."
    return f"Aborted{_ago(situation)}{situation.place}: {reason}; the stable revision stays.", advice


def _ago(situation: _Situation) -> str:
    """Return how long ago the abort was."""
    phases, aborted_at = situation.rollout.state.phases, situation.details.aborted_at
    if aborted_at is None and phases.phase == "Abort":
        aborted_at = phases.started_at
    return f" {duration(situation.now - aborted_at)} ago" if aborted_at is not None else ""


def _pods_command(situation: _Situation) -> str:
    status = situation.status
    selector = f" -l rollouts-pod-template-hash={status.current_hash}" if status is not None else ""
    return f"`kubectl get pods -n {situation.rollout.key[0]}{selector}`"


def _analysis_words(situation: _Situation) -> str:
    explanation = situation.explanation
    run, metric = explanation.run, explanation.metric
    verdict = (metric.phase if metric is not None else "").lower() or "failed"
    verdict = {"error": "had errors", "inconclusive": "was inconclusive"}.get(verdict, "failed")
    values = f" ({measured(metric)})" if metric is not None else ""
    return f"analysis {run} {verdict}{values}" if run else f"an analysis {verdict}"


def _experiment_words(situation: _Situation) -> str:
    explanation = situation.explanation
    name = f"experiment {explanation.experiment}" if explanation.experiment else "an experiment"
    if explanation.run:
        return f"{name}: {_analysis_words(situation)}"
    experiments = {experiment.name: experiment.message for experiment in situation.details.experiments}
    message = experiments.get(explanation.experiment, "")
    return f"{name} failed" + (f" ({quoted(message)})" if message else "")


def _plugin_words(situation: _Situation) -> str:
    plugins = {plugin.name: plugin.message for plugin in situation.details.plugins if plugin.phase in FINISHED_BADLY}
    name = situation.explanation.plugin
    message = plugins.get(name, "")
    return f"step plugin {name} failed".replace("  ", " ") + (f" ({quoted(message)})" if message else "")


def _unknown_abort(situation: _Situation) -> str:
    if situation.status is None:
        return "by a person, or for a reason that only rollout state shows"
    text = situation.details.message.removeprefix(ABORT_PREFIX).strip()
    return f"for an unknown reason ({quoted(text)})" if text else "for an unknown reason"


_ABORT_REASONS: Final[dict[Cause, Callable[[_Situation], str]]] = {
    Cause.ANALYSIS: _analysis_words,
    Cause.EXPERIMENT: _experiment_words,
    Cause.PLUGIN: _plugin_words,
    Cause.DEADLINE: lambda situation: (
        f"the pods of {situation.revision} were not available in time{_deadline(situation)}"
    ),
    Cause.PERSON: lambda _: "by a person",
}


def _deadline(situation: _Situation) -> str:
    return f" ({duration(situation.details.plan.progress_deadline)})" if situation.details.message else ""


def _timed_out(situation: _Situation) -> _Words | None:
    if situation.explanation.cause is not Cause.DEADLINE:
        return None
    missing = f"the pods of {situation.revision} are not available{_deadline(situation)}"
    pods, abort = _pods_command(situation), situation.command("abort")
    return (
        f"Timed out{situation.place}: {missing}; it goes on waiting.",
        f"Find out why its pods are not ready ({pods}); then deploy a corrected revision, or give up with {abort}.",
    )


def _paused_by_spec(situation: _Situation) -> _Words | None:
    if not situation.explanation.paused_by:
        return None
    namespace, name = situation.rollout.key
    patch = f'`kubectl patch rollout {name} -n {namespace} --type merge -p \'{{"spec":{{"paused":false}}}}\'`'
    work = f"{situation.revision} waits" if _is_updating(situation) else "a new revision would wait"
    also = f"; besides, {_inconclusive_words(situation)}" if _is_inconclusive(situation) else ""
    return (
        f"Paused by a person, with spec.paused{situation.place}: {work}{also}.",
        f"When it may go on: {patch}, or remove spec.paused where the spec is kept.",
    )


def _is_updating(situation: _Situation) -> bool:
    return situation.status is not None and position.is_updating(situation.status)


def _is_inconclusive(situation: _Situation) -> bool:
    reasons = {pause.reason for pause in situation.explanation.pauses}
    return not reasons.isdisjoint((INCONCLUSIVE_ANALYSIS, INCONCLUSIVE_EXPERIMENT))


def _inconclusive_words(situation: _Situation) -> str:
    words = _experiment_words if situation.explanation.cause is Cause.EXPERIMENT else _analysis_words
    return words(situation)


def _paused(situation: _Situation) -> _Words | None:
    pauses = situation.explanation.pauses
    if not pauses:
        return None
    age = duration(situation.now - min(pause.since for pause in pauses))
    where = situation.place
    if not where and situation.rollout.state.strategy == BLUE_GREEN:
        is_switched = situation.status is not None and situation.details.active_hash == situation.status.current_hash
        where = f" {'after' if is_switched else 'before'} the switch to {situation.revision}"
    end, advice = _end_of_pause(situation)
    return f"Paused for {age}{where}{end}.", advice


def _end_of_pause(situation: _Situation) -> _Words:
    """Return who ends a pause, and what to do."""
    promote, abort = situation.command("promote"), situation.command("abort")
    until = situation.explanation.until
    if _is_inconclusive(situation):
        reason = _inconclusive_words(situation)
        advice = f"Judge it yourself: {_going_on(situation)}, {abort} gives up."
        return f": waiting for a person, since {reason}", advice
    if situation.explanation.waits_for == position.PERSON:
        return ": waiting for a person", f"Check {situation.revision}; {promote} goes on, {abort} gives up."
    if until is not None:
        rest = duration(until - situation.now)
        end = f": it goes on by itself in {rest} ({_clock(until)})"
        return end, f"Nothing; {promote} goes on at once, {abort} gives up."
    return "", f"See {situation.command('get', 'rollout')}."


def _going_on(situation: _Situation) -> str:
    """Return how an update goes on after an inconclusive analysis: `promote` alone repeats some of them."""
    promote = situation.command("promote")
    if situation.explanation.cause is Cause.EXPERIMENT:
        return f"{situation.command('promote', '--skip-current-step')} goes on, {promote} repeats the experiment"
    if situation.rollout.state.strategy == BLUE_GREEN:
        return f"{situation.command('promote', '--full')} goes on, {promote} repeats the analysis"
    return f"{promote} goes on"


def _updating(situation: _Situation) -> _Words | None:
    activity = situation.explanation.activity
    if activity is None or (activity is Activity.UNKNOWN and situation.status is None):
        return None
    work = _WORK[activity](situation) if activity in _WORK else ""
    place = f"{_since_start(situation)}{situation.place}"
    if situation.details.replica_failure:
        return (
            f"Updating to {situation.revision}{place}: pods are refused: {quoted(situation.details.replica_failure)}.",
            f"Lift what refuses the pods (quota, admission), or give up with {situation.command('abort')}.",
        )
    return f"Updating to {situation.revision}{place}{work}.", f"Nothing; {situation.command('abort')} gives up."


def _since_start(situation: _Situation) -> str:
    update = situation.rollout.state.update
    if update is None or update.started_at is None:
        return ""
    return f" for {duration(situation.now - update.started_at)}"


def _pods_words(situation: _Situation) -> str:
    words = _WORDS_OF_MESSAGE.get(situation.details.message, "")
    view = situation.rollout.observation.view
    replicas = view.replicas if view is not None else None
    counts = (
        f"{replicas.updated:g} new, {replicas.available:g} of {replicas.total:g} pods available" if replicas else ""
    )
    text = ", ".join(filter(None, (words, counts)))
    return f": {text}" if text else ""


def _running_analysis_words(situation: _Situation) -> str:
    running = next((slot.run for slot in situation.details.slots if slot.phase in RUNNING_PHASES), "")
    return f": waiting for analysis {running}" if running else ": waiting for an analysis"


def _running_plugin_words(situation: _Situation) -> str:
    step = situation.explanation.step
    plugins = [plugin for plugin in situation.details.plugins if step is not None and plugin.step == step.index]
    if not plugins:
        return ": waiting for a step plugin"
    plugin = plugins[-1]
    state = "" if plugin.phase == "Running" else f", phase {plugin.phase}"
    message = f" ({quoted(plugin.message)})" if plugin.message else ""
    return f": waiting for step plugin {plugin.name}{state}{message}"


_WORK: Final[dict[Activity, Callable[[_Situation], str]]] = {
    Activity.PODS: _pods_words,
    Activity.ANALYSIS: _running_analysis_words,
    Activity.EXPERIMENT: lambda situation: f": waiting for experiment {situation.details.experiment}".rstrip(),
    Activity.PLUGIN: _running_plugin_words,
}


def _by_phase(situation: _Situation) -> _Words | None:
    """Describe an update by the controller's page alone."""
    view, state = situation.rollout.observation.view, situation.rollout.state
    if view is None or situation.status is not None or state.update_state is not UpdateState.UPDATING:
        return None
    age = duration(situation.now - state.phases.started_at)
    if view.phase == "Paused":
        return (
            f"Paused for {age}: for a person, a timer or an analysis; only rollout state shows which.",
            f"See {situation.command('get', 'rollout')}; {situation.command('promote')} goes on.",
        )
    return f"Updating, phase {view.phase} for {age}.", f"Nothing; {situation.command('abort')} gives up."


def _settled(situation: _Situation) -> _Words:
    status, view = situation.status, situation.rollout.observation.view
    revision = f"revision {situation.explanation.revision}" if situation.explanation.revision else "one revision"
    images = situation.explanation.images
    names = ", ".join(map(short_image, images.current.values())) if images is not None else ""
    running = f"{revision} ({names})" if names else revision
    if status is not None and status.current_hash and not is_up_to_date(status):
        return (
            "The spec has changed; the controller has not taken it up yet.",
            "Nothing, unless this lasts for minutes.",
        )
    if status is not None and status.health == "Degraded":
        message = f": {quoted(situation.details.message)}" if situation.details.message else ""
        return f"Degraded{message}.", f"See {situation.command('get', 'rollout')}."
    if status is not None and status.health == "Progressing":
        words = _WORDS_OF_MESSAGE.get(situation.details.message, "")
        return f"No update is under way: {running}" + (f"; {words}." if words else "."), _NOTHING
    phase = status.health if status is not None else view.phase if view is not None else ""
    if situation.rollout.state.update_state is UpdateState.UNKNOWN and status is None:
        return f"Phase {phase or 'unknown'}; whether an update is under way is not known.", (
            f"See {situation.command('get', 'rollout')}."
        )
    return f"{'Healthy' if phase in ('Healthy', 'Completed') else phase or 'Unknown'}: {running} runs alone.", _NOTHING


_RULES: Final[tuple[Callable[[_Situation], _Words | None], ...]] = (
    _nobody_shows_it,
    _invalid_spec,
    _aborted,
    _timed_out,
    _paused_by_spec,
    _paused,
    _updating,
    _by_phase,
    _settled,
)
"""In order of what a person has to know first; the last one always applies."""
