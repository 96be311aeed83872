"""Evaluates a metric's conditions for representative values: around every threshold, NaN, and an empty result."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from exporter.gate import promql
from exporter.gate.analysis_run import AnalysisPhase
from exporter.gate.arguments import PLACEHOLDER, argument_name, argument_names
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
from exporter.gate.promql import PromQLError, Query, ResultType
from exporter.gate.provider import decide_phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.gate.dialect import StoreKind
    from exporter.gate.expr import Engine
    from exporter.gate.lint.inputs import LintInput, MetricView

QUERY: Final = ("provider", "prometheus", "query")
RANGE_QUERY: Final = ("provider", "prometheus", "rangeQuery")
SUCCESS, FAILURE = "successCondition", "failureCondition"
MAX_THRESHOLDS: Final = 24
"""Each costs some four evaluations of both conditions."""
# Not the index of result[0], nor a digit in a name.
_NUMBER: Final = re.compile(r"(?<![\w.\[])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\w)")
_SUBTRACTION: Final = re.compile(r"[<>=(\s]-\s*[\d.]")
_STAND_INS: Final = (0.37, 0.73, 0.19, 0.91)
"""Values of unknown arguments: distinct, and unlikely to be written as a threshold."""
_RELATIVE_STEP: Final = 1e-6
"""Distance of the values just below and above a threshold."""


@lru_cache(maxsize=1024)
def try_parse_query(text: str, store: StoreKind) -> Query | PromQLError:
    """Parse a query, or return the error. Cached, since many rules look at the same query."""
    try:
        return promql.parse(text, store)
    except PromQLError as error:
        return error


def parse_query(metric: MetricView) -> Query | None:
    """Return a metric's query, None if it is absent or does not parse."""
    text = metric.text(*QUERY)
    query = try_parse_query(text, metric.store) if text else None
    return query if isinstance(query, Query) else None


def metric_result_type(metric: MetricView) -> ResultType | None:
    """Return the type of the result that a metric's conditions evaluate, None if it is unknown."""
    query = parse_query(metric)
    if query is None or query.has_unknown_name:
        return None
    return ResultType.MATRIX if metric.raw(*RANGE_QUERY) else promql.result_type(query.expression)


@lru_cache(maxsize=1)  # a run of the linter has one input
def condition_testers(lint_input: LintInput) -> tuple[ConditionTester, ...]:
    """Return a tester for each Prometheus metric. Cached: a tester remembers the results of its conditions."""
    engine = lint_input.context.controller.engine
    return tuple(ConditionTester(metric, engine) for metric in lint_input.prometheus_metrics)


@dataclass(frozen=True)
class ConditionTester:
    """Evaluates the two conditions of a metric with one engine; either may be absent."""

    metric: MetricView
    engine: Engine

    @cached_property
    def texts(self) -> dict[str, str]:
        """Return the conditions by field name, with a number in place of each argument whose value is unknown."""
        texts = {name: self.metric.text(name) for name in (SUCCESS, FAILURE)}
        return {name: PLACEHOLDER.sub(self._stand_in, text) for name, text in texts.items() if text}

    @cached_property
    def unknown_arguments(self) -> tuple[str, ...]:
        """Return the arguments in the conditions whose values are unknown."""
        text = "".join(self.metric.text(name) for name in (SUCCESS, FAILURE))
        return tuple(dict.fromkeys(argument_names(text)))

    @property
    def first_field(self) -> str:
        """Return the field of the first condition."""
        return next(iter(self.texts))

    @cached_property
    def is_scalar(self) -> bool:
        """Return whether `result` is a number, not a list."""
        return metric_result_type(self.metric) is ResultType.SCALAR

    @cached_property
    def conditions(self) -> dict[str, Condition | ConditionError]:
        """Return each condition, or the error if it does not compile."""
        return {name: self._parse(text) for name, text in self.texts.items()}

    @property
    def is_evaluable(self) -> bool:
        """Return whether there are conditions, and all of them compile for the type of the result."""
        return bool(self.texts) and not any(self.error(name) for name in self.texts) and not self.is_unsupported

    @property
    def is_unsupported(self) -> bool:
        """Return whether a condition uses a feature that this program cannot evaluate."""
        return any(isinstance(condition, UnsupportedError) for condition in self.conditions.values())

    def error(self, name: str) -> str:
        """Return the engine's error if a condition fails for every usual result, else ""."""
        condition = self.conditions.get(name)
        if isinstance(condition, ConditionError):
            return condition.message
        outcomes = [self._evaluate(condition, result) for result in self._usual_results] if condition else []
        errors = [outcome.message for outcome in outcomes if isinstance(outcome, EngineFailure)]
        return errors[0] if errors and len(errors) == len(outcomes) else ""

    @cached_property
    def _usual_results(self) -> tuple[float | tuple[float, ...], ...]:
        """Return results for which a condition should have a value."""
        if self.is_scalar:
            return (0.0, 1.0)
        query = parse_query(self.metric)
        if query and not query.has_unknown_name and promql.single_series_labels(query.expression) is not None:
            return ((0.0,), (1.0,))
        return ((0.0,), (1.0,), (0.0, 1.0), (1.0, 0.0))

    def phase(self, *values: float) -> AnalysisPhase:
        """Return the phase of a measurement with these values."""
        if values not in self._phases:
            self._phases[values] = self._compute_phase(values)
        return self._phases[values]

    @cached_property
    def _phases(self) -> dict[tuple[float, ...], AnalysisPhase]:
        return {}

    def _compute_phase(self, values: tuple[float, ...]) -> AnalysisPhase:
        """Evaluate both conditions, and combine them as the controller does."""
        result = values[0] if self.is_scalar else list(values)
        success, failure = (self._evaluate_named(name, result) for name in (SUCCESS, FAILURE))
        if isinstance(success, EngineFailure) or isinstance(failure, EngineFailure):
            return AnalysisPhase.ERROR
        return decide_phase(success, failure)

    def is_both(self, value: float) -> bool:
        """Return whether both conditions are true for a value."""
        result = value if self.is_scalar else [value]
        return all(self._evaluate_named(name, result) is True for name in (SUCCESS, FAILURE))

    @cached_property
    def test_values(self) -> tuple[float, ...]:
        """Return values below, at, above and between all numbers in the conditions, in order."""
        text = " ".join(self.texts.values())
        numbers = {float(match[0]) for match in _NUMBER.finditer(text)}
        signed = numbers | {-number for number in numbers} if _SUBTRACTION.search(text) else numbers
        thresholds = sorted(number for number in signed if math.isfinite(number))[:MAX_THRESHOLDS]
        around = {
            threshold + side * max(abs(threshold), 1.0) * _RELATIVE_STEP
            for threshold in thresholds
            for side in (-1, 0, 1)
        }
        between = {(low + high) / 2 for low, high in pairwise(thresholds)}
        ends = {thresholds[0] - 1, thresholds[-1] + 1} if thresholds else {0.0, 1.0}
        minimum = -math.inf if signed != numbers else 0.0  # without a minus sign a result is taken to be at least 0
        return tuple(sorted(value for value in around | between | ends if value >= minimum))

    def _evaluate_named(self, name: str, result: float | Sequence[float]) -> bool | EngineFailure | None:
        """Evaluate the condition of a field; None if the metric has none, or if it does not compile."""
        condition = self.conditions.get(name)
        return self._evaluate(condition, result) if isinstance(condition, Condition) else None

    def _evaluate(self, condition: Condition, result: float | Sequence[float]) -> bool | EngineFailure:
        try:
            return evaluate(condition, result)
        except UnsupportedError as error:
            return EngineFailure(error.message)

    def _parse(self, text: str) -> Condition | ConditionError:
        """Parse a condition, and check it against the type of the result."""
        try:
            condition = parse(text, self.engine)
            check(condition, SCALAR if self.is_scalar else VECTOR)
        except ConditionError as error:
            return error
        return condition

    def _stand_in(self, placeholder: re.Match[str]) -> str:
        index = self.unknown_arguments.index(argument_name(placeholder[1]))
        return str(_STAND_INS[index] if index < len(_STAND_INS) else index)  # a fifth argument or later: 4, 5, …
