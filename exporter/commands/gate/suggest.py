"""`gate suggest`: reads a service's past traffic, and prints which gate would judge it how well."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Final

from exporter.commands.gate.backtest import query_series
from exporter.commands.gate.display import table_lines
from exporter.commands.gate.estimate import format_minutes, read_endpoint
from exporter.commands.gate.load import GateError
from exporter.gate.render.answers import Signal
from exporter.gate.render.evidence import bursts_query, traffic_queries
from exporter.gate.suggestion import (
    LIMIT_MINUTES,
    SequentialSuggestion,
    history_of,
    suggest_sequential,
    suggest_threshold,
    suggestions_json,
)
from exporter.net.prometheus_api import PrometheusClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exporter.gate.render.answers import Answers, Credential
    from exporter.gate.suggestion import ThresholdSuggestion, TrafficHistory

HOUR: Final = 3600.0
BURST_STEP: Final = 6 * HOUR
"""The dispersion is that of six hours."""
MONTH: Final = 30 * 86400.0
DEFAULT_UPDATES: Final = 20.0
"""Updates a month of a service whose updates the exporter has not counted: one per working day."""
SEQUENTIAL_COLUMNS: Final = (
    "weight", "--worse", "passes after", "caught after", "passes, quiet hours", "finds in 1 h", "in quiet hours",
)  # fmt: skip
THRESHOLD_COLUMNS: Final = ("weight", "interval", "fails at", "false aborts a month", "finds")


@dataclass(frozen=True, slots=True)
class SuggestOptions:
    """The options of `gate suggest`: since when (Unix seconds), updates a month (None: counted), the output."""

    start: float
    updates: float | None = None
    as_json: bool = False


async def suggest(answers: Answers, credential: Credential | None, options: SuggestOptions) -> Iterator[str]:
    """Return the lines of the suggestions. Raises GateError."""
    history = await _history(answers, credential, options)
    sequential = tuple(suggest_sequential(history, answers.miss))
    # The threshold of a latency gate is that of a quantile, which a share of slow requests does not give.
    thresholds = tuple(suggest_threshold(history)) if answers.signal is Signal.ERROR_RATE else ()
    if options.as_json:
        return iter((json.dumps(_document(history, sequential, thresholds)),))
    return _lines(answers, history, sequential, thresholds)


async def _history(answers: Answers, credential: Credential | None, options: SuggestOptions) -> TrafficHistory:
    """Read the traffic of the past. Raises GateError."""
    now = time.time() // HOUR * HOUR
    if not answers.read_address:
        raise GateError("--address is missing, or --cluster-id and --organization")
    async with PrometheusClient(read_endpoint(answers.read_address, credential)) as client:
        requests, bad = [
            await _values(client, query, options.start, now, HOUR) for query in traffic_queries(answers, int(HOUR))
        ]
        bursts = await _values(client, bursts_query(answers), options.start, now, BURST_STEP)
        updates = (
            options.updates if options.updates is not None else await _updates(client, answers, options.start, now)
        )
    times = [timestamp for timestamp in requests if timestamp in bad]
    history = history_of(
        [requests[timestamp] for timestamp in times],
        [bad[timestamp] for timestamp in times],
        [*bursts.values()],
        updates,
    )
    if not history.hours:
        raise GateError(
            f"the store has no requests of {answers.service} in this time; check --service, --metric, --service-label "
            "and --namespace"
        )
    return history


async def _values(client: PrometheusClient, query: str, start: float, end: float, step: float) -> dict[float, float]:
    """Return the finite values of a query's only series by time. Raises GateError."""
    series = await query_series(client, query, start, end, step)
    return {timestamp: value for row in series for timestamp, value in row.points if isfinite(value)}


async def _updates(client: PrometheusClient, answers: Answers, start: float, end: float) -> float:
    """Return the updates in a month that the exporter has counted, a usual number without any. Raises GateError."""
    matchers = f'name="{answers.rollout_name}"' + (f', namespace="{answers.namespace}"' if answers.namespace else "")
    counters = await query_series(
        client, f"sum(max by (namespace, name, result) (argo_rollouts_updates_total{{{matchers}}}))", start, end, HOUR
    )
    growth = sum(max(after - before, 0.0) for row in counters for (_, before), (_, after) in pairwise(row.points))
    return growth * MONTH / (end - start) if growth else DEFAULT_UPDATES


def _document(
    history: TrafficHistory, sequential: Sequence[SequentialSuggestion], thresholds: Sequence[ThresholdSuggestion]
) -> Mapping[str, object]:
    typical, quiet = history.typical, history.quiet
    return {
        "hours": len(history.hours),
        "updates_a_month": history.updates,
        "requests_per_second": {"median": typical.requests, "quiet": quiet.requests},
        "bad_share": typical.bad_share,
        "burst": typical.burst,
        "sequential": suggestions_json(sequential),
        "threshold": suggestions_json(thresholds),
    }


def _lines(
    answers: Answers,
    history: TrafficHistory,
    sequential: Sequence[SequentialSuggestion],
    thresholds: Sequence[ThresholdSuggestion],
) -> Iterator[str]:
    typical, quiet = history.typical, history.quiet
    yield (
        f"{answers.service}: {typical.requests:.3g} requests/s (quiet hours: {quiet.requests:.3g}), "
        f"{typical.bad_share:.3%} bad, bursts {typical.burst:.1f}, {history.updates:.0f} updates a month"
    )
    first = sequential[0]
    yield (
        f"\nsequential: --false-alarm {first.false_alarm:g} is at most {first.false_aborts:.2g} false aborts a month; "
        "traffic as in the median hour"
    )
    yield from table_lines(SEQUENTIAL_COLUMNS, (_sequential_cells(row) for row in sequential))
    if thresholds:
        yield "\nthreshold: 3 bad ones of 5 measurements"
        yield from table_lines(THRESHOLD_COLUMNS, (_threshold_cells(row) for row in thresholds))
    yield ""
    yield from _advice(answers, sequential)


def _sequential_cells(row: SequentialSuggestion) -> Iterator[str]:
    yield f"{row.weight} %"
    yield f"{row.worse:g}"
    for minutes in (row.pass_minutes, row.catch_minutes, row.quiet_pass_minutes):
        yield format_minutes(max(minutes, 1.0)) if isfinite(minutes) else "never"
    for factor in (row.detectable, row.quiet_detectable):
        yield _factor(factor)


def _threshold_cells(row: ThresholdSuggestion) -> Iterator[str]:
    yield f"{row.weight} %"
    yield f"{row.window // 60} min"
    yield f"{row.failure:.2%}"
    yield f"{row.false_aborts:.2g}"
    yield _factor(row.detectable)


def _factor(factor: float) -> str:
    return f"{factor:.1f}x" if isfinite(factor) else "nothing"


def _advice(answers: Answers, sequential: Sequence[SequentialSuggestion]) -> Iterator[str]:
    chosen = next((row for row in sequential if row.decides), None)
    if chosen is None:
        yield (
            f"at this traffic no gate decides within {LIMIT_MINUTES:.0f} minutes at any weight: most equal canaries "
            "stay undecided, and the rollout pauses. Judge by latency, raise --count, or let a person decide"
        )
        return
    test = f"--worse {chosen.worse:g} --false-alarm {chosen.false_alarm:g} --miss {chosen.miss:g}"
    yield (
        f"suggested: gate render --test sequential --signal {answers.signal} --service {answers.service} {test} "
        f"--weight {chosen.weight}"
    )
