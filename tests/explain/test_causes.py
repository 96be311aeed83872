"""The cause of an abort by message, runs and counters, in the wording of each version."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.demo.simulator.objects import CanaryStrategy
from exporter.rollouts.details import (
    AnalysisRunDetails,
    ExperimentDetails,
    MetricMeasurements,
    RolloutDetails,
    RolloutPlan,
    StepPluginDetails,
)
from exporter.rollouts.explain.causes import abort_cause, current_cause, failed_plugin, failed_step
from exporter.rollouts.explain.explain import explain
from exporter.rollouts.explain.model import Cause
from exporter.rollouts.model import NO_MEMORY, RolloutStatus
from tests.rollouts.histories import KEY, STEPS, RolloutHistory, ScriptedAction, observe

ABORT = "RolloutAborted: Rollout aborted update to revision 2"
FAILED = 'Metric "errors" assessed Failed due to failed (1) > failureLimit (0)'
METRIC = MetricMeasurements("errors", "Failed", failed=1)
OWN_RUN = AnalysisRunDetails("cart-abc-2-1", "Failed", FAILED, slot="Step", hash="abc", revision="2", metrics=(METRIC,))
EXPERIMENT = ExperimentDetails("cart-abc-2-0", "Failed", FAILED, "abc", "2")
ITS_RUN = AnalysisRunDetails("cart-abc-2-0-x", "Failed", FAILED, experiment="cart-abc-2-0", metrics=(METRIC,))
STATUS = RolloutStatus("old", "abc", health="Degraded", aborted=True, generation_observed=True)


def details(message: str, *runs: AnalysisRunDetails) -> RolloutDetails:
    """Return the details of revision 2 with a message."""
    return RolloutDetails(revision="2", message=message, runs=runs, experiments=(EXPERIMENT,))


@pytest.mark.parametrize(
    ("reason", "run", "cause"),
    [
        (f": Step-based analysis phase error/failed: {FAILED}", OWN_RUN, Cause.ANALYSIS),
        (f": Background analysis phase error/failed: {FAILED}", OWN_RUN, Cause.ANALYSIS),
        (f": Blue/green pre-promotion analysis phase error/failed: {FAILED}", OWN_RUN, Cause.ANALYSIS),
        (f": Blue/green post-promotion analysis phase error/failed: {FAILED}", OWN_RUN, Cause.ANALYSIS),
        (f": {FAILED}", OWN_RUN, Cause.ANALYSIS),  # up to 1.8
        (f": Experiment analysis phase is error/failed: {FAILED}", ITS_RUN, Cause.EXPERIMENT),
        (f": {FAILED}", ITS_RUN, Cause.EXPERIMENT),  # up to 1.8
        (": Template 'cand' exceeded its progressDeadlineSeconds (7)", None, Cause.EXPERIMENT),
        (": Step Plugin 4 (argoproj/e2e) failed: ", None, Cause.PLUGIN),
        (': ReplicaSet "cart-abc" has timed out progressing.', None, Cause.DEADLINE),
        ("", None, Cause.PERSON),
        (": something that no version writes", None, Cause.UNKNOWN),
        (': a text of a user that names a "Metric" only', None, Cause.UNKNOWN),
    ],
)
def test_the_reason_of_an_abort_names_its_cause(reason: str, run: AnalysisRunDetails | None, cause: Cause) -> None:
    result = abort_cause(STATUS, details(ABORT + reason, *([run] if run else [])), NO_MEMORY)
    assert result.cause is cause
    assert result.run is run
    assert result.metric_name == ("errors" if run else "")


def test_runs_of_former_revisions_tries_and_dry_runs_are_no_reason() -> None:
    former = replace(OWN_RUN, name="cart-xyz-1-1", hash="xyz", revision="1", completed_at=90.0)
    retried = replace(OWN_RUN, name="cart-abc-2-1.1", completed_at=80.0)
    first_try = replace(OWN_RUN, completed_at=70.0, metrics=(replace(METRIC, name="trial", is_dry_run=True), METRIC))
    message = f"{ABORT}: Step-based analysis phase error/failed: {FAILED}"
    result = abort_cause(STATUS, details(message, former, first_try, retried), NO_MEMORY)
    assert (result.run_name, result.metric_name) == ("cart-abc-2-1.1", "errors")
    assert first_try.bad_metric == METRIC


@pytest.mark.parametrize(("count", "cause"), [(1.0, Cause.PERSON), (2.0, Cause.DEADLINE)])
def test_a_bare_abort_is_the_deadlines_if_it_was_counted_twice(count: float, cause: Cause) -> None:
    plan = RolloutPlan(progress_deadline_abort=True)
    memory = replace(NO_MEMORY, counts={"RolloutAborted": 5 + count}, counts_before={"RolloutAborted": 5.0})
    assert abort_cause(STATUS, replace(details(ABORT), plan=plan), memory).cause is cause


@pytest.mark.parametrize(
    ("progressed_at", "cause"), [(100.0, Cause.DEADLINE), (190.0, Cause.PERSON), (None, Cause.UNKNOWN)]
)
def test_without_counters_a_bare_abort_depends_on_the_time_since_the_last_progress(
    progressed_at: float | None, cause: Cause
) -> None:
    plan = RolloutPlan(progress_deadline=60.0, progress_deadline_abort=True)
    aborted = replace(details(ABORT), plan=plan, aborted_at=200.0)
    assert abort_cause(STATUS, aborted, replace(NO_MEMORY, progressed_at=progressed_at)).cause is cause


def test_of_several_plugins_the_last_that_failed_is_the_cause() -> None:
    plugins = (
        StepPluginDetails(1, "argoproj/ignored", phase="Failed"),
        StepPluginDetails(2, "argoproj/unclear", phase="Inconclusive"),
        StepPluginDetails(4, "argoproj/e2e", phase="Error"),
        StepPluginDetails(5, "argoproj/next", phase="Running"),
    )
    failed = replace(details(f"{ABORT}: Step Plugin 4 (argoproj/e2e) failed: "), plugins=plugins)
    assert failed_plugin(failed) == plugins[2]
    assert failed_step(failed, abort_cause(STATUS, failed, NO_MEMORY)) == 4


def test_a_run_that_is_deleted_since_is_remembered() -> None:
    message = f"{ABORT}: Step-based analysis phase error/failed: {FAILED}"
    memory = replace(NO_MEMORY, cause="analysis", run="cart-abc-2-1", metric="errors")
    result = current_cause(STATUS, details(message), memory)
    assert result is not None
    assert (result.cause, result.run_name, result.metric_name) == (Cause.ANALYSIS, "cart-abc-2-1", "errors")


@pytest.mark.parametrize("message", ["more replicas need to be updated", "", "CanaryPauseStep"])
def test_a_message_that_is_not_of_the_phase_is_no_cause(message: str) -> None:
    assert current_cause(STATUS, details(message), NO_MEMORY) is None


def test_until_the_new_spec_is_observed_there_is_no_cause() -> None:
    lagging = replace(STATUS, generation_observed=False)
    assert current_cause(lagging, details(ABORT), NO_MEMORY) is None
    assert current_cause(STATUS, replace(details(ABORT), workload_observed=False), NO_MEMORY) is not None
    lagging = replace(STATUS, details=RolloutDetails(workload_observed=False))
    assert current_cause(lagging, details(ABORT), NO_MEMORY) is None


@pytest.mark.parametrize("has_details", [True, False])
def test_an_abort_that_no_controller_has_reconciled_yet_is_a_persons(*, has_details: bool) -> None:
    history = RolloutHistory(CanaryStrategy(STEPS), details=has_details)
    script = [ScriptedAction("wait", 0, 1), ScriptedAction("deploy", 2, 8)]
    *_, tick = observe(history, "full", script)
    history.cluster.abort(*KEY)
    tick.tracker.process(history.cluster.now, history.scrape("full", history.cluster.now))
    (rollout,) = tick.tracker.status.rollouts
    assert rollout.observation.status
    assert (rollout.observation.status.aborted, rollout.observation.status.health) == (True, "Paused")
    explanation = explain(rollout, history.cluster.now)
    assert explanation.cause is Cause.PERSON
    place = " at step 4 of 5" if has_details else ""
    assert explanation.sentence == f"Aborted{place}: by a person; the stable revision stays."
