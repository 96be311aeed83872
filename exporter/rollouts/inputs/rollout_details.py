"""Pages of the chart's second custom-resource state → the `RolloutDetails` of each rollout.

Its families are those of `charts/rollouts-exporter/sidecar/rollout-state.yaml` that the first configuration did not
have; a page of the first one has no details. Texts and numbers are labels: a label is absent where its field is empty.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Final

from exporter.incremental import FamilyParts, FamilyView, OneToManyIndex
from exporter.rollouts.details import (
    DEFAULT_PROGRESS_DEADLINE,
    AnalysisRunDetails,
    AnalysisSlot,
    ExperimentDetails,
    ExperimentTemplate,
    MetricMeasurements,
    RolloutDetails,
    RolloutPlan,
    StepPluginDetails,
)
from exporter.rollouts.inputs.go_steps import parse_steps
from exporter.rollouts.inputs.kube_state_metrics import exposed_label
from exporter.rollouts.model import RolloutKey, rollout_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.metrics import ScrapeResult

_PREFIX: Final = "kube_customresource_"
REQUIRED_FAMILIES: Final = frozenset(
    _PREFIX + name
    for name in (
        "rollout_status_info", "rollout_spec_info", "rollout_analysis_info", "rollout_step_plugin_info",
        "rollout_container_info", "rollout_labels", "rollout_aborted_at", "rollout_progressed_at", "rollout_duration",
        "analysis_run_status_info", "analysis_run_result_info", "analysis_run_metric_info", "experiment_status_info",
        "experiment_template_info",
    )
)  # fmt: skip # a table
_SLOTS: Final = ("step", "background", "pre", "post")
_NEW_LABELS: Final = ("revision", "message", "completed", "progressing_reason", "invalid_spec", "controller_pause")
"""Labels of `rollout_status_info` of which each rollout has one at least, and the first configuration had none."""
_DURATION_FIELDS: Final = {
    "manualPauseStartedAt": "paused_since",
    "totalManualPauseDurationSeconds": "paused_seconds",
}
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_ObjectKey = tuple[str, str]
"""Namespace and name of an AnalysisRun or Experiment."""
_Owner = tuple[str, str]
"""Kind and name."""


class RolloutDetailsReader:
    """Reads pages of custom-resource state; builds the details only of rollouts whose samples changed."""

    def __init__(self) -> None:
        self._infos = FamilyView(_PREFIX + "rollout_status_info", _status_info)
        self._plans = FamilyView(_PREFIX + "rollout_spec_info", _plan)
        self._slots = FamilyView(_PREFIX + "rollout_analysis_info", _slots)
        self._plugins = FamilyParts(_PREFIX + "rollout_step_plugin_info", _plugin)
        self._containers = FamilyParts(_PREFIX + "rollout_container_info", _container)
        self._labels = FamilyView(_PREFIX + "rollout_labels", _labels)
        self._times = FamilyView(_PREFIX + "rollout_duration", partial(finite_duration, _DURATION_FIELDS))
        self._aborted_at = FamilyView(_PREFIX + "rollout_aborted_at", finite_gauge)
        self._progressed_at = FamilyView(_PREFIX + "rollout_progressed_at", finite_gauge)
        self._runs = FamilyView(_PREFIX + "analysis_run_status_info", _run)
        self._results = FamilyParts(_PREFIX + "analysis_run_result_info", _result)
        self._conditions = FamilyView(_PREFIX + "analysis_run_metric_info", _conditions)
        self._experiments = FamilyView(_PREFIX + "experiment_status_info", _experiment)
        self._templates = FamilyParts(_PREFIX + "experiment_template_info", _template)
        self._runs_of: OneToManyIndex[RolloutKey, _ObjectKey] = OneToManyIndex()
        self._runs_of_experiment: OneToManyIndex[_ObjectKey, _ObjectKey] = OneToManyIndex()
        self._experiments_of: OneToManyIndex[RolloutKey, _ObjectKey] = OneToManyIndex()

    def follow(self, results: Sequence[ScrapeResult]) -> set[RolloutKey]:
        """Follow the pages; return the rollouts whose details may have changed."""
        changed = self._infos.follow(results) | self._plans.follow(results) | self._slots.follow(results)
        changed |= self._labels.follow(results) | self._aborted_at.follow(results) | self._progressed_at.follow(results)
        changed |= {key for key, _ in self._times.follow(results)}
        changed |= self._plugins.follow(results) | self._containers.follow(results)
        return changed | self._follow_objects(results)

    def details(self, key: RolloutKey) -> RolloutDetails | None:
        """Return the details of a rollout, None if the pages show none."""
        labelled = self._infos.values.get(key)
        if labelled is None:
            return None
        runs = sorted((self._built_run(run) for run in self._runs_of.children(key)), key=_age_order)
        return replace(
            labelled,
            aborted_at=self._aborted_at.values.get(key),
            progressed_at=self._progressed_at.values.get(key),
            paused_since=self._times.values.get((key, "paused_since")),
            paused_seconds=self._times.values.get((key, "paused_seconds")),
            plan=self._plans.values.get(key, RolloutPlan()),
            slots=self._slots.values.get(key, ()),
            runs=tuple(runs),
            experiments=tuple(self._built_experiment(name) for name in sorted(self._experiments_of.children(key))),
            plugins=tuple(self._plugins.parts(key).values()),
            labels=self._labels.values.get(key, {}),
            images=self._containers.parts(key),
        )

    def _follow_objects(self, results: Sequence[ScrapeResult]) -> set[RolloutKey]:
        """Follow AnalysisRuns and Experiments; return the rollouts that own or owned a changed one."""
        experiments = self._experiments.follow(results) | self._templates.follow(results)
        runs = self._runs.follow(results) | self._results.follow(results)
        runs |= {run for run, _ in self._conditions.follow(results)}
        for experiment in experiments:
            runs.update(self._runs_of_experiment.children(experiment))
        changed = {self._experiments_of.parents.get(experiment) for experiment in experiments}
        changed |= {self._runs_of.parents.get(run) for run in runs}
        for experiment in experiments:
            self._experiments_of.put(experiment, self._owner_of_experiment(experiment))
        for run in runs:
            experiment_owner = self._owning_experiment(run)
            self._runs_of_experiment.put(run, experiment_owner)
            self._runs_of.put(run, self._owner_of_run(run, experiment_owner))
        changed |= {self._experiments_of.parents.get(experiment) for experiment in experiments}
        changed |= {self._runs_of.parents.get(run) for run in runs}
        return {key for key in changed if key is not None}

    def _owner_of_experiment(self, experiment: _ObjectKey) -> RolloutKey | None:
        (kind, name), _ = self._experiments.values.get(experiment, (("", ""), None))
        return (experiment[0], name) if kind == "Rollout" else None

    def _owning_experiment(self, run: _ObjectKey) -> _ObjectKey | None:
        (kind, name), _ = self._runs.values.get(run, (("", ""), None))
        return (run[0], name) if kind == "Experiment" else None

    def _owner_of_run(self, run: _ObjectKey, experiment: _ObjectKey | None) -> RolloutKey | None:
        if experiment is not None:
            return self._owner_of_experiment(experiment)
        (kind, name), _ = self._runs.values.get(run, (("", ""), None))
        return (run[0], name) if kind == "Rollout" else None

    def _built_run(self, key: _ObjectKey) -> AnalysisRunDetails:
        _, run = self._runs.values[key]
        metrics = [self._built_metric(key, metric) for metric in self._results.parts(key).values()]
        return replace(run, metrics=tuple(metrics))

    def _built_metric(self, run: _ObjectKey, metric: MetricMeasurements) -> MetricMeasurements:
        success, failure = self._conditions.values.get((run, metric.name), ("", ""))
        return replace(metric, success_condition=success, failure_condition=failure)

    def _built_experiment(self, key: _ObjectKey) -> ExperimentDetails:
        _, experiment = self._experiments.values[key]
        return replace(experiment, templates=tuple(self._templates.parts(key).values()))


def _age_order(run: AnalysisRunDetails) -> tuple[float, str]:
    return run.started_at or 0.0, run.name


def finite_gauge(labels: Mapping[str, str], value: float) -> tuple[RolloutKey, float] | None:
    """Return the value of a rollout's gauge; one that is no number counts as absent, as on a controller's page."""
    return (rollout_key(labels), value) if isfinite(value) else None


def finite_duration(
    fields: Mapping[str, str], labels: Mapping[str, str], value: float
) -> tuple[tuple[RolloutKey, str], float] | None:
    """Return the value of a field of `status.duration` by its name here, None for a field that is not in `fields`."""
    name = fields.get(labels.get("field", ""))
    return ((rollout_key(labels), name), value) if name is not None and isfinite(value) else None


def _status_info(labels: Mapping[str, str], _: float) -> tuple[RolloutKey, RolloutDetails] | None:
    if not any(labels.get(name) for name in _NEW_LABELS):
        return None
    generations = [labels.get(f"workload_{name}", "") for name in ("generation", "observed_generation")]
    return rollout_key(labels), RolloutDetails(
        revision=_integer_text(labels.get("revision", "")),
        message=labels.get("message", ""),
        invalid_spec=labels.get("invalid_spec", ""),
        replica_failure=labels.get("replica_failure", ""),
        completed=labels.get("completed", ""),
        progressing_reason=labels.get("progressing_reason", ""),
        progressing_message=labels.get("progressing_message", ""),
        controller_pause=_flag(labels, "controller_pause"),
        promote_full=_flag(labels, "promote_full"),
        experiment=labels.get("experiment", ""),
        workload_observed=len(set(map(_integer_text, generations))) == 1,
        active_hash=labels.get("active_hash", ""),
        preview_hash=labels.get("preview_hash", ""),
    )


def _plan(labels: Mapping[str, str], _: float) -> tuple[RolloutKey, RolloutPlan]:
    promotes, deadline = labels.get("auto_promotion", ""), _number(labels, "progress_deadline_seconds")
    return rollout_key(labels), RolloutPlan(
        steps=parse_steps(labels.get("steps", "")),
        is_paused=_flag(labels, "paused"),
        auto_promotion=_flag(labels, "auto_promotion") if promotes else None,
        auto_promotion_seconds=_number(labels, "auto_promotion_seconds"),
        progress_deadline=DEFAULT_PROGRESS_DEADLINE if deadline is None else deadline,
        progress_deadline_abort=_flag(labels, "progress_deadline_abort"),
        workload=labels.get("workload", ""),
    )


def _slots(labels: Mapping[str, str], _: float) -> tuple[RolloutKey, tuple[AnalysisSlot, ...]]:
    slots = (
        AnalysisSlot(slot, labels[f"{slot}_run"], labels.get(f"{slot}_phase", ""), labels.get(f"{slot}_message", ""))
        for slot in _SLOTS
        if labels.get(f"{slot}_run")
    )
    return rollout_key(labels), tuple(slots)


def _plugin(labels: Mapping[str, str], _: float) -> tuple[tuple[RolloutKey, str], StepPluginDetails]:
    plugin = StepPluginDetails(
        step=_integer(labels, "step"),
        name=labels.get("plugin", ""),
        operation=labels.get("operation", ""),
        phase=labels.get("phase", ""),
        message=labels.get("message", ""),
        executions=_count(labels, "executions"),
        started_at=_timestamp(labels, "started_at"),
        updated_at=_timestamp(labels, "updated_at"),
        finished_at=_timestamp(labels, "finished_at"),
    )
    return (rollout_key(labels), f"{plugin.step} {plugin.name} {plugin.operation}"), plugin


def _container(labels: Mapping[str, str], _: float) -> tuple[tuple[RolloutKey, str], str]:
    return (rollout_key(labels), labels.get("container", "")), labels.get("image", "")


def _labels(labels: Mapping[str, str], _: float) -> tuple[RolloutKey, dict[str, str]]:
    # Custom-resource state copies keys as they are; all other families of kube-state-metrics have them in snake_case.
    return rollout_key(labels), {
        exposed_label(name): text for name, text in labels.items() if name.startswith("label_")
    }


def _run(labels: Mapping[str, str], _: float) -> tuple[_ObjectKey, tuple[_Owner, AnalysisRunDetails]]:
    kind, owner = labels.get("owner_kind", ""), labels.get("owner", "")
    return rollout_key(labels), (
        (kind, owner),
        AnalysisRunDetails(
            name=labels.get("name", ""),
            phase=labels.get("phase", ""),
            message=labels.get("message", ""),
            experiment=owner if kind == "Experiment" else "",
            slot=labels.get("type", ""),
            step=_integer(labels, "step"),
            hash=labels.get("pod_template_hash", ""),
            revision=_integer_text(labels.get("revision", "")),
            was_terminated=_flag(labels, "terminate"),
            started_at=_timestamp(labels, "started_at"),
            completed_at=_timestamp(labels, "completed_at"),
        ),
    )


def _result(labels: Mapping[str, str], _: float) -> tuple[tuple[_ObjectKey, str], MetricMeasurements]:
    metric = MetricMeasurements(
        name=labels.get("metric", ""),
        phase=labels.get("phase", ""),
        message=labels.get("message", ""),
        is_dry_run=_flag(labels, "dry_run"),
        count=_count(labels, "count"),
        successful=_count(labels, "successful"),
        failed=_count(labels, "failed"),
        inconclusive=_count(labels, "inconclusive"),
        error=_count(labels, "error"),
        last_phase=labels.get("last_phase", ""),
        last_value=labels.get("last_value", ""),
        last_message=labels.get("last_message", ""),
        last_measured_at=_timestamp(labels, "last_at"),
    )
    return (rollout_key(labels), metric.name), metric


def _conditions(labels: Mapping[str, str], _: float) -> tuple[tuple[_ObjectKey, str], tuple[str, str]]:
    """Return the conditions for success and failure of a metric."""
    conditions = labels.get("success_condition", ""), labels.get("failure_condition", "")
    return (rollout_key(labels), labels.get("metric", "")), conditions


def _experiment(labels: Mapping[str, str], _: float) -> tuple[_ObjectKey, tuple[_Owner, ExperimentDetails]]:
    return rollout_key(labels), (
        (labels.get("owner_kind", ""), labels.get("owner", "")),
        ExperimentDetails(
            name=labels.get("name", ""),
            phase=labels.get("phase", ""),
            message=labels.get("message", ""),
            hash=labels.get("pod_template_hash", ""),
            revision=_integer_text(labels.get("revision", "")),
            was_terminated=_flag(labels, "terminate"),
            available_at=_timestamp(labels, "available_at"),
            duration=labels.get("duration", ""),
        ),
    )


def _template(labels: Mapping[str, str], _: float) -> tuple[tuple[_ObjectKey, str], ExperimentTemplate]:
    template = ExperimentTemplate(labels.get("template", ""), labels.get("status", ""), labels.get("message", ""))
    return (rollout_key(labels), template.name), template


def _flag(labels: Mapping[str, str], name: str) -> bool:
    return labels.get(name, "").lower() in ("true", "1", "1.000000")


def _number(labels: Mapping[str, str], name: str) -> float | None:
    """Return the number in a label, None if it is absent or none: resource-state-metrics writes 4 as 4.000000."""
    text = labels.get(name, "")
    return float(text) if _NUMBER.fullmatch(text) else None


def _integer(labels: Mapping[str, str], name: str) -> int | None:
    number = _number(labels, name)
    return int(number) if number is not None else None


def _count(labels: Mapping[str, str], name: str) -> int:
    return _integer(labels, name) or 0


def _integer_text(text: str) -> str:
    """Return a number without decimals as text, any other text as it is."""
    return str(int(float(text))) if _NUMBER.fullmatch(text) else text


def _timestamp(labels: Mapping[str, str], name: str) -> float | None:
    """Return Unix seconds of a time in RFC 3339, or in Unix seconds already."""
    text = labels.get(name, "")
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() if text.endswith("Z") else None
    except ValueError:
        return None
