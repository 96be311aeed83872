"""The specs that the controller rejects before it measures anything, with its own error texts.

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
    # A count of 0 means 1 or endless, and is never too small.
    from_1_8 = controller.supports(Feature.CONSECUTIVE_SUCCESS_LIMIT)
    count, failures = int_value(metric.count), int_value(metric.failure_limit)
    successes, inconclusives = int_value(metric.consecutive_success_limit), int_value(metric.inconclusive_limit)
    negative = (
        (inconclusives < 0, "inconclusiveLimit must be >= 0"),
        (int_value(metric.consecutive_error_limit) < 0, "consecutiveErrorLimit must be >= 0"),
    )
    if from_1_8:
        limits: tuple[tuple[bool, str], ...] = (
            (successes < 0, "consecutiveSuccessLimit must be >= 0"),
            (failures < -1, "failureLimit must be >= 0, or -1 to be disabled"),
            (successes == 0 and failures == -1, "failureLimit and consecutiveSuccessLimit cannot both be disabled"),
            *negative,
            (0 < count < failures + successes and failures >= 0, _too_few(count, failures, successes)),
            (0 < count < successes and failures < 0, "count must be >= consecutiveSuccessLimit"),
        )
    else:
        limits = ((0 < count < failures, "count must be >= failureLimit"),)
    yield from _messages(
        *limits,
        (0 < count < inconclusives, "count must be >= inconclusiveLimit"),
        (count > 1 and not metric.interval, "interval must be specified when count > 1"),
    )
    # Before 1.8 negative limits were checked after the counts.
    if not from_1_8:
        yield from _messages((failures < 0, "failureLimit must be >= 0"), *negative)
    yield from _invalid_duration("interval", metric.interval)
    yield from _invalid_duration("startDelay", metric.initial_delay)  # sic: the field is initialDelay
    providers = (metric.prometheus is not None) + len(metric.other_providers)
    yield from _messages((providers == 0, "no provider specified"), (providers > 1, "multiple providers specified"))


def _messages(*checks: tuple[bool, str]) -> Iterator[str]:
    return (message for is_wrong, message in checks if is_wrong)


def _too_few(count: int, failures: int, successes: int) -> str:
    limits = f"failureLimit + consecutiveSuccessLimit ({failures} + {successes})"
    return f"count ({count}) must be >= {limits} if both >= 0"


def _invalid_duration(name: str, text: str) -> Iterator[str]:
    if text:
        try:
            go_format.parse_duration(text)
        except ValueError as error:
            yield f"invalid {name} string: {error}"


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
    """Return whether a rule matches any part of a metric's name. Raises UnsupportedError."""
    try:
        return compile_regex(rule).search(name) is not None
    except UnsupportedError:  # a ConditionError, too, but the rule may be valid
        raise
    except ConditionError:
        return False  # for the controller an invalid regular expression, such as "*", matches nothing


def retention_limits(
    rules: Sequence[RetentionRule], metrics: Sequence[Metric], controller: ControllerVersion
) -> dict[str, int]:
    """Return how many measurements of each metric are retained. Raises as `match_rules` does."""
    matches = match_rules([rule.metric_name for rule in rules], "measurementRetention", metrics)
    if not controller.supports(Feature.RANGE_QUERY):
        # Before 1.8 the limit of the last rule applies to every metric that any rule matches.
        matches = dict.fromkeys(matches, len(rules) - 1)
    limits = {name: rules[index].limit for name, index in matches.items()}
    return {
        metric.name: limit if (limit := limits.get(metric.name, 0)) > 0 else DEFAULT_RETENTION for metric in metrics
    }
