"""Which specs the controller refuses before it measures anything, in its own words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.gate import go_format
from exporter.gate.controller import Ability
from exporter.gate.expr.builtins_strings import compile_regex
from exporter.gate.expr.errors import ConditionError, UnsupportedError
from exporter.gate.template import Authentication, BasicAuth, OAuth2, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.gate.controller import Controller
    from exporter.gate.template import Metric, Prometheus, Retention


MOST_KEPT = 10
"""How many measurements of a metric are kept where no rule says otherwise."""


def fault(metrics: Sequence[Metric], controller: Controller) -> str | None:
    """Return the first fault of the metrics, None where there is none."""
    if not metrics:
        return "no metrics specified"
    names: set[str] = set()
    for index, metric in enumerate(metrics):
        if metric.name in names:
            return f"metrics[{index}]: duplicate name '{metric.name}'"
        names.add(metric.name)
        found = next(_faults(metric, controller), None)
        if found:
            return f"metrics[{index}]: {found}"
    return None


def _faults(metric: Metric, controller: Controller) -> Iterator[str]:
    modern = controller.can(Ability.CONSECUTIVE_SUCCESS_LIMIT)
    if modern:
        yield from _negative(metric)
    count = whole(metric.count)
    if count > 0:
        yield from _too_few(metric, count) if modern else _too_few_old(metric, count)
        if count < whole(metric.inconclusive_limit):
            yield "count must be >= inconclusiveLimit"
    if count > 1 and not metric.interval:
        yield "interval must be specified when count > 1"
    if not modern:
        yield from _negative_old(metric)
    yield from _unread("interval", metric.interval)
    yield from _unread("startDelay", metric.initial_delay)
    yield from _providers(metric)


def _negative(metric: Metric) -> Iterator[str]:
    successes, failures = whole(metric.consecutive_success_limit), whole(metric.failure_limit)
    if successes < 0:
        yield "consecutiveSuccessLimit must be >= 0"
    if failures < -1:
        yield "failureLimit must be >= 0, or -1 to be disabled"
    if successes == 0 and failures == -1:
        yield "failureLimit and consecutiveSuccessLimit cannot both be disabled"
    if whole(metric.inconclusive_limit) < 0:
        yield "inconclusiveLimit must be >= 0"
    if whole(metric.consecutive_error_limit) < 0:
        yield "consecutiveErrorLimit must be >= 0"


def _negative_old(metric: Metric) -> Iterator[str]:
    for name, limit in (
        ("failureLimit", metric.failure_limit),
        ("inconclusiveLimit", metric.inconclusive_limit),
        ("consecutiveErrorLimit", metric.consecutive_error_limit),
    ):
        if whole(limit) < 0:
            yield f"{name} must be >= 0"


def _too_few(metric: Metric, count: int) -> Iterator[str]:
    successes, failures = whole(metric.consecutive_success_limit), whole(metric.failure_limit)
    if failures >= 0 and count < failures + successes:
        wanted = f"failureLimit + consecutiveSuccessLimit ({failures} + {successes})"
        yield f"count ({count}) must be >= {wanted} if both >= 0"
    if failures < 0 and count < successes:
        yield "count must be >= consecutiveSuccessLimit"


def _too_few_old(metric: Metric, count: int) -> Iterator[str]:
    if count < whole(metric.failure_limit):
        yield "count must be >= failureLimit"


def _unread(what: str, text: str) -> Iterator[str]:
    if text:
        try:
            go_format.duration(text)
        except ValueError as error:
            yield f"invalid {what} string: {error}"


def _providers(metric: Metric) -> Iterator[str]:
    count = (metric.prometheus is not None) + len(metric.others)
    if count != 1:
        yield "multiple providers specified" if count else "no provider specified"


def matching(rules: Sequence[str], what: str, metrics: Sequence[Metric]) -> dict[str, int]:
    """Return the metrics that rules find, with the index of the last rule that did; the rules are regular expressions.

    Raises ValueError, in the controller's words, for one that finds none. Raises UnsupportedError.
    """
    found: dict[str, int] = {}
    for index, rule in enumerate(rules):
        names = [metric.name for metric in metrics if _matches(rule, metric.name)]
        if not names:
            raise ValueError(f"{what}[{index}]: Rule didn't match any metric name(s)")
        found |= dict.fromkeys(names, index)
    return found


def _matches(rule: str, name: str) -> bool:
    try:
        return compile_regex(rule).search(name) is not None
    except UnsupportedError:
        raise
    except ConditionError:
        return False  # the controller takes a rule that is no regular expression for one that finds nothing


def kept(rules: Sequence[Retention], metrics: Sequence[Metric], controller: Controller) -> dict[str, int]:
    """Return how many measurements of each metric are kept. Raises ValueError as `matching` does."""
    found = matching([rule.metric_name for rule in rules], "measurementRetention", metrics)
    if not controller.can(Ability.RANGE_QUERY):  # built with an older Go, it takes the last rule for every metric
        found = dict.fromkeys(found, len(rules) - 1)
    limits = {name: rules[index].limit for name, index in found.items()}
    return {metric.name: limit if (limit := limits.get(metric.name, 0)) > 0 else MOST_KEPT for metric in metrics}


# What of a metric a version of the controller knows: the rest its cluster drops, without a word.


def pruned(metric: Metric, controller: Controller) -> Metric:
    """Return a metric without the fields that a version does not have."""
    if not controller.can(Ability.CONSECUTIVE_SUCCESS_LIMIT):
        metric = replace(metric, consecutive_success_limit=None)
    if metric.prometheus is None:
        return metric
    return replace(metric, prometheus=_asked(metric.prometheus, controller))


def _asked(asked: Prometheus, controller: Controller) -> Prometheus:
    proof = asked.authentication
    return replace(
        asked,
        authentication=Authentication(
            proof.sigv4,
            proof.oauth2 if controller.can(Ability.OAUTH2) else OAuth2(),
            proof.basic_auth if controller.can(Ability.BASIC_AUTH) else BasicAuth(),
        ),
        range_query=asked.range_query if controller.can(Ability.RANGE_QUERY) else None,
        headers=asked.headers if controller.can(Ability.HEADERS) else (),
    )
