"""Recorded runs of real controllers as simulations: what was measured is what the simulation is fed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from exporter.gate import gotext
from exporter.gate.answer import Matrix, Scalar, Text, Vector
from exporter.gate.provider import refused_status
from exporter.gate.reading import spec
from exporter.gate.simulation import STUBBED, AnswerError, Conditions, Given, Lost, given, simulate
from exporter.gate.status import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.gate.controller import Controller
    from exporter.gate.template import Metric

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
            return gotext.plain(value)
        case Vector(samples=samples):
            return f"[{','.join(gotext.plain(one.value) for one in samples)}]"
        case Matrix(rows=rows):
            return f"[{','.join(gotext.plain(value) for row in rows for _, value in row.points)}]"
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
