"""Shadow gates: evaluated beside real updates in tasks of their own, and only reported.

A run starts when an update has canary or preview pods and ends with it. Nothing here can slow or fail a cycle or a
scrape: queries are few at once, their responses short, the number of runs is bounded, and every error becomes a reason
of an own metric and a line of the log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from exporter.gate.analysis_run import AnalysisPhase, AnalysisRunStatus
from exporter.gate.backtest import GateDecision, Verdict, decision
from exporter.gate.expr import UnsupportedError
from exporter.gate.measured import first_number, thresholds
from exporter.gate.metric_provider import MetricProvider
from exporter.gate.runner import RealClock, run
from exporter.incremental import SeriesFactory
from exporter.log import fields
from exporter.metrics import MetricFamily, MetricType, family_from_samples
from exporter.rollouts.model import PodRole, UpdateState
from exporter.self_metrics import OwnMetric
from exporter.service.shadow_gates import CONTROLLER, ShadowGateError, WatchedUpdate, load_shadow_gate
from exporter.service.wiring import read_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exporter.config.outputs import ShadowGateSection
    from exporter.config.settings import Settings
    from exporter.gate.analysis_run import AnalysisPlan, MetricResult
    from exporter.gate.provider import MetricEvaluation
    from exporter.gate.simulation import MeasurementTrace
    from exporter.gate.template import Metric
    from exporter.metrics import Labels, Series
    from exporter.rollouts.model import Rollout
    from exporter.self_metrics import SelfMetrics
    from exporter.service.shadow_gates import ShadowGate

_log = logging.getLogger(__name__)
MAX_RUNS: Final = 200
"""Runs at a time, of all gates and rollouts: each has some series, and a query per metric and interval."""
CONCURRENT_QUERIES: Final = 4
"""Queries at a time, so that the store still has time for others."""
MIN_QUERY_SECONDS: Final = 0.2
"""How long a query takes its place at least: a gate with an interval of milliseconds is no load for the store."""
MAX_RESPONSE: Final = 1024**2
"""Bytes of a response: a gate reads a few series, and parsing holds the event loop."""
_UNDER_WAY: Final = frozenset({UpdateState.UPDATING, UpdateState.UNKNOWN})
"""Unknown, too, so that a restart of the controllers does not end a run; only a known update starts one."""
VALUE: Final = "argo_rollouts_gate_value"
VERDICT: Final = "argo_rollouts_gate_verdict"
THRESHOLD: Final = "argo_rollouts_gate_threshold"
HELP: Final = {
    VALUE: "Last value that a shadow gate measured during this update.",
    VERDICT: "What a shadow gate would have done with this update: 1 for the current verdict, else 0.",
    THRESHOLD: "Number with which a condition of a shadow gate compares the value.",
}
REASONS: Final = ("template", "limit", "query", "condition", "credential", "unexpected")
"""Why a gate is not evaluated."""


@dataclass(slots=True)
class ShadowRun:
    """One gate for one update: its plan, its last status, and when it started (Unix seconds)."""

    gate: str
    update: WatchedUpdate
    started_at: float = field(default_factory=time.time)
    plan: AnalysisPlan | None = None
    status: AnalysisRunStatus = field(default_factory=AnalysisRunStatus)
    task: asyncio.Task[None] | None = None
    errors: set[str] = field(default_factory=set)

    @property
    def decision(self) -> GateDecision:
        """Return the verdict so far."""
        return decision(self.status, self.started_at)

    def labels(self, *more: tuple[str, str]) -> Labels:
        """Return the labels of a series of this run."""
        return ("namespace", self.update.namespace), ("name", self.update.name), ("gate", self.gate), *more


@dataclass(frozen=True, slots=True)
class ConfiguredGate:
    """A section of the settings with its gate, or with why it has none."""

    section: ShadowGateSection
    gate: ShadowGate | None = None
    error: str = ""

    @property
    def name(self) -> str:
        """The gate's name, that of its file if it cannot be loaded."""
        return self.gate.name if self.gate is not None else getattr(self.section.template, "stem", "gate")


class ShadowGates:
    """Runs the gates of the settings; everything is called on the event loop, and nothing raises."""

    def __init__(self, settings: Settings, self_metrics: SelfMetrics) -> None:
        self._settings = settings
        self._self_metrics = self_metrics
        for reason in REASONS:
            self._self_metrics.add(OwnMetric.SHADOW_GATE_ERRORS, reason, amount=0)
        self.loaded = tuple(self._load())
        self._gates = tuple(loaded.gate for loaded in self.loaded if loaded.gate is not None)
        self._runs: dict[tuple[str, WatchedUpdate], ShadowRun] = {}
        self._omitted: set[tuple[str, WatchedUpdate]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._queries = asyncio.Semaphore(CONCURRENT_QUERIES)
        self._series = SeriesFactory()
        self._families: tuple[MetricFamily, ...] | None = ()
        self._pushed: tuple[MetricFamily, ...] = ()

    def _load(self) -> Iterator[ConfiguredGate]:
        for section in self._settings.gates:
            try:
                yield ConfiguredGate(section, load_shadow_gate(section, self._settings.read.url))
            except ShadowGateError as error:
                self._count_error("template")
                _log.error("shadow gate is not evaluated", extra=fields(reason="template", message=str(error)))
                yield ConfiguredGate(section, error=str(error))

    @property
    def runs(self) -> tuple[ShadowRun, ...]:
        """The runs of the updates that are under way."""
        return tuple(self._runs.values())

    def observe(self, rollouts: Iterable[Rollout]) -> None:
        """Start the runs of updates that began, and end those of updates that ended."""
        try:
            watched = {update: rollout for rollout in rollouts if (update := watched_update(rollout)) is not None}
            for key, shadow_run in list(self._runs.items()):
                if key[1] not in watched:
                    self._end(key, shadow_run)
            self._start_missing([update for update, rollout in watched.items() if _has_canary(rollout)])
        except Exception as error:  # noqa: BLE001 - a shadow gate must never fail a cycle
            self._unexpected(error)

    def _start_missing(self, updates: Sequence[WatchedUpdate]) -> None:
        matched = {
            (gate.name, update): gate
            for update in updates
            for gate in reversed(self._gates)  # of gates with one name the first one applies
            if gate.section.matches(update.namespace, update.name)
        }
        self._omitted &= matched.keys()
        for key, gate in matched.items():
            if key in self._runs:
                continue
            if len(self._runs) < MAX_RUNS:
                self._start(key, gate)
                self._omitted.discard(key)
            elif key not in self._omitted:
                self._omit(key)

    def _start(self, key: tuple[str, WatchedUpdate], gate: ShadowGate) -> None:
        shadow_run = self._runs[key] = ShadowRun(*key)
        self._families = None
        task = shadow_run.task = asyncio.create_task(self._run(gate, shadow_run), name=f"shadow gate {gate.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _omit(self, key: tuple[str, WatchedUpdate]) -> None:
        if self._omitted:  # logged for the first one only
            self._count_error("limit")
        else:
            message = f"{MAX_RUNS} gates are evaluated already; match fewer rollouts in `gates`"
            self._report("limit", ShadowRun(*key), message)
        self._omitted.add(key)

    def _end(self, key: tuple[str, WatchedUpdate], shadow_run: ShadowRun) -> None:
        del self._runs[key]
        self._families = None
        if shadow_run.task is not None:
            shadow_run.task.cancel()
        if shadow_run.decision.verdict is Verdict.UNDECIDED:
            self._log_decision("shadow gate was undecided when the update ended", shadow_run)

    async def _run(self, gate: ShadowGate, shadow_run: ShadowRun) -> None:
        """Evaluate a gate to its end; whatever goes wrong becomes the verdict `error`."""
        try:
            await self._evaluate(gate, shadow_run)
        except UnsupportedError as error:  # a ValueError, too
            self._fail("condition", shadow_run, f"only the controller can evaluate it: {error.message}")
        except ShadowGateError as error:
            self._fail("template", shadow_run, str(error))
        except (OSError, ValueError) as error:
            self._fail("credential", shadow_run, f"{error}; check the files of `read`")
        except Exception as error:  # noqa: BLE001 - a shadow gate must never end the process
            self._unexpected(error)
            shadow_run.status = AnalysisRunStatus(AnalysisPhase.ERROR, "unexpected error")
        self._families = None

    async def _evaluate(self, gate: ShadowGate, shadow_run: ShadowRun) -> None:
        endpoint = replace(read_endpoint(self._settings.read), max_bytes=MAX_RESPONSE)
        plan = shadow_run.plan = gate.plan(shadow_run.update, endpoint.address)
        metrics = {metric.name: metric for metric in plan.metrics}
        async with MetricProvider(metrics, dict.fromkeys(metrics, endpoint), CONTROLLER, live=True) as provider:
            on_step = partial(self._on_step, shadow_run)
            await run(plan, partial(self._measure, provider), RealClock(), on_step, with_traces=False)
        self._log_decision("shadow gate decided", shadow_run)

    async def _measure(self, provider: MetricProvider, metric: Metric, now: float) -> MetricEvaluation:
        async with self._queries:
            started = time.monotonic()
            try:
                return await provider.measure(metric, now)
            finally:
                await asyncio.sleep(max(started + MIN_QUERY_SECONDS - time.monotonic(), 0))

    def _on_step(
        self, shadow_run: ShadowRun, status: AnalysisRunStatus, traces: Sequence[MeasurementTrace], _: float | None
    ) -> None:
        shadow_run.status = status
        self._families = None
        for trace in traces:
            outcome = trace.evaluation.outcome
            if outcome.phase is AnalysisPhase.ERROR:
                message = trace.evaluation.hint or outcome.message
                self._report("query", shadow_run, f"metric {trace.metric.name}: {message}")

    def _fail(self, reason: str, shadow_run: ShadowRun, message: str) -> None:
        shadow_run.status = AnalysisRunStatus(AnalysisPhase.ERROR, message)
        self._report(reason, shadow_run, message)

    def _report(self, reason: str, shadow_run: ShadowRun, message: str) -> None:
        """Count an error, and log it unless it is that of an earlier measurement."""
        self._count_error(reason)
        if reason not in shadow_run.errors:
            shadow_run.errors.add(reason)
            context = dict(shadow_run.labels())
            _log.warning("shadow gate is not evaluated", extra=fields(**context, reason=reason, message=message))

    def _unexpected(self, error: Exception) -> None:
        self._count_error("unexpected")
        _log.error("shadow gates failed; please report this", exc_info=error)

    def _count_error(self, reason: str) -> None:
        self._self_metrics.add(OwnMetric.SHADOW_GATE_ERRORS, reason)

    def _log_decision(self, event: str, shadow_run: ShadowRun) -> None:
        decided = shadow_run.decision
        context = {**dict(shadow_run.labels()), "hash": shadow_run.update.hash, "verdict": str(decided.verdict)}
        _log.info(event, extra=fields(**context, seconds=round(decided.seconds), message=decided.message))

    async def aclose(self) -> None:
        """Cancel all runs."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    # Series -----------------------------------------------------------------------------------------------------------

    def families(self) -> tuple[MetricFamily, ...]:
        """Return the series of all runs."""
        if self._families is None:
            try:
                self._families = tuple(filter(len, self._make_families()))
            except Exception as error:  # noqa: BLE001 - a shadow gate must never fail a cycle or a scrape
                self._families = ()
                self._unexpected(error)
            self._series.end_cycle()
        return self._families

    def _make_families(self) -> Iterator[MetricFamily]:
        runs = tuple(self._runs.values())
        for name, rows in ((VALUE, _values), (VERDICT, _verdicts), (THRESHOLD, _thresholds)):
            samples = (
                (self._series.series(name, labels), value) for shadow_run in runs for labels, value in rows(shadow_run)
            )
            yield family_from_samples(name, MetricType.GAUGE, HELP[name], samples)

    def take_push(self) -> tuple[tuple[MetricFamily, ...], tuple[MetricFamily, ...]]:
        """Return the series of all runs, and those of the last push that ended since."""
        families = self.families()
        if families is self._pushed:
            return families, ()
        current = {series for family in families for series in family.series}
        stale = tuple(_absent(family, current) for family in self._pushed)
        self._pushed = families
        return families, tuple(family for family in stale if len(family))


def _absent(family: MetricFamily, current: set[Series]) -> MetricFamily:
    ended = ((series, 0.0) for series in family.series if series not in current)
    return family_from_samples(family.name, family.type, family.help, ended)


def watched_update(rollout: Rollout) -> WatchedUpdate | None:
    """Return the update of a rollout, None if none is under way."""
    state = rollout.state
    if state.update_state not in _UNDER_WAY or not state.hashes.current:
        return None
    return WatchedUpdate(*rollout.key, state.hashes.current)


def _has_canary(rollout: Rollout) -> bool:
    is_updating = rollout.state.update_state is UpdateState.UPDATING
    return is_updating and any(role in {PodRole.CANARY, PodRole.PREVIEW} for _, role in rollout.pod_roles)


def _values(shadow_run: ShadowRun) -> Iterator[tuple[Labels, float]]:
    for result in shadow_run.status.results:
        value = _last_number(result)
        if value is not None:
            yield shadow_run.labels(("metric", result.name)), value


def _last_number(result: MetricResult) -> float | None:
    return None if result.last is None else first_number(result.last.outcome.value)


def _verdicts(shadow_run: ShadowRun) -> Iterator[tuple[Labels, float]]:
    current = shadow_run.decision.verdict
    for verdict in Verdict:
        yield shadow_run.labels(("verdict", verdict.value)), float(verdict is current)


def _thresholds(shadow_run: ShadowRun) -> Iterator[tuple[Labels, float]]:
    for metric in shadow_run.plan.metrics if shadow_run.plan is not None else ():
        for condition, text in (("success", metric.success_condition), ("failure", metric.failure_condition)):
            # The first one of each operator: others would be the same series.
            for operator, number in dict(reversed(thresholds(text))).items():
                labels = (("metric", metric.name), ("condition", condition), ("operator", operator))
                yield shadow_run.labels(*labels), number
