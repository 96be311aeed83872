"""OTLP traces: one for each attempt at an update, sent when it ends; its spans are steps, pauses and analyses.

Names and results are those of OpenTelemetry's conventions for CI/CD: a rollout is a pipeline, an attempt a run of it.
All identifiers are derived from the deployment_id of the change events, so that a trace made again is the same trace.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from uuid import UUID

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from exporter.config.settings import cluster_name
from exporter.notify.model import MessageDestination, attempt_id, identifier
from exporter.notify.otlp import SCOPE, TRACES, OtlpMessageClient, rollout_attributes
from exporter.otlp.encode.protobuf import attributes, nanoseconds
from exporter.rollouts.details import FINISHED_BADLY
from exporter.rollouts.events.model import TransitionType
from exporter.rollouts.explain.model import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exporter.config.settings import Settings
    from exporter.rollouts.events.model import ReportedTransition
    from exporter.rollouts.model import AttemptEvent

_ACTION: Final = "RUN"
_RESULTS: Final = {
    TransitionType.PROMOTED: "success",
    TransitionType.ABORTED: "failure",
    TransitionType.ROLLED_BACK: "failure",
    TransitionType.SUPERSEDED: "cancellation",
    TransitionType.DELETED: "cancellation",
}
_RESULTS_OF_ABORTS: Final = {Cause.DEADLINE: "timeout", Cause.PERSON: "cancellation"}
_ERRORS: Final = frozenset({TransitionType.ABORTED, TransitionType.ROLLED_BACK})
_PHASE_RESULTS: Final = {"Successful": "success", "Failed": "failure", "Error": "error", "": "cancellation"}
"""The result of an AnalysisRun that ended; the conventions have none for an inconclusive one."""


@dataclass(frozen=True, slots=True)
class UpdateTask:
    """A step, a pause or an AnalysisRun of an update: from `start` to `end` (Unix seconds).

    `type` and `result` are words of the conventions, "" if none applies; `error` is why it failed, "" if it did not,
    and `error_type` in one word. `labels` are its own attributes.
    """

    name: str
    start: float
    end: float
    type: str = ""
    result: str = ""
    error: str = ""
    error_type: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def update_tasks(ending: ReportedTransition) -> list[UpdateTask]:
    """Return the tasks of the attempt that a transition ends, by their start."""
    start = ending.attempt[0] if ending.attempt is not None else ending.timestamp
    end = max(ending.timestamp, start)  # the clock may have been set back
    tasks = [
        *_steps(ending, start, end),
        *_pauses(ending.history, end),
        *_analyses(ending.history, end),
    ]  # fmt: skip
    bounded = (replace(task, end=max(task.start, min(task.end, end))) for task in tasks)
    return sorted(bounded, key=lambda task: task.start)


def _steps(ending: ReportedTransition, start: float, end: float) -> Iterator[UpdateTask]:
    """Yield each step that was reached, until the next one was; the last one has the result of the update."""
    reached = _reached_steps(ending, start, end)
    ends = [since for since, _ in reached[1:]]
    tasks = [
        UpdateTask(_step_name(index, kind), since, until, "deploy", "success", labels=_step_label(index))
        for (since, (index, _, kind)), until in zip(reached, [*ends, end], strict=False)
    ]
    yield from tasks[:-1]
    for last in tasks[-1:]:
        yield replace(last, result=_result(ending), error=_error(ending), error_type=_error_type(ending))


def _reached_steps(ending: ReportedTransition, start: float, end: float) -> list[tuple[float, tuple[int, int, str]]]:
    """Return when each step was reached, in order; none if no source shows steps."""
    positions = [event.step for event in ending.history if event.step is not None]
    reached = [
        (event.timestamp, event.step)
        for event in ending.history
        if event.type == TransitionType.STEP_REACHED and event.step is not None
    ]
    if positions and (not reached or reached[0][0] > start):
        # An update begins at the first step, which is not reported to be reached.
        first = next((step for step in positions if step[0] == 0), (0, positions[0][1], ""))
        reached.insert(0, (start, first))
    stopped_at = ending.step
    if ending.type in _ERRORS and stopped_at is not None and reached and stopped_at.index > reached[-1][1][0]:
        # It was reached since the tick before, so when is not known.
        reached.append((end, (stopped_at.index, stopped_at.count, stopped_at.kind)))
    return reached


def _step_name(index: int, kind: str) -> str:
    """Return the name of a step, counted from 1 as in sentences."""
    return "steps done" if kind == "done" else f"step {index + 1} {kind}".rstrip()


def _pauses(history: Sequence[AttemptEvent], end: float) -> Iterator[UpdateTask]:
    open_pauses: list[AttemptEvent] = []
    for event in history:
        if event.type == TransitionType.PAUSED:
            open_pauses.append(event)
        elif event.type == TransitionType.RESUMED:
            yield from (_pause(pause, event.timestamp) for pause in open_pauses)
            open_pauses = []
    yield from (_pause(pause, end) for pause in open_pauses)


def _pause(pause: AttemptEvent, end: float) -> UpdateTask:
    step = _step_label(pause.step[0]) if pause.step is not None else {}
    return UpdateTask("pause", pause.timestamp, end, labels={**step, "argo_rollouts.reason": pause.sentence})


def _analyses(history: Sequence[AttemptEvent], end: float) -> Iterator[UpdateTask]:
    """Yield each AnalysisRun that began within the attempt; one that goes on ends with it, without a result."""
    begun: dict[str, AttemptEvent] = {}
    for event in history:
        if event.type == TransitionType.ANALYSIS_STARTED:
            begun[event.run] = event
        elif event.type == TransitionType.ANALYSIS_ENDED and (start := begun.pop(event.run, None)) is not None:
            is_bad = event.phase in FINISHED_BADLY
            yield replace(
                _analysis(start, event.timestamp),
                result=_PHASE_RESULTS.get(event.phase, ""),
                error=event.sentence if is_bad else "",
                error_type=event.phase.lower() if is_bad else "",
                labels={**_analysis(start, end).labels, "argo_rollouts.analysis_run.phase": event.phase},
            )
    yield from (_analysis(start, end) for start in begun.values())


def _analysis(start: AttemptEvent, end: float) -> UpdateTask:
    step = _step_label(start.step[0]) if start.step is not None else {}
    labels = {**step, "argo_rollouts.analysis_run": start.run}
    return UpdateTask("analysis", start.timestamp, end, "test", labels=labels)


def _step_label(index: int) -> Mapping[str, str]:
    return {"argo_rollouts.step": str(index)}


def _result(ending: ReportedTransition) -> str:
    by_cause = _RESULTS_OF_ABORTS.get(ending.cause) if ending.cause is not None else None
    is_abort = ending.type is TransitionType.ABORTED
    return by_cause if by_cause is not None and is_abort else _RESULTS[ending.type]


def _error(ending: ReportedTransition) -> str:
    return ending.sentence if ending.type in _ERRORS else ""


def _error_type(ending: ReportedTransition) -> str:
    if ending.type not in _ERRORS:
        return ""
    return ending.cause.value if ending.cause is not None else ending.type.value


def trace_request(transition: ReportedTransition, identity: Mapping[str, str], cluster: str) -> Iterator[bytes]:
    """Yield the request with the trace of the attempt that a transition ends; none if its beginning was not seen."""
    if transition.rollout is None or transition.attempt is None or transition.type not in _RESULTS:
        return
    run = attempt_id(cluster, transition.rollout, transition.attempt)
    pipeline = "/".join(transition.rollout)
    update = UpdateTask(
        f"{_ACTION} {pipeline}",
        transition.attempt[0],
        max(transition.timestamp, transition.attempt[0]),
        error=_error(transition),
        error_type=_error_type(transition),
        labels={
            "cicd.pipeline.name": pipeline,
            "cicd.pipeline.run.id": run,
            "cicd.pipeline.action.name": _ACTION,
            "cicd.pipeline.result": _result(transition),
            **rollout_attributes(transition),
            "argo_rollouts.strategy": transition.strategy,
        },
    )
    spans = [_span(update, run, "", Span.SPAN_KIND_SERVER)]
    for number, task in enumerate(update_tasks(transition), 1):
        spans.append(_task_span(task, run, str(number), pipeline))
    resource = Resource(attributes=attributes(identity.items()))
    scope = ScopeSpans(scope=InstrumentationScope(name=SCOPE), spans=spans)
    request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=resource, scope_spans=[scope])])
    yield request.SerializeToString(deterministic=True)


def _task_span(task: UpdateTask, run: str, number: str, pipeline: str) -> Span:
    labels = {
        "cicd.pipeline.name": pipeline,
        "cicd.pipeline.run.id": run,
        "cicd.pipeline.task.name": task.name,
        "cicd.pipeline.task.run.id": number,
        "cicd.pipeline.task.type": task.type,
        "cicd.pipeline.task.run.result": task.result,
    }
    return _span(replace(task, labels={**labels, **task.labels}), run, number, Span.SPAN_KIND_INTERNAL)


def _span(task: UpdateTask, run: str, number: str, kind: Span.SpanKind.ValueType) -> Span:
    """Return the span of a task of a run; that of the update itself has no number."""
    span = Span(
        trace_id=UUID(run).bytes,
        span_id=_span_id(run, number),
        parent_span_id=_span_id(run, "") if number else b"",
        name=task.name,
        kind=kind,
        start_time_unix_nano=nanoseconds(task.start),
        end_time_unix_nano=nanoseconds(task.end),
        attributes=attributes({**task.labels, "error.type": task.error_type}.items()),
    )
    if task.error_type:
        span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=task.error))
    return span


def _span_id(run: str, number: str) -> bytes:
    return UUID(identifier("span", run, number)).bytes[:8]


def configured(settings: Settings) -> Iterator[MessageDestination]:
    """Yield the destination, if traces are pushed."""
    if settings.otlp.traces and settings.otlp.endpoint is not None:
        identity, client = settings.identity(), OtlpMessageClient(settings, "traces")
        cluster = cluster_name(identity)
        yield MessageDestination(TRACES, lambda transition: trace_request(transition, identity, cluster), client)
