"""Times: durations as Go parses them, and whether the measured data can exist by then."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

from exporter.gate import promql
from exporter.gate.go_format import format_duration, parse_duration
from exporter.gate.lint.checks.limits import REFUSED, limit_value
from exporter.gate.lint.condition_tester import QUERY, parse_query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.findings import Issue
    from exporter.gate.lint.inputs import LintInput, MetricView

DURATION_FIELDS: Final = (("interval",), ("initialDelay",), ("provider", "prometheus", "rangeQuery", "step"))
MIN_SAMPLES: Final = 2
"""What a rate needs in its range."""
NANOSECONDS: Final = 1e9


def check_duration(lint_input: LintInput) -> Iterator[Issue]:
    """Report durations that Go does not parse."""
    for metric in lint_input.metrics:
        for path in DURATION_FIELDS:
            text = metric.resolved_text(*path)
            try:
                parse_duration(text or "0")
            except ValueError as error:
                hint = "write 24h for a day" if "unknown unit" in str(error) else "write 30s, 5m or 1h30m"
                yield metric.issue(path, f"{path[-1]} {text!r} is not a duration ({error}): {REFUSED}", hint)


def check_no_delay(lint_input: LintInput) -> Iterator[Issue]:
    """Report gates that measure at once, when the store has no data of the canary yet."""
    for metric in lint_input.prometheus_metrics:
        if metric.raw("initialDelay") is None and not metric.gate.is_run:
            delay = format_duration(lint_input.context.delay_of(metric.store) + max_range_seconds(metric))
            reason = "without initialDelay the first measurement covers the time before the canary had traffic"
            hint = f"add initialDelay: {delay} (the query's range plus the delay until a sample can be read)"
            yield metric.issue((), reason, hint)


def check_short_delay(lint_input: LintInput) -> Iterator[Issue]:
    """Report an initialDelay shorter than the delay until a sample can be read."""
    for metric in lint_input.prometheus_metrics:
        read_delay = lint_input.context.delay_of(metric.store)
        delay = _duration_seconds(metric, "initialDelay")
        if delay is not None and delay < read_delay:
            reason = f"initialDelay is shorter than the {format_duration(read_delay)} until a sample can be read"
            hint = f"write {format_duration(read_delay + max_range_seconds(metric))}; `verify` measures the delay"
            yield metric.issue(("initialDelay",), reason, hint)


def check_short_interval(lint_input: LintInput) -> Iterator[Issue]:
    """Report an interval shorter than the scrape interval."""
    scrape_interval = lint_input.context.scrape_interval
    for metric in lint_input.prometheus_metrics:
        interval = _duration_seconds(metric, "interval")
        if interval is not None and interval < scrape_interval:
            scrape = format_duration(scrape_interval)
            reason = f"interval {format_duration(interval)} is shorter than the scrape interval {scrape}"
            hint = f"write {scrape} or more, or lint with --scrape-interval"
            yield metric.issue(("interval",), f"{reason}: the same sample is measured twice", hint)


def check_short_range(lint_input: LintInput) -> Iterator[Issue]:
    """Report rates over a range that does not contain two scrapes."""
    scrape_interval = lint_input.context.scrape_interval
    min_range = MIN_SAMPLES * scrape_interval
    for metric in lint_input.prometheus_metrics:
        query = parse_query(metric)
        for function, seconds in promql.ranges(query.expression) if query else ():
            if function in promql.TWO_SAMPLE_FUNCTIONS and seconds < min_range:
                yield metric.issue(
                    QUERY,
                    f"{function}(…[{format_duration(seconds)}]) needs two samples, and the scrape interval is"
                    f" {format_duration(scrape_interval)}: the range often has fewer",
                    f"write [{format_duration(2 * min_range)}] or more, or lint with --scrape-interval",
                )
                break


def check_overlap(lint_input: LintInput) -> Iterator[Issue]:
    """Report ranges so long that one bad moment fails more measurements than failureLimit tolerates."""
    for metric in lint_input.prometheus_metrics:
        interval, limit = _duration_seconds(metric, "interval"), limit_value(metric, "failureLimit") or 0
        if interval and limit > 0 and ceil(max_range_seconds(metric) / interval) > limit:
            count = ceil(max_range_seconds(metric) / interval)
            every, length = format_duration(interval), format_duration(max_range_seconds(metric))
            reason = (
                f"one bad moment is part of {count} measurements ([{length}] every {every}), but failureLimit tolerates"
                f" only {limit}: it gives no protection"
            )
            yield metric.issue(QUERY, reason, f"shorten the range to [{every}], or raise failureLimit to {count}")


def max_range_seconds(metric: MetricView) -> float:
    """Return the longest range of a metric's query, 0 if it has none."""
    query = parse_query(metric)
    return max((seconds for _, seconds in promql.ranges(query.expression)), default=0.0) if query else 0.0


def _duration_seconds(metric: MetricView, *path: str) -> float | None:
    """Return a duration in seconds, None if it is absent, unknown or invalid."""
    text = metric.resolved_text(*path)
    try:
        return parse_duration(text) / NANOSECONDS if text else None
    except ValueError:
        return None
