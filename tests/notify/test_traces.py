"""The trace of an update: complete, in the words of OpenTelemetry's conventions, the same whenever it is made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.semconv._incubating.attributes import cicd_attributes
from opentelemetry.semconv.attributes import error_attributes

from exporter.notify.destinations.otlp_traces import trace_request
from exporter.rollouts.events.model import ReportedTransition, TransitionType
from exporter.rollouts.events.recognise import MAX_HISTORY, continue_history
from tests.notify.golden import event_bodies
from tests.notify.traces import GOLDEN_FOLDER, IDENTITY, NAMES, labels_of, spans_of, trace_bodies, trace_text
from tests.recorded import EXPLAINED_NAMES
from tests.rollouts.stored import transitions_of_restarts

if TYPE_CHECKING:
    from exporter.rollouts.model import AttemptEvent
    from tests.recorded import Recordings

CONVENTIONS = {
    value for module in (cicd_attributes, error_attributes) for value in vars(module).values() if isinstance(value, str)
}
RESULTS = {result.value for result in cicd_attributes.CicdPipelineResultValues}


@pytest.mark.parametrize("name", NAMES)
def test_the_traces_of_a_recording_are_as_in_its_golden_file(explained_recordings: Recordings, name: str) -> None:
    """After a change that is right: python -m tests.notify.traces --write."""
    assert trace_text(explained_recordings, name) == (GOLDEN_FOLDER / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", EXPLAINED_NAMES)
def test_each_deployment_that_stops_has_one_trace_over_the_time_of_its_change_events(
    explained_recordings: Recordings, name: str
) -> None:
    stops = {}
    for event in map(json.loads, event_bodies(explained_recordings, name)):
        if event["event_name"] == "deployment" and event["event_state"] == "stop":
            attributes = event["attributes"]
            stops[attributes["deployment_id"]] = attributes["deployment_window_duration_ms"]
    updates = [spans_of(body)[0] for body in trace_bodies(explained_recordings, name)]
    assert stops == {
        str(UUID(bytes=update.trace_id)): (update.end_time_unix_nano - update.start_time_unix_nano) // 1_000_000
        for update in updates
    }
    assert len(updates) == len(stops)


@pytest.mark.parametrize("name", EXPLAINED_NAMES)
def test_spans_are_within_their_update_and_in_the_words_of_the_conventions(
    explained_recordings: Recordings, name: str
) -> None:
    for body in trace_bodies(explained_recordings, name):
        update, *tasks = spans_of(body)
        assert update.kind == Span.SPAN_KIND_SERVER
        assert len({span.span_id for span in (update, *tasks)}) == len(tasks) + 1
        for span in (update, *tasks):
            labels = labels_of(span)
            assert {label for label in labels if label.startswith(("cicd.", "error."))} <= CONVENTIONS
            assert labels.get("cicd.pipeline.task.run.result", "success") in RESULTS
            assert (
                (span.status.code == Status.STATUS_CODE_ERROR) == ("error.type" in labels) == bool(span.status.message)
            )
        for task in tasks:
            assert (task.trace_id, task.parent_span_id) == (update.trace_id, update.span_id)
            assert update.start_time_unix_nano <= task.start_time_unix_nano <= task.end_time_unix_nano
            assert task.end_time_unix_nano <= update.end_time_unix_nano


def test_an_abort_is_an_error_with_its_cause(explained_recordings: Recordings) -> None:
    update, *tasks = spans_of(trace_bodies(explained_recordings, "analysis-1.10.2")[0])
    assert labels_of(update)["cicd.pipeline.result"] == "failure"
    assert labels_of(update)["error.type"] == "analysis"
    assert "conversion [0.07], has to be result[0] >= 0.2" in update.status.message
    failed = [task for task in tasks if task.status.code == Status.STATUS_CODE_ERROR]
    assert [task.name for task in failed] == ["step 4 analysis", "analysis"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, "superseded-1.9.3"])
def test_a_restart_at_any_frame_makes_the_same_bytes(explained_recordings: Recordings, name: str) -> None:
    transitions = transitions_of_restarts(explained_recordings, name)
    bodies = [body for each in transitions for body in trace_request(each, IDENTITY, "prod-1")]
    assert bodies == trace_bodies(explained_recordings, name)


def test_the_clock_was_set_back_and_the_trace_still_ends_after_its_start() -> None:
    aborted = ReportedTransition(
        1_800_000_000.0, ("shop", "cart"), TransitionType.ABORTED, "", attempt=(1_800_000_060.0, 0)
    )
    (body,) = trace_request(aborted, IDENTITY, "prod-1")
    (update,) = spans_of(body)
    assert update.start_time_unix_nano == update.end_time_unix_nano == 1_800_000_060 * 10**9


def test_an_update_that_goes_on_for_ever_remembers_a_bounded_history() -> None:
    history: tuple[AttemptEvent, ...] = ()
    paused = ReportedTransition(1_800_000_000.0, ("shop", "cart"), TransitionType.PAUSED, "Paused")
    for _ in range(MAX_HISTORY + 10):
        history = continue_history(history, paused)
    assert len(history) == MAX_HISTORY
