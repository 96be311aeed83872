"""`gate backtest`: finds the past updates in the store, and runs a gate over the canary of each."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exporter import log
from exporter.commands.gate.display import format_minute, format_time, table_lines
from exporter.commands.gate.load import GateError, argument_names_of, load_gate, read_text, with_default_address
from exporter.commands.gate.run import endpoint, unsupported
from exporter.commands.progress import progress
from exporter.gate.analysis_run import AnalysisRunStatus, make_plan
from exporter.gate.arguments import resolve, rollout_arguments
from exporter.gate.backtest import (
    BAD_ENDS,
    STEP_SECONDS,
    GateDecision,
    JudgedUpdate,
    PastUpdate,
    UpdateEnd,
    Verdict,
    decision,
    find_updates,
    judged_json,
    summary,
)
from exporter.gate.expr import UnsupportedError
from exporter.gate.injection import InjectionError, inject
from exporter.gate.measured import first_number
from exporter.gate.metric_provider import MetricProvider
from exporter.gate.runner import ReplayClock
from exporter.gate.runner import run as run_analysis
from exporter.gate.simulation import resolve_with_secrets
from exporter.metrics import Failure
from exporter.net.prometheus_api import PrometheusClient
from exporter.net.prometheus_response import Matrix, RangeSeries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exporter.commands.gate.load import GateSource, LoadedGate
    from exporter.gate.controller import ControllerVersion
    from exporter.gate.template import Metric
    from exporter.metrics import Labels
    from exporter.net.prometheus_api import PrometheusEndpoint

MAX_POINTS: Final = 8640
"""Points of a range query: six days at a step of a minute. Prometheus answers at most 11,000."""
CONCURRENT_RUNS: Final = 4
"""So that a back-test is quick and the store still has time for others."""
MIN_SECONDS: Final = 120.0
"""A shorter canary has been measured by no gate."""
NO_VALUES: Final = "no query returned a value; check --service, and the labels in the queries"
"""The message of a gate that did not decide because it measured nothing."""
COLUMNS: Final = ("rollout", "canary from", "min", "ended", "gate", "after", "")
"""Of the table: `min` is how long the canary lived, `after` the minutes until the gate decided."""
_EXAMPLE: Final = PastUpdate("-", "-", "-", 0.0, 0.0)
"""An update for which the gate is loaded once, before the updates are found, for the address of its store."""


@dataclass(frozen=True, slots=True)
class BacktestOptions:
    """The options of `gate backtest`: the controller, the time to search (Unix seconds), the service, the output."""

    controller: ControllerVersion
    start: float
    service: str = ""
    rollout: str = ""
    """Name, or namespace/name, of the rollout; "" for that of the service's name, or all."""
    factor: float | None = None
    as_json: bool = False


async def backtest(source: GateSource, options: BacktestOptions) -> None:
    """Back-test a gate, and print the result. Raises GateError."""
    text = read_text(source.file)
    names = argument_names_of(source, text)
    store = _store(_load(source, text, names, _EXAMPLE, options))
    updates = await _find_updates(store, options)
    semaphore = asyncio.Semaphore(CONCURRENT_RUNS)

    async def judge(update: PastUpdate) -> JudgedUpdate:
        async with semaphore:
            gate = _load(source, text, names, update, options)
            injected = None if options.factor is None else await _decide(gate, update, options, options.factor)
            return JudgedUpdate(update, await _decide(gate, update, options), injected)

    tasks = [asyncio.ensure_future(judge(update)) for update in updates]
    try:
        with progress("judging", "updates", len(tasks)) as judging:
            judged = []
            for task in tasks:
                judged.append(await task)
                judging.done += 1
    except UnsupportedError as error:
        raise unsupported(error) from None
    finally:
        for task in tasks:
            task.cancel()
    _print(judged, options)


def _load(
    source: GateSource, text: str, names: Iterable[str], update: PastUpdate, options: BacktestOptions
) -> LoadedGate:
    """Load the gate with the arguments that the Rollout passes; the user's take precedence. Raises GateError."""
    values = rollout_arguments(update.namespace, update.rollout, update.hash, options.service)
    user_names = {argument.partition("=")[0] for argument in (*source.arguments, *source.argument_files)}
    added = tuple(f"{name}={value}" for name, value in values.items() if name in names and name not in user_names)
    gate = load_gate(replace(source, arguments=(*source.arguments, *added)), need_secrets=True, text=text)
    return with_default_address(gate)


def _store(gate: LoadedGate) -> PrometheusEndpoint:
    """Return the store of the gate's first metric. Raises GateError."""
    values = {argument.name: gate.secrets.get(argument.name, argument.value) for argument in gate.spec.args}
    for metric in gate.spec.metrics:
        provider = resolve(metric, values).prometheus
        if provider:
            return endpoint(provider)
    raise GateError("the gate has no metric of a Prometheus")


async def _find_updates(store: PrometheusEndpoint, options: BacktestOptions) -> list[PastUpdate]:
    """Return the updates in the store. Raises GateError if there are none, or none can be read."""
    namespace, _, rollout = (options.rollout or options.service).rpartition("/")
    matchers = "".join(
        f', {label}="{value}"' for label, value in (("namespace", namespace), ("name", rollout)) if value
    )
    pods = f'argo_rollouts_pod_info{{role="canary"{matchers}}}'
    canaries = f"max by (namespace, name, pod_template_hash) ({pods} == 1)"
    counters = f"max by (namespace, name, result) (argo_rollouts_updates_total{{{matchers.removeprefix(', ')}}})"
    now = time.time()
    async with PrometheusClient(store) as client:
        series = [await query_series(client, query, options.start, now) for query in (canaries, counters)]
    all_updates = find_updates(series[0], series[1], now)
    updates = [update for update in all_updates if update.end - update.start >= MIN_SECONDS]
    if not updates:
        name = f"of rollout {rollout}" if rollout else "of any rollout"
        hint = "set --rollout if it is not named like the service" if rollout else "lengthen --since"
        raise GateError(
            f"there is no canary {name} in argo_rollouts_pod_info since {format_time(options.start)}; {hint}"
        )
    return updates


async def query_series(
    client: PrometheusClient, query: str, start: float, end: float, step: float = STEP_SECONDS
) -> list[RangeSeries]:
    """Return the series of a range query, in as many requests as it needs. Raises GateError."""
    points: dict[Labels, list[tuple[float, float]]] = {}
    while start <= end:
        part_end = min(start + (MAX_POINTS - 1) * step, end)
        result = await client.query_range(query, start, part_end, step)
        if isinstance(result, Failure):
            raise GateError(result.message)
        for series in result.value.series if isinstance(result.value, Matrix) else ():
            points.setdefault(series.labels, []).extend(series.points)
        start = part_end + step
    return [RangeSeries(labels, tuple(values)) for labels, values in points.items()]


async def _decide(
    gate: LoadedGate, update: PastUpdate, options: BacktestOptions, factor: float | None = None
) -> GateDecision:
    """Run the gate over the canary. Raises GateError, and UnsupportedError for a condition."""
    plan = make_plan(gate.spec, options.controller)
    if isinstance(plan, AnalysisRunStatus):
        raise GateError(plan.message)
    metrics: Mapping[str, Metric] = resolve_with_secrets(gate.spec, plan, options.controller, gate.secrets)
    if factor is not None:
        metrics = _injected(metrics, factor, update.hash)
    endpoints = {name: endpoint(metric.prometheus) for name, metric in metrics.items() if metric.prometheus}
    async with MetricProvider(metrics, endpoints, options.controller, live=False) as provider:
        clock = ReplayClock(update.start)
        result = await run_analysis(plan, provider.measure, clock, lambda *_: None, update.end - update.start)
    decided = decision(result.status, update.start)
    has_value = any(first_number(trace.evaluation.outcome.value) is not None for trace in result.traces)
    is_open = decided.verdict in {Verdict.UNDECIDED, Verdict.PAUSED}
    return replace(decided, message=NO_VALUES) if is_open and not has_value else decided


def _injected(metrics: Mapping[str, Metric], factor: float, canary_hash: str) -> dict[str, Metric]:
    """Return the metrics with the canary's bad requests scaled. Raises GateError if none counts them."""
    changed, reason = dict(metrics), ""
    for name, metric in metrics.items():
        if metric.prometheus:
            try:
                query = inject(metric.prometheus.query, factor, canary_hash)
            except InjectionError as error:
                reason = f"--inject: metric {name}: {error}"
                continue
            changed[name] = replace(metric, prometheus=replace(metric.prometheus, query=query))
    if all(changed[name] is metric for name, metric in metrics.items()):
        raise GateError(reason)
    return changed


def _print(judged: list[JudgedUpdate], options: BacktestOptions) -> None:
    document = summary(judged, options.factor)
    if options.as_json:
        print(json.dumps({"updates": [judged_json(item) for item in judged], "summary": document}))  # noqa: T201
        return
    lines = [*_table_lines(judged, options.factor), *_summary_lines(document), *_reason_lines(judged)]
    print("\n".join(lines))  # noqa: T201


def _table_lines(judged: list[JudgedUpdate], factor: float | None) -> Iterator[str]:
    """Yield a row for each update. The name of the only rollout is a line, so that the table fits 80 columns."""
    columns = (*COLUMNS, *([f"at {factor:g}x", "after"] if factor else []))
    rows = [tuple(_cells(item)) for item in judged]
    rollouts = {row[0] for row in rows}
    if len(rollouts) == 1:
        yield f"Rollout {rollouts.pop()}"
        columns, rows = columns[1:], [row[1:] for row in rows]
    yield from table_lines(columns, rows)


def _cells(item: JudgedUpdate) -> Iterator[str]:
    update = item.update
    yield f"{update.namespace}/{update.rollout}"
    yield format_minute(update.start)
    yield f"{(update.end - update.start) / 60:.0f}"
    yield str(update.result)
    for decided in (item.decision, item.injected):
        if decided is not None:
            yield str(decided.verdict)
            yield f"{decided.seconds / 60:.0f}"
        if decided is item.decision:
            yield item.assessment


def _reason_lines(judged: Iterable[JudgedUpdate]) -> Iterator[str]:
    """Yield each reason for which the gate could not decide, with the number of updates."""
    decisions = [item.decision for item in judged]
    reasons = Counter(
        f"{decided.verdict}: {decided.message}"
        for decided in decisions
        if decided.verdict is Verdict.ERROR or decided.message == NO_VALUES
    )
    for reason, count in reasons.items():
        yield log.REDACTOR.redact(f"{count} {reason}")


def _summary_lines(document: Mapping[str, object]) -> Iterator[str]:
    """Yield the summary in sentences."""
    verdicts, ended = document["verdicts"], document["ended"]
    assert isinstance(verdicts, dict)
    assert isinstance(ended, dict)
    ends = ", ".join(f"{count} {end}" for end, count in ended.items())
    counts = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in Verdict if verdicts[verdict])
    yield f"{document['updates']} updates ({ends}); the gate: {counts}"
    bad = sum(ended.get(end, 0) for end in BAD_ENDS)
    yield (
        f"of {bad} that ended badly {document['caught']} caught and {document['missed']} missed; of "
        f"{ended.get(UpdateEnd.PROMOTED, 0)} promoted {document['false_alarms']} stopped (false alarms, or regressions "
        "that nobody noticed)"
    )
    times = (("stop", document["median_minutes_to_stop"]), ("pass", document["median_minutes_to_pass"]))
    medians = [f"{minutes:g} min to {what}" for what, minutes in times if isinstance(minutes, float)]
    if medians:
        yield f"median: {', '.join(medians)}"
    injected = document.get("injected")
    if isinstance(injected, dict):
        after = f", after a median of {injected['median_minutes']:g} min" if injected["stopped"] else ""
        yield (
            f"with {injected['factor']:g} times the canary's bad requests, of {injected['updates']} that did not end "
            f"badly {injected['stopped']} would have been stopped{after}"
        )
