"""Runs an AnalysisRun on prepared answers (query results), without a network and without waiting. Pure.

An answer is JSON: a list is an instant vector, {"scalar": x}, {"string": "x"} and {"matrix": [[…], …]} are the other
result types, a number from 400 on is an HTTP status, and {"error": "text"} is a query without a response.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from exporter.gate import go_format
from exporter.gate.analysis_run import (
    AnalysisPhase,
    AnalysisPlan,
    AnalysisRunStatus,
    Measurement,
    due_metrics,
    make_plan,
    next_time,
    reconcile,
    status_json,
)
from exporter.gate.arguments import ResolutionError, resolve
from exporter.gate.provider import (
    MetricEvaluation,
    error_outcome,
    evaluate_result,
    format_result,
    plain_result,
    request_error,
    status_error,
)
from exporter.gate.template import drop_unsupported, read_spec
from exporter.net.prometheus_response import Matrix, QuerySample, QueryValue, RangeSeries, Scalar, StringValue, Vector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.gate.controller import ControllerVersion
    from exporter.gate.template import AnalysisSpec, Metric


MIN_ERROR_STATUS: Final = 400
NOT_FOUND: Final = 404
ANSWER_FORMAT: Final = (
    'a list of numbers, {"scalar": x}, {"string": "x"}, {"matrix": [[…]]}, an HTTP status from 400 on, or '
    '{"error": "text"}'
)
STUB_ERROR_BODY: Final = b'{"status": "error", "errorType": "bad_data", "error": "stub says %d"}'
"""The body of a simulated HTTP error: that of the stub Prometheus with which the runs in tests/gate were recorded."""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A query without a response, and the error message."""

    message: str


SimulatedAnswer = QueryValue | int | NoAnswer


class AnswerError(ValueError):
    """An answer in an unknown format, or a query without an answer."""


@dataclass(frozen=True, slots=True)
class MeasurementTrace:
    """A measurement with the evaluation of its conditions, for explanations."""

    metric: Metric
    measured_at: float
    evaluation: MetricEvaluation


@dataclass(frozen=True, slots=True)
class AnalysisRunResult:
    """The status at the end of the run or of the simulated time, and the traces of all measurements."""

    status: AnalysisRunStatus
    traces: tuple[MeasurementTrace, ...] = ()


def parse_answer(answer: object) -> SimulatedAnswer:
    """Parse one answer. Raises AnswerError."""
    try:
        match answer:
            case bool():  # an int in Python, and no answer
                pass
            case int() if answer >= MIN_ERROR_STATUS:
                return answer
            case list():
                return Vector(tuple(QuerySample((), 0.0, float(value)) for value in answer))
            case {"scalar": value}:
                return Scalar(0.0, float(value))
            case {"string": str(text)}:
                return StringValue(0.0, text)
            case {"error": str(message)}:
                return NoAnswer(message)
            case {"matrix": rows}:
                return Matrix(tuple(RangeSeries((), tuple((0.0, float(value)) for value in row)) for row in rows))
    except (TypeError, ValueError):
        pass
    raise AnswerError(f"{answer!r} is not a query result; it must be {ANSWER_FORMAT}")


class AnswerSequence:
    """The answers of each query in turn; the last one repeats."""

    def __init__(self, answers: Mapping[str, Sequence[object]]) -> None:
        self._answers = {query: [parse_answer(answer) for answer in series] for query, series in answers.items()}
        self._positions: dict[str, int] = {}

    def next(self, metric: Metric) -> SimulatedAnswer:
        """Return the next answer for a metric, by its query or by its name. Raises AnswerError."""
        query = metric.prometheus.query if metric.prometheus else ""
        key = query if query in self._answers else metric.name
        answers = self._answers.get(key)
        if not answers:
            raise AnswerError(f"there is no result for the query {query!r} of metric {metric.name!r}")
        position = self._positions.get(key, 0)
        self._positions[key] = position + 1
        return answers[min(position, len(answers) - 1)]


@dataclass(frozen=True, slots=True)
class RunContext:
    """The controller, the start (Unix seconds), and the simulated time in seconds after which the simulation stops."""

    controller: ControllerVersion
    start: float
    max_duration: float
    secrets: Mapping[str, str] | None = None
    """The values of arguments from Secrets; None: the Secrets exist, and their values are unknown."""


def simulate(spec: AnalysisSpec, answer: Callable[[Metric], SimulatedAnswer], context: RunContext) -> AnalysisRunResult:
    """Run a spec. Raises AnswerError, and UnsupportedError for a condition."""
    plan = make_plan(spec, context.controller)
    if isinstance(plan, AnalysisRunStatus):
        return AnalysisRunResult(plan)
    try:
        metrics = _with_secrets(spec, plan, context)
    except ResolutionError as error:
        message = f"Unable to resolve metric arguments: {error}"
        return AnalysisRunResult(AnalysisRunStatus(AnalysisPhase.ERROR, message))
    # As the controller, reconcile until nothing changes any more; only then time advances.
    status, traces, now = AnalysisRunStatus(), list[MeasurementTrace](), context.start
    while now <= context.start + context.max_duration:
        step = [
            MeasurementTrace(metric, now, _measure(metrics[metric.name], answer, context))
            for metric in due_metrics(plan, status, now)
        ]
        traces += step
        measurements = {trace.metric.name: Measurement(trace.evaluation.outcome, now, now) for trace in step}
        previous, status = status, reconcile(plan, status, measurements, now)
        if status.completed_at is not None:
            break
        if status == previous:
            next_due = next_time(plan, status)
            if next_due is None:
                break
            now = max(next_due, now)
    return AnalysisRunResult(status, tuple(traces))


def _with_secrets(spec: AnalysisSpec, plan: AnalysisPlan, context: RunContext) -> Mapping[str, Metric]:
    """Return the metrics by name, with the values of Secrets substituted if they are known."""
    if context.secrets is None:
        return {metric.name: metric for metric in plan.metrics}
    for argument in spec.args:
        if argument.secret and argument.name not in context.secrets:
            raise ResolutionError(f"secrets {go_format.quote(argument.secret.name)} not found")
    return resolve_with_secrets(spec, plan, context.controller, context.secrets)


def resolve_with_secrets(
    spec: AnalysisSpec, plan: AnalysisPlan, controller: ControllerVersion, secrets: Mapping[str, str]
) -> Mapping[str, Metric]:
    """Return the metrics by their names in the plan, with the values of Secrets substituted. Raises ResolutionError."""
    values = {argument.name: secrets.get(argument.name, argument.value) for argument in spec.args}
    metrics = (resolve(drop_unsupported(metric, controller), values) for metric in spec.metrics)
    return {
        # Results are found by the name in the plan, in which a secret is redacted.
        redacted.name: replace(metric, name=redacted.name)
        for redacted, metric in zip(plan.metrics, metrics, strict=True)
    }


def _measure(metric: Metric, answer: Callable[[Metric], SimulatedAnswer], context: RunContext) -> MetricEvaluation:
    if metric.prometheus is None:
        raise AnswerError(f"metric {metric.name!r} uses another provider; only prometheus is simulated")
    outcome = request_error(metric.prometheus)
    if outcome is not None:
        return MetricEvaluation(outcome)
    result = answer(metric)
    if isinstance(result, NoAnswer):
        return MetricEvaluation(error_outcome(result.message))
    if "/api/v1/" in urlsplit(metric.prometheus.address).path + "/":
        result = NOT_FOUND  # the provider appends /api/v1/query, and no server has …/api/v1/query/api/v1/query
    if isinstance(result, int):
        return MetricEvaluation(error_outcome(status_error(result, STUB_ERROR_BODY % result) or ""))
    return evaluate_result(metric, result, context.controller)


# Recorded runs of real controllers, simulated with the answers that the controllers measured.

NETWORK_ERRORS: Final = ('Post "', 'Get "')
"""How the message of a measurement begins if the network failed: these are replayed, too."""
# As long as the recording waited for a verdict.
MAX_RECORDED_SECONDS: Final = 90.0
"""A recorded run that has not ended by then has no result."""


@dataclass(slots=True)
class RecordedAnswers:
    """The answers of one query, aligned with the recorded measurements.

    A controller that loses a race for the status sends one query more than it measures, so answers that were not
    measured are skipped.
    """

    answers: Sequence[SimulatedAnswer]
    measurements: Sequence[str]
    """The recorded value of each measurement, or its message."""
    measured_count: int = 0
    position: int = 0

    def next(self) -> SimulatedAnswer:
        """Return the answer of the next measurement."""
        if self.measured_count < len(self.measurements):
            recorded = self.measurements[self.measured_count]
            if recorded.startswith(NETWORK_ERRORS):
                self.measured_count += 1
                return NoAnswer(recorded)
            self.position = self._aligned_position(recorded)
        answer = self.answers[min(self.position, len(self.answers) - 1)]
        self.measured_count += 1
        self.position += 1
        return answer

    def _aligned_position(self, recorded: str) -> int:
        positions = range(self.position, len(self.answers))
        matching = (position for position in positions if _recorded_text(self.answers[position]) == recorded)
        return next(matching, self.position)


def _recorded_text(answer: SimulatedAnswer) -> str:
    """Return what a status records of an answer."""
    if isinstance(answer, int):
        return status_error(answer, STUB_ERROR_BODY % answer) or ""
    return "" if isinstance(answer, StringValue | NoAnswer) else format_result(plain_result(answer))


def simulate_recorded(run: Mapping[str, Any], controller: ControllerVersion) -> dict[str, Any] | None:
    """Return the status that the controller would write for a recorded run, None if that does not end in time.

    A run has a `spec`, the `answers` of its queries, the time `created`, and its last `status`. Raises
    UnsupportedError, AnswerError and TemplateError for a run that cannot be simulated.
    """
    answers_by_query = {
        query: RecordedAnswers([parse_answer(answer) for answer in answers], _recorded_measurements(run, query))
        for query, answers in run["answers"].items()
        if answers
    }

    def answer(metric: Metric) -> SimulatedAnswer:
        query = metric.prometheus.query if metric.prometheus else ""
        if query not in answers_by_query:
            raise AnswerError(f"there is no result for the query {query!r}")
        return answers_by_query[query].next()

    start = datetime.fromisoformat(run["created"]).timestamp() if run.get("created") else 0.0
    status = simulate(read_spec(run["spec"]), answer, RunContext(controller, start, MAX_RECORDED_SECONDS, {})).status
    return status_json(status) if status.phase is not None and status.phase.completed else None


def _recorded_measurements(run: Mapping[str, Any], query: str) -> list[str]:
    """Return the recorded measurements of a query, none if the oldest were not retained."""
    status = run.get("status") or {}
    for result in status.get("metricResults", ()):
        if (result.get("metadata") or {}).get("ResolvedPrometheusQuery") == query:
            measurements = result.get("measurements", ())
            if len(measurements) == result.get("count", 0) + result.get("error", 0):
                return [item.get("value") or item.get("message", "") for item in measurements]
    return []
