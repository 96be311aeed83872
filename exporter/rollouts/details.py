"""What rollout state shows of a rollout beyond its revisions: spec, messages, analysis, experiments, step plugins.

Only the second configuration of custom-resource state in the chart exports it. An absent field is None or "": Argo
Rollouts omits what is empty, false or 0, and kube-state-metrics omits the label then. Times are Unix seconds. This
module imports none of the package; `model` refers to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

BAD_PHASES: Final = frozenset({"Failed", "Error", "Inconclusive"})
"""Phases of a finished AnalysisRun, experiment or metric that did not succeed."""
FINISHED_BADLY: Final = frozenset({"Failed", "Error"})
"""Phases that abort an update; Inconclusive pauses it."""
RUNNING_PHASES: Final = frozenset({"", "Pending", "Running"})
"""Phases of one that is not finished; "" until the controller writes the first status."""

DEFAULT_PROGRESS_DEADLINE: Final = 600.0
"""Seconds of `progressDeadlineSeconds` where a spec has none."""

Images = Mapping[str, str]
"""Container → image, as the pod template has it."""


@dataclass(frozen=True, slots=True)
class CanaryStep:
    """A step of a canary: `kind` is its key (`setWeight`, `pause`, `analysis` …).

    `duration` (seconds) is that of a pause with one, `weight` that of a `setWeight` (0 to maxTrafficWeight). `route` is
    the name of the route that a `setHeaderRoute` or `setMirrorRoute` makes or, without `makes_route`, removes.
    """

    kind: str
    duration: float | None = None
    route: str = ""
    makes_route: bool = False
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """What a Rollout is asked to do, from its spec.

    `steps` is None if there are none, or their text cannot be parsed (users' text with unbalanced brackets).
    `auto_promotion` and `auto_promotion_seconds` are blueGreen's; both absent: it switches by itself.
    `progress_deadline` is in seconds. `workload` is the name of workloadRef.
    """

    steps: tuple[CanaryStep, ...] | None = None
    is_paused: bool = False
    auto_promotion: bool | None = None
    auto_promotion_seconds: float | None = None
    progress_deadline: float = DEFAULT_PROGRESS_DEADLINE
    progress_deadline_abort: bool = False
    workload: str = ""


@dataclass(frozen=True, slots=True)
class AnalysisSlot:
    """The AnalysisRun that a rollout looks at in a `slot`: step, background, pre or post (blueGreen's switch)."""

    slot: str
    run: str
    phase: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class MetricMeasurements:
    """What an AnalysisRun measured of one metric, and what it is measured against.

    `last_value` is text as the provider's value prints (`[0.82]`), "" after an error, when `last_message` has the
    reason. `is_dry_run`: its phase does not count.
    """

    name: str
    phase: str = ""
    message: str = ""
    is_dry_run: bool = False
    count: int = 0
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0
    last_phase: str = ""
    last_value: str = ""
    last_message: str = ""
    last_measured_at: float | None = None
    success_condition: str = ""
    failure_condition: str = ""


@dataclass(frozen=True, slots=True)
class AnalysisRunDetails:
    """An AnalysisRun of a rollout, or of one of its experiments (`experiment` is its name; such a run has no `slot`).

    `slot` is its label `rollout-type`: Step, Background, PrePromotion … `was_terminated`: it was cut short; it ends
    Successful then, whatever it measured.
    """

    name: str
    phase: str = ""
    message: str = ""
    experiment: str = ""
    slot: str = ""
    step: int | None = None
    hash: str = ""
    revision: str = ""
    was_terminated: bool = False
    started_at: float | None = None
    completed_at: float | None = None
    metrics: tuple[MetricMeasurements, ...] = ()

    @property
    def bad_metric(self) -> MetricMeasurements | None:
        """The metric that made the run bad; None if it is not bad, or for a reason of no metric."""
        worst = [metric for metric in self.metrics if metric.phase in BAD_PHASES and not metric.is_dry_run]
        # The message names it, where several are bad.
        named = [metric for metric in worst if f'"{metric.name}"' in self.message]
        same_phase = [metric for metric in worst if metric.phase == self.phase]
        return next(iter(named or same_phase or worst), None)


@dataclass(frozen=True, slots=True)
class ExperimentTemplate:
    """A template of an experiment, with what it reports of its pods."""

    name: str
    phase: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ExperimentDetails:
    """An experiment of a rollout."""

    name: str
    phase: str = ""
    message: str = ""
    hash: str = ""
    revision: str = ""
    was_terminated: bool = False
    available_at: float | None = None
    duration: str = ""
    templates: tuple[ExperimentTemplate, ...] = ()


@dataclass(frozen=True, slots=True)
class StepPluginDetails:
    """What the plugin of a step reported last; `executions` counts its calls."""

    step: int | None
    name: str
    operation: str = ""
    phase: str = ""
    message: str = ""
    executions: int = 0
    started_at: float | None = None
    updated_at: float | None = None
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class RolloutDetails:
    """What rollout state shows of a Rollout besides `RolloutStatus`.

    `revision` is the number of the newest revision, as text. `images` are of its own pod template, none with
    workloadRef. `workload_observed`: the status is about the workload's current template (True without workloadRef).
    `active_hash` and `preview_hash` are of blueGreen's Services. `paused_seconds` and `paused_since` are of pauses that
    waited for a person, since Argo Rollouts 1.11. `labels` are the object's, as kube-state-metrics spells them.
    """

    revision: str = ""
    message: str = ""
    invalid_spec: str = ""
    replica_failure: str = ""
    completed: str = ""
    progressing_reason: str = ""
    progressing_message: str = ""
    controller_pause: bool = False
    promote_full: bool = False
    experiment: str = ""
    workload_observed: bool = True
    active_hash: str = ""
    preview_hash: str = ""
    aborted_at: float | None = None
    progressed_at: float | None = None
    paused_since: float | None = None
    paused_seconds: float | None = None
    plan: RolloutPlan = field(default_factory=RolloutPlan)
    slots: tuple[AnalysisSlot, ...] = ()
    runs: tuple[AnalysisRunDetails, ...] = ()
    experiments: tuple[ExperimentDetails, ...] = ()
    plugins: tuple[StepPluginDetails, ...] = ()
    images: Images = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


NO_DETAILS: Final = RolloutDetails()
