"""Runs an AnalysisRun on answers that are given, without a network and without waiting. Pure.

An answer is in the form that JSON gives it: a list is an instant vector, {"scalar": x}, {"string": "x"} and
{"matrix": [[…], …]} are what they say, a number from 400 on is that HTTP status, and {"error": "why"} is none at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from exporter.gate import go_format
from exporter.gate.analysis_run import Measurement, Phase, Plan, Status, as_json, assessed, due, next_time, planned
from exporter.gate.arguments import ResolutionError, resolved
from exporter.gate.go_format import quoted
from exporter.gate.load import spec
from exporter.net.prometheus_response import Matrix, Row, Sample, Scalar, Text, Value, Vector
from exporter.gate.provider import Judged, failed, judged, refusal, refused_status, unsendable
from exporter.gate.validation import pruned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.gate.controller import Controller
    from exporter.gate.template import Metric, Spec


FIRST_STATUS: Final = 400
FORM: Final = (
    'a list of numbers, {"scalar": x}, {"string": "x"}, {"matrix": [[…]]}, an HTTP status from 400 on, or '
    '{"error": "why"}'
)
STUBBED: Final = b'{"status": "error", "errorType": "bad_data", "error": "stub says %d"}'
"""What a refusal says when it is only simulated."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A question that nobody answered, and the message that says why."""

    message: str


Given = Value | int | Lost


class AnswerError(ValueError):
    """An answer of no known form, or none for a query."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one measurement, for those who want to know why."""

    metric: Metric
    at: float
    judged: Judged


@dataclass(frozen=True, slots=True)
class Simulation:
    """Where a run ended, or stood when the time was over, and every measurement on the way."""

    status: Status
    told: tuple[Told, ...] = ()


def given(answer: object) -> Given:
    """Read one answer. Raises AnswerError."""
    try:
        match answer:
            case bool():
                pass
            case int() if answer >= FIRST_STATUS:
                return answer
            case list():
                return Vector(tuple(Sample((), 0.0, float(one)) for one in answer))
            case {"scalar": value}:
                return Scalar(0.0, float(value))
            case {"string": str(text)}:
                return Text(0.0, text)
            case {"error": str(why)}:
                return Lost(why)
            case {"matrix": rows}:
                return Matrix(tuple(Row((), tuple((0.0, float(one)) for one in row)) for row in rows))
    except (TypeError, ValueError):
        pass
    raise AnswerError(f"{answer!r} is no answer; it must be {FORM}")


class Answers:
    """Gives the answers of each query one after the other, the last one for ever."""

    def __init__(self, answers: Mapping[str, Sequence[object]]) -> None:
        self._answers = {query: [given(one) for one in several] for query, several in answers.items()}
        self._asked: dict[str, int] = {}

    def next(self, metric: Metric) -> Given:
        """Return the next answer for a metric, found by its query, or by its name. Raises AnswerError."""
        query = metric.prometheus.query if metric.prometheus else ""
        key = query if query in self._answers else metric.name
        several = self._answers.get(key)
        if not several:
            raise AnswerError(f"there is no answer for the query {query!r} of metric {metric.name!r}")
        place = self._asked.get(key, 0)
        self._asked[key] = place + 1
        return several[min(place, len(several) - 1)]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under which a simulation runs: `start` in Unix seconds; after `longest` seconds it is left as it stands."""

    controller: Controller
    start: float
    longest: float
    secrets: Mapping[str, str] | None = None
    """The values of arguments that come from Secrets; None: the Secrets exist, their values are not known."""


def simulate(spec: Spec, answer: Callable[[Metric], Given], conditions: Conditions) -> Simulation:
    """Run a spec. Raises AnswerError, and UnsupportedError for what is not judged here."""
    plan = planned(spec, conditions.controller)
    if isinstance(plan, Status):
        return Simulation(plan)
    try:
        asked = _with_secrets(spec, plan, conditions)
    except ResolutionError as error:
        return Simulation(Status(Phase.ERROR, f"Unable to resolve metric arguments: {error}"))
    status, told, now = Status(), list[Told](), conditions.start
    while now <= conditions.start + conditions.longest:
        taken = [
            Told(metric, now, _measured(asked[metric.name], answer, conditions)) for metric in due(plan, status, now)
        ]
        told += taken
        measured = {one.metric.name: Measurement(one.judged.outcome, now, now) for one in taken}
        before, status = status, assessed(plan, status, measured, now)
        if status.completed is not None:
            break
        if status == before:
            following = next_time(plan, status)
            if following is None:
                break
            now = max(following, now)
    return Simulation(status, tuple(told))


def _with_secrets(spec: Spec, plan: Plan, conditions: Conditions) -> Mapping[str, Metric]:
    """Return the metrics as they are asked, by name: with the secrets that are known in place."""
    if conditions.secrets is None:
        return {metric.name: metric for metric in plan.metrics}
    for one in spec.args:
        if one.secret and one.name not in conditions.secrets:
            raise ResolutionError(f"secrets {quoted(one.secret.name)} not found")
    values = {one.name: conditions.secrets.get(one.name, one.value) for one in spec.args}
    whole = (resolved(pruned(metric, conditions.controller), values) for metric in spec.metrics)
    return {plain.name: replace(metric, name=plain.name) for plain, metric in zip(plan.metrics, whole, strict=True)}


def _measured(metric: Metric, answer: Callable[[Metric], Given], conditions: Conditions) -> Judged:
    if metric.prometheus is None:
        raise AnswerError(f"metric {metric.name!r} asks another provider; only prometheus is simulated")
    wrong = refusal(metric.prometheus) or unsendable(metric.prometheus)
    if wrong is not None:
        return Judged(wrong)
    found = answer(metric)
    if isinstance(found, Lost):
        return Judged(failed(found.message))
    if "/api/v1/" in urlsplit(metric.prometheus.address).path + "/":
        found = 404  # the provider adds /api/v1/query itself, and nobody answers at …/api/v1/query/api/v1/query
    if isinstance(found, int):
        return Judged(failed(refused_status(found, STUBBED % found) or ""))
    return judged(metric, found, conditions.controller)


# Recorded runs of real controllers as simulations: what was measured is what the simulation is fed.


# rooms


UNANSWERED: Final = ('Post "', 'Get "')
"""How a measurement's message begins when the network, and no store, was to blame: that, too, is fed."""
LONGEST: Final = 90.0
"""Seconds after which a case counts as one without a verdict."""


@dataclass(slots=True)
class Feed:
    """The answers of one query, aligned with what was measured.

    A controller that loses a race asks once more than it measures, so an answer that was not measured is passed over.
    """

    answers: Sequence[Given]
    measured: Sequence[str]
    """What stands in the status: the value of each measurement, or its message."""
    taken: int = 0
    place: int = 0

    def next(self) -> Given:
        """Return the answer of the next measurement."""
        if self.taken < len(self.measured):
            if self.measured[self.taken].startswith(UNANSWERED):
                self.taken += 1
                return Lost(self.measured[self.taken - 1])
            self.place = self._aligned(self.measured[self.taken])
        found = self.answers[min(self.place, len(self.answers) - 1)]
        self.taken += 1
        self.place += 1
        return found

    def _aligned(self, measured: str) -> int:
        places = range(self.place, len(self.answers))
        return next((place for place in places if _said(self.answers[place]) == measured), self.place)


def _said(answer: Given) -> str:
    """Return what the status would say of an answer."""
    match answer:
        case int():
            return refused_status(answer, STUBBED % answer) or ""
        case Scalar(value=value):
            return go_format.plain(value)
        case Vector(samples=samples):
            return f"[{','.join(go_format.plain(one.value) for one in samples)}]"
        case Matrix(rows=rows):
            return f"[{','.join(go_format.plain(value) for row in rows for _, value in row.points)}]"
        case Text() | Lost():
            return ""


@dataclass(slots=True)
class Case:
    """One recorded run."""

    name: str
    document: Mapping[str, Any] = field(repr=False)

    def simulated(self, controller: Controller) -> dict[str, Any] | None:
        """Return the status that the controller would write; None: no verdict in time.

        Raises UnsupportedError, AnswerError and TemplateError for a case that cannot be simulated.
        """
        feeds = {query: self._feed(query) for query, several in self.document["answers"].items() if several}

        def answer(metric: Metric) -> Given:
            query = metric.prometheus.query if metric.prometheus else ""
            feed = feeds.get(query)
            if feed is None:
                raise AnswerError(f"there is no answer for the query {query!r}")
            return feed.next()

        conditions = Conditions(controller, _seconds(self.document.get("created")), LONGEST, {})
        status = simulate(spec(self.document["spec"]), answer, conditions).status
        return as_json(status) if status.phase is not None and status.phase.completed else None

    def _feed(self, query: str) -> Feed:
        return Feed([given(one) for one in self.document["answers"][query]], self._measured(query))

    def _measured(self, query: str) -> list[str]:
        """Return what was measured of a query; nothing where the oldest measurements were not kept."""
        status = self.document.get("status") or {}
        for result in status.get("metricResults", ()):
            if (result.get("metadata") or {}).get("ResolvedPrometheusQuery") == query:
                measurements = result.get("measurements", ())
                if len(measurements) == result.get("count", 0) + result.get("error", 0):
                    return [one.get("value") or one.get("message", "") for one in measurements]
        return []


def _seconds(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0
