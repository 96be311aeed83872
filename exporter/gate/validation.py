"""The specs that the controller refuses before it measures anything, with its own error texts.

`ValidateMetrics` of argo-rollouts' utils/analysis/factory.go; 1.8 changed the order and the limits of the checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.gate import go_format
from exporter.gate.controller import Feature
from exporter.gate.expr.builtins_strings import compile_regex
from exporter.gate.expr.errors import ConditionError, UnsupportedError
from exporter.gate.template import int_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.gate.controller import ControllerVersion
    from exporter.gate.template import Metric, RetentionRule

DEFAULT_RETENTION: Final = 10
"""Measurements of a metric that the controller retains if no rule sets a limit."""


def first_error(metrics: Sequence[Metric], controller: ControllerVersion) -> str | None:
    """Return the first error of the metrics, None if there is none."""
    if not metrics:
        return "no metrics specified"
    names: set[str] = set()
    for index, metric in enumerate(metrics):
        if metric.name in names:
            return f"metrics[{index}]: duplicate name '{metric.name}'"
        names.add(metric.name)
        error = next(_metric_errors(metric, controller), None)
        if error:
            return f"metrics[{index}]: {error}"
    return None


def _metric_errors(metric: Metric, controller: ControllerVersion) -> Iterator[str]:
    from_1_8 = controller.supports(Feature.CONSECUTIVE_SUCCESS_LIMIT)
    if from_1_8:
        yield from _negative_limits(metric)
    count = int_value(metric.count)
    if count > 0:
        yield from _too_few(metric, count) if from_1_8 else _too_few_before_1_8(metric, count)
        if count < int_value(metric.inconclusive_limit):
            yield "count must be >= inconclusiveLimit"
    if count > 1 and not metric.interval:
        yield "interval must be specified when count > 1"
    if not from_1_8:
        yield from _negative_limits_before_1_8(metric)
    yield from _invalid_duration("interval", metric.interval)
    yield from _invalid_duration("startDelay", metric.initial_delay)
    yield from _provider_errors(metric)


def _negative_limits(metric: Metric) -> Iterator[str]:
    successes, failures = int_value(metric.consecutive_success_limit), int_value(metric.failure_limit)
    if successes < 0:
        yield "consecutiveSuccessLimit must be >= 0"
    if failures < -1:
        yield "failureLimit must be >= 0, or -1 to be disabled"
    if successes == 0 and failures == -1:
        yield "failureLimit and consecutiveSuccessLimit cannot both be disabled"
    if int_value(metric.inconclusive_limit) < 0:
        yield "inconclusiveLimit must be >= 0"
    if int_value(metric.consecutive_error_limit) < 0:
        yield "consecutiveErrorLimit must be >= 0"


def _negative_limits_before_1_8(metric: Metric) -> Iterator[str]:
    for name, limit in (
        ("failureLimit", metric.failure_limit),
        ("inconclusiveLimit", metric.inconclusive_limit),
        ("consecutiveErrorLimit", metric.consecutive_error_limit),
    ):
        if int_value(limit) < 0:
            yield f"{name} must be >= 0"


def _too_few(metric: Metric, count: int) -> Iterator[str]:
    successes, failures = int_value(metric.consecutive_success_limit), int_value(metric.failure_limit)
    if failures >= 0 and count < failures + successes:
        limits = f"failureLimit + consecutiveSuccessLimit ({failures} + {successes})"
        yield f"count ({count}) must be >= {limits} if both >= 0"
    if failures < 0 and count < successes:
        yield "count must be >= consecutiveSuccessLimit"


def _too_few_before_1_8(metric: Metric, count: int) -> Iterator[str]:
    if count < int_value(metric.failure_limit):
        yield "count must be >= failureLimit"


def _invalid_duration(name: str, text: str) -> Iterator[str]:
    if text:
        try:
            go_format.parse_duration(text)
        except ValueError as error:
            yield f"invalid {name} string: {error}"


def _provider_errors(metric: Metric) -> Iterator[str]:
    count = (metric.prometheus is not None) + len(metric.other_providers)
    if count != 1:
        yield "multiple providers specified" if count else "no provider specified"


def match_rules(rules: Sequence[str], field: str, metrics: Sequence[Metric]) -> dict[str, int]:
    """Return the names of the metrics that regular expressions match, each with the index of the last rule that does.

    Raises ValueError, with the controller's text, for a rule that matches no metric. Raises UnsupportedError.
    """
    matches: dict[str, int] = {}
    for index, rule in enumerate(rules):
        names = [metric.name for metric in metrics if matches_name(rule, metric.name)]
        if not names:
            raise ValueError(f"{field}[{index}]: Rule didn't match any metric name(s)")
        matches |= dict.fromkeys(names, index)
    return matches


def matches_name(rule: str, name: str) -> bool:
    """Return whether a rule matches anywhere in a metric's name. Raises UnsupportedError."""
    try:
        return compile_regex(rule).search(name) is not None
    except UnsupportedError:
        raise
    except ConditionError:
        return False  # for the controller an invalid regular expression, such as "*", matches nothing


def retention_limits(
    rules: Sequence[RetentionRule], metrics: Sequence[Metric], controller: ControllerVersion
) -> dict[str, int]:
    """Return how many measurements of each metric are retained. Raises as `match_rules` does."""
    matches = match_rules([rule.metric_name for rule in rules], "measurementRetention", metrics)
    if not controller.supports(Feature.RANGE_QUERY):
        # Before 1.8 it is built with a Go whose loop variable is shared: the last rule applies to every metric.
        matches = dict.fromkeys(matches, len(rules) - 1)
    limits = {name: rules[index].limit for name, index in matches.items()}
    return {
        metric.name: limit if (limit := limits.get(metric.name, 0)) > 0 else DEFAULT_RETENTION for metric in metrics
    }
