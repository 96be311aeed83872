"""A metric's two conditions, asked what they make of values that say much: around every threshold, NaN, nothing."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from exporter.gate import promql
from exporter.gate.analysis_run import Phase
from exporter.gate.expr import (
    SCALAR,
    VECTOR,
    Condition,
    ConditionError,
    EngineFailure,
    UnsupportedError,
    check,
    evaluate,
    parse,
)
from exporter.gate.lint.checks.queries import parsed, shape
from exporter.gate.placeholders import TAG, named
from exporter.gate.promql import Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.gate.expr import Engine
    from exporter.gate.lint.inputs import Metric

SUCCESS, FAILURE = "successCondition", "failureCondition"
MOST_THRESHOLDS: Final = 24
_NUMBER: Final = re.compile(r"(?<![\w.\[])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\w)")
_STAND_INS: Final = (0.37, 0.73, 0.19, 0.91)


@dataclass(frozen=True)
class Judge:
    """The conditions of a metric as one engine reads them; either may be missing."""

    metric: Metric
    engine: Engine

    @cached_property
    def texts(self) -> dict[str, str]:
        """Return the conditions that there are; a number stands for each argument whose value is not known."""
        given = {name: self.metric.text(name) for name in (SUCCESS, FAILURE)}
        return {name: TAG.sub(lambda tag: self._stand_in(tag[1]), text) for name, text in given.items() if text}

    @cached_property
    def unknown(self) -> tuple[str, ...]:
        """Return the arguments in the conditions whose values are not known."""
        text = "".join(self.metric.text(name) for name in (SUCCESS, FAILURE))
        return tuple(dict.fromkeys(named(tag) for tag in TAG.findall(text)))

    @cached_property
    def scalar(self) -> bool:
        """Say whether `result` is a number and no list."""
        return shape(self.metric) is Shape.SCALAR

    @cached_property
    def parsed(self) -> dict[str, Condition | ConditionError]:
        """Return each condition, or why it does not compile."""
        return {name: self._parse(text) for name, text in self.texts.items()}

    @property
    def able(self) -> bool:
        """Say whether there is something to ask: conditions, all of which compile for what the query answers with."""
        return bool(self.texts) and not any(self.fault(name) for name in self.texts) and not self.beyond

    @property
    def beyond(self) -> bool:
        """Say whether a condition uses what is not judged here."""
        return any(isinstance(one, UnsupportedError) for one in self.parsed.values())

    def fault(self, name: str) -> str:
        """Return why a condition can judge nothing, in the engine's words; "" when it can."""
        found = self.parsed.get(name)
        if isinstance(found, ConditionError):
            return found.message
        outcomes = [self._outcome(found, result) for result in self._usual] if found else []
        faults = [one.message for one in outcomes if isinstance(one, EngineFailure)]
        return faults[0] if faults and len(faults) == len(outcomes) else ""

    @cached_property
    def _usual(self) -> tuple[float | tuple[float, ...], ...]:
        """Return results that a condition should be able to judge."""
        if self.scalar:
            return (0.0, 1.0)
        query = parsed(self.metric)
        one = query is not None and not query.guessed and promql.single(query.expression) is not None
        return ((0.0,), (1.0,)) if one else ((0.0,), (1.0,), (0.0, 1.0), (1.0, 0.0))

    def of(self, *values: float) -> Phase:
        """Judge a result of these values."""
        if values not in self._judged:
            self._judged[values] = self._of(values)
        return self._judged[values]

    @cached_property
    def _judged(self) -> dict[tuple[float, ...], Phase]:
        return {}

    def _of(self, values: tuple[float, ...]) -> Phase:
        result = values[0] if self.scalar else list(values)
        good, bad = (self._said(name, result) for name in (SUCCESS, FAILURE))
        if isinstance(good, EngineFailure) or isinstance(bad, EngineFailure):
            return Phase.ERROR
        if good is None and bad is None:
            return Phase.SUCCESSFUL
        if bad if bad is not None else not good:
            return Phase.FAILED
        return Phase.SUCCESSFUL if good is None or good else Phase.INCONCLUSIVE

    def both(self, value: float) -> bool:
        """Say whether a value is success and failure at once."""
        result = value if self.scalar else [value]
        return all(self._said(name, result) is True for name in (SUCCESS, FAILURE))

    @cached_property
    def points(self) -> tuple[float, ...]:
        """Return values below, at, above and between all numbers that the conditions name, in order."""
        text = " ".join(self.texts.values())
        named_ones = {float(found[0]) for found in _NUMBER.finditer(text)}
        signed = named_ones | {-one for one in named_ones} if re.search(r"[<>=(\s]-\s*[\d.]", text) else named_ones
        marks = sorted(one for one in signed if math.isfinite(one))[:MOST_THRESHOLDS]
        around = {mark + side * max(abs(mark), 1.0) * 1e-6 for mark in marks for side in (-1, 0, 1)}
        between = {(one + two) / 2 for one, two in pairwise(marks)}
        ends = {marks[0] - 1, marks[-1] + 1} if marks else {0.0, 1.0}
        lowest = -math.inf if signed != named_ones else 0.0
        return tuple(sorted(one for one in around | between | ends if one >= lowest))

    def _said(self, name: str, result: float | Sequence[float]) -> bool | EngineFailure | None:
        condition = self.parsed.get(name)
        return self._outcome(condition, result) if isinstance(condition, Condition) else None

    def _outcome(self, condition: Condition, result: float | Sequence[float]) -> bool | EngineFailure:
        try:
            return evaluate(condition, result)
        except UnsupportedError as error:
            return EngineFailure(error.message)

    def _parse(self, text: str) -> Condition | ConditionError:
        """Parse a condition, and check it against what the query answers with."""
        try:
            found = parse(text, self.engine)
            check(found, SCALAR if self.scalar else VECTOR)
        except ConditionError as error:
            return error
        return found

    def _stand_in(self, tag: str) -> str:
        at = self.unknown.index(named(tag))
        return str(_STAND_INS[at] if at < len(_STAND_INS) else at)
