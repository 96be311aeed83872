"""The state machine of a run: limits, timing, messages, and invariants."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.gate.analysis_run import (
    AnalysisPhase,
    AnalysisPlan,
    AnalysisRunStatus,
    Measurement,
    MeasurementOutcome,
    due_metrics,
    make_plan,
    next_time,
    reconcile,
)
from exporter.gate.controller import parse_version
from exporter.gate.simulation import AnalysisRunResult, AnswerSequence, RunContext, simulate
from exporter.gate.template import read_spec

GOOD, GAP, BAD, LOST = [0.01], [0.07], [0.5], 500
PROVIDER = {"prometheus": {"address": "http://a", "query": "q"}}
CONDITIONS = {"successCondition": "result[0] < 0.05", "failureCondition": "result[0] >= 0.10"}


def metric(name: str = "m", **fields: Any) -> dict[str, Any]:
    return {"name": name, "provider": PROVIDER, **CONDITIONS, **fields}


def run(*answers: Any, version: Any = "1.9.1", metrics: Any = None, **fields: Any) -> AnalysisRunResult:
    """Simulate one metric with these answers, or several, with a list of answers each by their names."""
    by_name = {"m": list(answers)} if metrics is None else {name: several for name, (_, several) in metrics.items()}
    fields_of = (
        {"m": fields} if metrics is None else {name: metric_fields for name, (metric_fields, _) in metrics.items()}
    )
    extra = fields if metrics is not None else {}
    document = {"metrics": [metric(name, **metric_fields) for name, metric_fields in fields_of.items()], **extra}
    return simulate(read_spec(document), AnswerSequence(by_name).next, RunContext(parse_version(version), 0.0, 3600.0))


def end_of(result: AnalysisRunResult) -> tuple[AnalysisPhase | None, str, float | None]:
    return result.status.phase, result.status.message, result.status.completed_at


def test_one_more_than_a_limit_ends_the_run() -> None:
    for limit, key, answer, word in (
        ("failureLimit", "failed", BAD, AnalysisPhase.FAILED),
        ("inconclusiveLimit", "inconclusive", GAP, AnalysisPhase.INCONCLUSIVE),
        ("consecutiveErrorLimit", "consecutiveErrors", LOST, AnalysisPhase.ERROR),
    ):
        enough = run(answer, answer, GOOD, interval="1m", count=4, **{limit: 2})
        assert enough.status.phase is AnalysisPhase.SUCCESSFUL
        over = run(answer, interval="1m", count=4, **{limit: 2})
        assert over.status.phase is word
        assert f"{key} (3) > {limit} (2)" in over.status.message


def test_error_is_retried_after_ten_seconds_and_not_counted() -> None:
    result = run(LOST, LOST, GOOD, GOOD, interval="5m", count=2)
    assert [trace.measured_at for trace in result.traces] == [0, 10, 20, 320]
    assert (result.status.results[0].counts.count, result.status.results[0].counts.error) == (2, 2)


def test_five_consecutive_errors_end_the_run_by_default() -> None:
    assert end_of(run(LOST))[0] is AnalysisPhase.ERROR
    assert len(run(LOST).traces) == 5
    assert end_of(run(LOST, LOST, LOST, LOST, GOOD))[0] is AnalysisPhase.SUCCESSFUL


def test_consecutive_success_ends_the_run_early_since_1_8() -> None:
    fields = {"interval": "1m", "count": 9, "consecutiveSuccessLimit": 2, "failureLimit": 5}
    assert end_of(run(BAD, GOOD, GOOD, **fields)) == (AnalysisPhase.SUCCESSFUL, "", 120.0)
    assert end_of(run(BAD, GOOD, GOOD, version="1.7.2", **fields)) == (AnalysisPhase.SUCCESSFUL, "", 480.0)


def test_count_reached_without_enough_consecutive_successes_depends_on_failure_limit() -> None:
    fields = {"interval": "1m", "count": 5, "consecutiveSuccessLimit": 3}
    turns = (GOOD, BAD, GOOD, BAD, GOOD)
    assert end_of(run(*turns, **fields, failureLimit=2))[0] is AnalysisPhase.INCONCLUSIVE
    assert end_of(run(*turns, **fields, failureLimit=-1))[0] is AnalysisPhase.FAILED


def test_initial_delay_is_observed_and_interval_starts_at_the_end_of_a_measurement() -> None:
    assert [trace.measured_at for trace in run(GOOD, interval="30s", count=3, initialDelay="2m").traces] == [
        120,
        150,
        180,
    ]


def test_failed_metric_ends_the_other_metrics() -> None:
    several = {
        "a": ({"interval": "1m", "count": 9}, [GOOD]),
        "b": ({"interval": "2m", "count": 9}, [GOOD, BAD]),
        "c": ({"initialDelay": "1h"}, [GOOD]),
    }
    result = run(metrics=several)
    assert end_of(result) == (
        AnalysisPhase.FAILED,
        'Metric "b" assessed Failed due to failed (1) > failureLimit (0)',
        120.0,
    )
    phases = {item.name: (item.phase, item.counts.count) for item in result.status.results}
    assert phases == {"a": (AnalysisPhase.SUCCESSFUL, 3), "b": (AnalysisPhase.FAILED, 2)}


def test_dry_run_is_awaited_and_does_not_decide() -> None:
    several = {"a": ({}, [GOOD]), "dry-b": ({"interval": "1m", "count": 3, "failureLimit": 1}, [GOOD, BAD])}
    result = run(metrics=several, dryRun=[{"metricName": "dry-.*"}])
    assert end_of(result) == (AnalysisPhase.SUCCESSFUL, "", 120.0)
    dry = result.status.result("dry-b")
    assert dry is not None
    assert dry.message == "Metric assessed Failed due to failed (2) > failureLimit (1)"
    assert result.status.dry_run_summary is not None
    assert result.status.dry_run_summary.failed == 1


def test_message_is_that_of_the_worst_metric() -> None:
    several = {"a": ({"consecutiveErrorLimit": 0}, [LOST]), "b": ({}, [BAD]), "c": ({}, [GAP])}
    assert end_of(run(metrics=several))[:2] == (
        AnalysisPhase.FAILED,
        'Metric "b" assessed Failed due to failed (1) > failureLimit (0)',
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"count": 2}, "metrics[0]: interval must be specified when count > 1"),
        (
            {"count": 2, "interval": "1d"},
            'metrics[0]: invalid interval string: time: unknown unit "d" in duration "1d"',
        ),
        ({"initialDelay": "5"}, 'metrics[0]: invalid startDelay string: time: missing unit in duration "5"'),
        ({"failureLimit": -2}, "metrics[0]: failureLimit must be >= 0, or -1 to be disabled"),
        ({"failureLimit": -1}, "metrics[0]: failureLimit and consecutiveSuccessLimit cannot both be disabled"),
        ({"inconclusiveLimit": -1}, "metrics[0]: inconclusiveLimit must be >= 0"),
        ({"consecutiveErrorLimit": -1}, "metrics[0]: consecutiveErrorLimit must be >= 0"),
        ({"consecutiveSuccessLimit": -1}, "metrics[0]: consecutiveSuccessLimit must be >= 0"),
        ({"count": 1, "inconclusiveLimit": 2}, "metrics[0]: count must be >= inconclusiveLimit"),
        ({"provider": {}}, "metrics[0]: no provider specified"),
        ({"provider": {**PROVIDER, "web": {}}}, "metrics[0]: multiple providers specified"),
    ],
)
def test_rejected_spec_is_an_error_before_the_first_measurement(fields: dict[str, Any], message: str) -> None:
    assert make_plan(read_spec({"metrics": [metric(**fields)]}), parse_version()) == AnalysisRunStatus(
        AnalysisPhase.ERROR, f"Analysis spec invalid: {message}"
    )


def test_rules_must_match_a_metric() -> None:
    for key, rule in (("dryRun", {"metricName": "x"}), ("measurementRetention", {"metricName": "*", "limit": 3})):
        plan = make_plan(read_spec({"metrics": [metric()], key: [rule]}), parse_version())
        assert isinstance(plan, AnalysisRunStatus)
        assert plan.message == f"Analysis spec invalid: {key}[0]: Rule didn't match any metric name(s)"
    assert make_plan(read_spec({"metrics": []}), parse_version()) == AnalysisRunStatus(
        AnalysisPhase.ERROR, "Analysis spec invalid: no metrics specified"
    )
    assert make_plan(read_spec({"metrics": [metric(), metric()]}), parse_version()) == AnalysisRunStatus(
        AnalysisPhase.ERROR, "Analysis spec invalid: metrics[1]: duplicate name 'm'"
    )


OUTCOMES = st.sampled_from(
    [AnalysisPhase.SUCCESSFUL, AnalysisPhase.FAILED, AnalysisPhase.INCONCLUSIVE, AnalysisPhase.ERROR]
)
LIMITS = st.integers(0, 3)


@st.composite
def plans(draw: st.DrawFn) -> AnalysisPlan:
    metrics = [
        metric(
            name,
            interval=draw(st.sampled_from(["1s", "7s", "1m"])),
            count=draw(st.integers(7, 12)),
            failureLimit=draw(LIMITS),
            inconclusiveLimit=draw(LIMITS),
            consecutiveErrorLimit=draw(LIMITS),
            consecutiveSuccessLimit=draw(LIMITS),
        )
        for name in "abc"[: draw(st.integers(1, 3))]
    ]
    plan = make_plan(
        read_spec({"metrics": metrics, "dryRun": [{"metricName": "a"}] if draw(st.booleans()) else []}),
        parse_version(),
    )
    assert isinstance(plan, AnalysisPlan)
    return plan


@given(plan=plans(), outcomes=st.lists(OUTCOMES, min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_every_run_ends_and_its_counts_balance(plan: AnalysisPlan, outcomes: list[AnalysisPhase]) -> None:
    status, now, measured_count = AnalysisRunStatus(), 0.0, 0
    for _ in range(1000):
        measurements = {}
        for due_metric in due_metrics(plan, status, now):
            metric_result = status.result(due_metric.name)
            assert metric_result is None or not metric_result.phase.completed, "a completed metric is not measured"
            measurements[due_metric.name] = Measurement(
                MeasurementOutcome(outcomes[measured_count % len(outcomes)]), now, now
            )
            measured_count += 1
        previous, status = status, reconcile(plan, status, measurements, now)
        assert status.phase is not None
        if status.phase.completed:
            break
        if status == previous:
            next_due = next_time(plan, status)
            assert next_due is not None
            assert next_due > now, "time goes on"
            now = next_due
    assert status.completed_at == now
    assert sum(item.counts.count + item.counts.error for item in status.results) == measured_count
    for ending in status.results:
        counts = ending.counts
        assert counts.count == counts.successful + counts.failed + counts.inconclusive
        assert len(ending.measurements) <= 10
    worst = [item.phase for item in status.results if not item.dry_run]
    assert status.phase in {*worst, AnalysisPhase.SUCCESSFUL}
