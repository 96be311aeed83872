"""An explanation in plain words: the state and why, and who has to do what, with the command."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from exporter.rollouts.details import NO_DETAILS, RUNNING_PHASES, MetricMeasurements
from exporter.rollouts.explain import position
from exporter.rollouts.explain.causes import ABORT_PREFIX, INCONCLUSIVE_ANALYSIS, INCONCLUSIVE_EXPERIMENT, is_up_to_date
from exporter.rollouts.explain.evidence import evidence
from exporter.rollouts.explain.model import Activity, Cause, Explanation
from exporter.rollouts.model import BLUE_GREEN, UpdateState

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
_MINUTE: Final = 60
_HOURS_IN_WORDS: Final = 48
_Words = tuple[str, str]
"""Sentence and what to do."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """What a sentence is about."""

    rollout: Rollout
    explanation: Explanation
    now: float

    @property
    def status(self) -> RolloutStatus | None:
        return self.rollout.observation.status

    @property
    def details(self) -> RolloutDetails:
        status = self.status
        return (status.details if status is not None else None) or NO_DETAILS

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
    subject = _Subject(rollout, explanation, now)
    sentence, next_action = next(words for rule in _RULES if (words := rule(subject)) is not None)
    lines = tuple(evidence(rollout, explanation, now))
    return replace(explanation, sentence=sentence, next_action=next_action, evidence=lines)


def image_changes(images: RevisionImages | None) -> str:
    """Return the images that an update changes, without registries: `app:v1 → app:v2`."""
    if images is None:
        return ""
    pairs = [(images.stable.get(name, ""), image) for name, image in images.current.items()]
    changed = [f"{_short(old) or 'none'} → {_short(new)}" for old, new in pairs if old != new]
    return ", ".join(changed)


def _short(image: str) -> str:
    return image.rpartition("/")[2]


def duration(seconds: float) -> str:
    """Return a duration in words: `40 s`, `7 min`, `3 h 20 min`, `2 d`."""
    seconds = max(seconds, 0.0)
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(int(seconds) // _MINUTE, _MINUTE)
    if not hours:
        return f"{minutes} min"
    if hours < _HOURS_IN_WORDS:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d"


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


def _nobody_shows_it(subject: _Subject) -> _Words | None:
    observation = subject.rollout.observation
    if observation.view is not None or observation.status is not None:
        return None
    phase = subject.rollout.state.phases.phase
    return (
        f"Unknown: no controller shows it now; it was last in phase {phase or 'unknown'}.",
        f"Look at the controllers, and at {subject.command('get', 'rollout')}.",
    )


def _invalid_spec(subject: _Subject) -> _Words | None:
    view = subject.rollout.observation.view
    is_invalid = subject.explanation.cause is Cause.INVALID_SPEC
    is_page_only = subject.explanation.cause is Cause.UNKNOWN and view is not None and view.phase == "InvalidSpec"
    if not is_invalid and not is_page_only:
        return None
    message = subject.details.invalid_spec or subject.details.message.partition(": ")[2]
    where = f": {quoted(message)}" if message else ""
    return (
        f"The spec is invalid, so that the controller does nothing{where}.",
        "Correct the spec where it is kept (Git, Helm); `kubectl argo rollouts lint -f FILE` checks a file.",
    )


def _aborted(subject: _Subject) -> _Words | None:
    if not subject.is_aborted:
        return None
    reason = _ABORT_REASONS.get(subject.explanation.cause or Cause.UNKNOWN, _unknown_abort)(subject)
    again = f"try this one again with {subject.command('retry', 'rollout')}"
    advice = f"Deploy a corrected revision, or {again}."
    if subject.explanation.cause is Cause.DEADLINE:
        advice = f"Find out why its pods are not ready ({_pods_command(subject)}), then deploy a corrected revision."
    elif subject.explanation.cause is Cause.UNKNOWN:
        advice = f"See why with {subject.command('get', 'rollout')}; then deploy a corrected revision, or {again}."
    elif subject.explanation.cause is Cause.PERSON:
        advice = f"Ask who aborted it; then deploy another revision, or {again}."
    return f"Aborted{_ago(subject)}{subject.place}: {reason}; the stable revision stays.", advice


def _ago(subject: _Subject) -> str:
    """Return how long ago the abort was."""
    phases, aborted_at = subject.rollout.state.phases, subject.details.aborted_at
    if aborted_at is None and phases.phase == "Abort":
        aborted_at = phases.started_at
    return f" {duration(subject.now - aborted_at)} ago" if aborted_at is not None else ""


def _pods_command(subject: _Subject) -> str:
    status = subject.status
    selector = f" -l rollouts-pod-template-hash={status.current_hash}" if status is not None else ""
    return f"`kubectl get pods -n {subject.rollout.key[0]}{selector}`"


def _analysis_words(subject: _Subject) -> str:
    explanation = subject.explanation
    run, metric = explanation.run, explanation.metric
    verdict = (metric.phase if metric is not None else "").lower() or "failed"
    verdict = {"error": "had errors", "inconclusive": "was inconclusive"}.get(verdict, "failed")
    values = f" ({measured(metric)})" if metric is not None else ""
    return f"analysis {run} {verdict}{values}" if run else f"an analysis {verdict}"


def _experiment_words(subject: _Subject) -> str:
    explanation = subject.explanation
    name = f"experiment {explanation.experiment}" if explanation.experiment else "an experiment"
    if explanation.run:
        return f"{name}: {_analysis_words(subject)}"
    experiments = {experiment.name: experiment.message for experiment in subject.details.experiments}
    message = experiments.get(explanation.experiment, "")
    return f"{name} failed" + (f" ({quoted(message)})" if message else "")


def _plugin_words(subject: _Subject) -> str:
    plugins = {plugin.name: plugin.message for plugin in subject.details.plugins if plugin.phase in ("Failed", "Error")}
    name = subject.explanation.plugin
    message = plugins.get(name, "")
    return f"step plugin {name} failed".replace("  ", " ") + (f" ({quoted(message)})" if message else "")


def _unknown_abort(subject: _Subject) -> str:
    if subject.status is None:
        return "by a person, or for a reason that only rollout state shows"
    text = subject.details.message.removeprefix(ABORT_PREFIX).strip()
    return f"for an unknown reason ({quoted(text)})" if text else "for an unknown reason"


_ABORT_REASONS: Final[dict[Cause, Callable[[_Subject], str]]] = {
    Cause.ANALYSIS: _analysis_words,
    Cause.EXPERIMENT: _experiment_words,
    Cause.PLUGIN: _plugin_words,
    Cause.DEADLINE: lambda subject: f"the pods of {subject.revision} were not available in time{_deadline(subject)}",
    Cause.PERSON: lambda _: "by a person",
}


def _deadline(subject: _Subject) -> str:
    return f" ({duration(subject.details.plan.progress_deadline)})" if subject.details.message else ""


def _timed_out(subject: _Subject) -> _Words | None:
    if subject.explanation.cause is not Cause.DEADLINE:
        return None
    missing = f"the pods of {subject.revision} are not available{_deadline(subject)}"
    pods, abort = _pods_command(subject), subject.command("abort")
    return (
        f"Timed out{subject.place}: {missing}; it goes on waiting.",
        f"Find out why its pods are not ready ({pods}); then deploy a corrected revision, or give up with {abort}.",
    )


def _paused_by_spec(subject: _Subject) -> _Words | None:
    if not subject.explanation.paused_by:
        return None
    namespace, name = subject.rollout.key
    patch = f'`kubectl patch rollout {name} -n {namespace} --type merge -p \'{{"spec":{{"paused":false}}}}\'`'
    work = f"{subject.revision} waits" if _is_updating(subject) else "a new revision would wait"
    also = f"; besides, {_inconclusive_words(subject)}" if _is_inconclusive(subject) else ""
    return (
        f"Paused by a person, with spec.paused{subject.place}: {work}{also}.",
        f"When it may go on: {patch}, or remove spec.paused where the spec is kept.",
    )


def _is_updating(subject: _Subject) -> bool:
    return subject.status is not None and position.is_updating(subject.status)


def _is_inconclusive(subject: _Subject) -> bool:
    reasons = {pause.reason for pause in subject.explanation.pauses}
    return not reasons.isdisjoint((INCONCLUSIVE_ANALYSIS, INCONCLUSIVE_EXPERIMENT))


def _inconclusive_words(subject: _Subject) -> str:
    words = _experiment_words if subject.explanation.cause is Cause.EXPERIMENT else _analysis_words
    return words(subject)


def _paused(subject: _Subject) -> _Words | None:
    pauses = subject.explanation.pauses
    if not pauses:
        return None
    age = duration(subject.now - min(pause.since for pause in pauses))
    where = subject.place
    if not where and subject.rollout.state.strategy == BLUE_GREEN:
        is_switched = subject.status is not None and subject.details.active_hash == subject.status.current_hash
        where = f" {'after' if is_switched else 'before'} the switch to {subject.revision}"
    if _is_inconclusive(subject):
        return (
            f"Paused for {age}{where}: waiting for a person, since {_inconclusive_words(subject)}.",
            f"Judge it yourself: {_going_on(subject)}, {subject.command('abort')} gives up.",
        )
    if subject.explanation.waits_for == position.PERSON:
        return (
            f"Paused for {age}{where}: waiting for a person.",
            f"Check {subject.revision}; {subject.command('promote')} goes on, {subject.command('abort')} gives up.",
        )
    if subject.explanation.until is not None:
        rest = duration(subject.explanation.until - subject.now)
        return (
            f"Paused for {age}{where}: it goes on by itself in {rest} ({_clock(subject.explanation.until)}).",
            f"Nothing; {subject.command('promote')} goes on at once, {subject.command('abort')} gives up.",
        )
    return f"Paused for {age}{where}.", f"See {subject.command('get', 'rollout')}."


def _going_on(subject: _Subject) -> str:
    """Return how an update goes on after an inconclusive analysis: `promote` alone repeats some of them."""
    promote = subject.command("promote")
    if subject.explanation.cause is Cause.EXPERIMENT:
        return f"{subject.command('promote', '--skip-current-step')} goes on, {promote} repeats the experiment"
    if subject.rollout.state.strategy == BLUE_GREEN:
        return f"{subject.command('promote', '--full')} goes on, {promote} repeats the analysis"
    return f"{promote} goes on"


def _updating(subject: _Subject) -> _Words | None:
    activity = subject.explanation.activity
    if activity is None or (activity is Activity.UNKNOWN and subject.status is None):
        return None
    work = _WORK[activity](subject) if activity in _WORK else ""
    place = f"{_since_start(subject)}{subject.place}"
    if subject.details.replica_failure:
        return (
            f"Updating to {subject.revision}{place}: pods are refused: {quoted(subject.details.replica_failure)}.",
            f"Lift what refuses the pods (quota, admission), or give up with {subject.command('abort')}.",
        )
    return f"Updating to {subject.revision}{place}{work}.", f"Nothing; {subject.command('abort')} gives up."


def _since_start(subject: _Subject) -> str:
    update = subject.rollout.state.update
    if update is None or update.started_at is None:
        return ""
    return f" for {duration(subject.now - update.started_at)}"


def _pods_words(subject: _Subject) -> str:
    words = _WORDS_OF_MESSAGE.get(subject.details.message, "")
    view = subject.rollout.observation.view
    replicas = view.replicas if view is not None else None
    counts = (
        f"{replicas.updated:g} new, {replicas.available:g} of {replicas.total:g} pods available" if replicas else ""
    )
    text = ", ".join(filter(None, (words, counts)))
    return f": {text}" if text else ""


def _running_analysis_words(subject: _Subject) -> str:
    running = next((slot.run for slot in subject.details.slots if slot.phase in RUNNING_PHASES), "")
    return f": waiting for analysis {running}" if running else ": waiting for an analysis"


def _running_plugin_words(subject: _Subject) -> str:
    step = subject.explanation.step
    plugins = [plugin for plugin in subject.details.plugins if step is not None and plugin.step == step.index]
    if not plugins:
        return ": waiting for a step plugin"
    plugin = plugins[-1]
    state = "" if plugin.phase == "Running" else f", phase {plugin.phase}"
    message = f" ({quoted(plugin.message)})" if plugin.message else ""
    return f": waiting for step plugin {plugin.name}{state}{message}"


_WORK: Final[dict[Activity, Callable[[_Subject], str]]] = {
    Activity.PODS: _pods_words,
    Activity.ANALYSIS: _running_analysis_words,
    Activity.EXPERIMENT: lambda subject: f": waiting for experiment {subject.details.experiment}".rstrip(),
    Activity.PLUGIN: _running_plugin_words,
}


def _by_phase(subject: _Subject) -> _Words | None:
    """Describe an update by the controller's page alone."""
    view, state = subject.rollout.observation.view, subject.rollout.state
    if view is None or subject.status is not None or state.update_state is not UpdateState.UPDATING:
        return None
    age = duration(subject.now - state.phases.started_at)
    if view.phase == "Paused":
        return (
            f"Paused for {age}: for a person, a timer or an analysis; only rollout state shows which.",
            f"See {subject.command('get', 'rollout')}; {subject.command('promote')} goes on.",
        )
    return f"Updating, phase {view.phase} for {age}.", f"Nothing; {subject.command('abort')} gives up."


def _settled(subject: _Subject) -> _Words:
    status, view = subject.status, subject.rollout.observation.view
    revision = f"revision {subject.explanation.revision}" if subject.explanation.revision else "one revision"
    images = subject.explanation.images
    names = ", ".join(map(_short, images.current.values())) if images is not None else ""
    running = f"{revision} ({names})" if names else revision
    if status is not None and status.current_hash and not is_up_to_date(status):
        return (
            "The spec has changed; the controller has not taken it up yet.",
            "Nothing, unless this lasts for minutes.",
        )
    if status is not None and status.health == "Degraded":
        message = f": {quoted(subject.details.message)}" if subject.details.message else ""
        return f"Degraded{message}.", f"See {subject.command('get', 'rollout')}."
    if status is not None and status.health == "Progressing":
        words = _WORDS_OF_MESSAGE.get(subject.details.message, "")
        return f"No update is under way: {running}" + (f"; {words}." if words else "."), _NOTHING
    phase = status.health if status is not None else view.phase if view is not None else ""
    if subject.rollout.state.update_state is UpdateState.UNKNOWN and status is None:
        return f"Phase {phase or 'unknown'}; whether an update is under way is not known.", (
            f"See {subject.command('get', 'rollout')}."
        )
    return f"{'Healthy' if phase in ('Healthy', 'Completed') else phase or 'Unknown'}: {running} runs alone.", _NOTHING


_RULES: Final[tuple[Callable[[_Subject], _Words | None], ...]] = (
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
