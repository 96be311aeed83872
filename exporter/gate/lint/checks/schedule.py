"""Times: durations as Go reads them, and whether what is asked can have been measured by then."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from exporter.gate.go_format import duration, written
from exporter.gate.lint.checks.limits import number
from exporter.gate.lint.checks.queries import parsed
from exporter.gate.promql import counts_up, ranges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.finding import Spot
    from exporter.gate.lint.inputs import Gates, Metric

NANO = 1e9


def seconds(metric: Metric, *path: str) -> float | None:
    """Return a duration in seconds, None when it is absent, an argument's, or none."""
    text = metric.known(*path)
    try:
        return duration(text) / NANO if text else None
    except ValueError:
        return None


def malformed(gates: Gates) -> Iterator[Spot]:
    """Find durations that Go does not read."""
    for metric in gates.metrics:
        for path in (("interval",), ("initialDelay",), ("provider", "prometheus", "rangeQuery", "step")):
            text = metric.known(*path)
            try:
                duration(text or "0")
            except ValueError as error:
                cure = "write 24h for a day" if "unknown unit" in str(error) else "write 30s, 5m or 1h30m"
                why = (
                    f"{path[-1]} {text!r} is no duration ({error}): the run becomes Error before its first measurement"
                )
                yield metric.spot(path, why, cure)


def no_delay(gates: Gates) -> Iterator[Spot]:
    """Find gates that measure at once: the store has nothing yet of what the canary did."""
    for metric in gates.prometheus:
        if metric.raw("initialDelay") is None and not metric.gate.is_run:
            yield metric.spot(
                (),
                "without initialDelay the first measurement looks at the time before the canary had traffic",
                f"add initialDelay: {written(gates.around.delay + longest(metric))}"
                " (the query's range, and how long it takes until what is written can be read)",
            )


def short_delay(gates: Gates) -> Iterator[Spot]:
    """Find an initialDelay that is over before anything can be read."""
    for metric in gates.prometheus:
        delay = seconds(metric, "initialDelay")
        if delay is not None and delay < gates.around.delay:
            yield metric.spot(
                ("initialDelay",),
                f"it takes about {written(gates.around.delay)} until what is written can be read, and this waits less",
                f"write {written(gates.around.delay + longest(metric))}; `verify` measures how long it takes",
            )


def short_interval(gates: Gates) -> Iterator[Spot]:
    """Find an interval within which nothing new is scraped: one sample is judged several times."""
    for metric in gates.prometheus:
        interval = seconds(metric, "interval")
        if interval is not None and interval < gates.around.scrape:
            scrape = written(gates.around.scrape)
            why = (
                f"interval {written(interval)} is shorter than the scrape interval {scrape}: one sample is judged twice"
            )
            yield metric.spot(("interval",), why, f"write {scrape} or more, or lint with --scrape-interval")


def short_range(gates: Gates) -> Iterator[Spot]:
    """Find rates over a range that does not hold two scrapes."""
    for metric in gates.prometheus:
        query = parsed(metric)
        least = 2 * gates.around.scrape
        for function, span in ranges(query.expression) if query else ():
            if counts_up(function) and span < least:
                scrape = written(gates.around.scrape)
                yield metric.spot(
                    ("provider", "prometheus", "query"),
                    f"{function}(…[{written(span)}]) needs two samples, scraped every {scrape}: often there are less",
                    f"write [{written(2 * least)}] or more, or lint with --scrape-interval",
                )
                break


def overlapping(gates: Gates) -> Iterator[Spot]:
    """Find ranges so long that one moment fails more measurements than failureLimit tolerates."""
    for metric in gates.prometheus:
        interval, limit = seconds(metric, "interval"), number(metric, "failureLimit") or 0
        if interval and limit > 0 and ceil(longest(metric) / interval) > limit:
            within = ceil(longest(metric) / interval)
            yield metric.spot(
                ("provider", "prometheus", "query"),
                f"one bad moment is in {within} measurements ([{written(longest(metric))}] every {written(interval)}),"
                f" and failureLimit tolerates {limit}: it protects from nothing",
                f"shorten the range to [{written(interval)}], or raise failureLimit to {within}",
            )


def longest(metric: Metric) -> float:
    """Return the longest range of a metric's query in seconds, 0 when it has none."""
    query = parsed(metric)
    return max((span for _, span in ranges(query.expression)), default=0.0) if query else 0.0
