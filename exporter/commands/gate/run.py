"""`gate run`: runs a gate against the real endpoint as the controller would, now or at past times."""

from __future__ import annotations

import json
import math
import re
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import Progress

from exporter import log
from exporter.commands.gate import display
from exporter.commands.gate.load import GateError, load_gate, with_default_address
from exporter.commands.gate.plot import plot_lines, plotted_metrics
from exporter.config.section import ClientTlsSection
from exporter.config.values import parse_duration
from exporter.gate.analysis_run import AnalysisRunStatus, make_plan, status_json
from exporter.gate.explanation import explanation_json
from exporter.gate.expr import UnsupportedError
from exporter.gate.metric_provider import MetricProvider
from exporter.gate.provider import TIMEOUT_SECONDS
from exporter.gate.runner import RealClock, ReplayClock
from exporter.gate.runner import run as run_analysis
from exporter.gate.simulation import AnalysisRunResult, resolve_with_secrets
from exporter.net.auth import basic_auth
from exporter.net.prometheus_api import PrometheusEndpoint
from exporter.net.prometheus_response import Hints
from exporter.net.proxy import environment_proxy
from exporter.net.tls import ClientTlsLoader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from exporter.commands.gate.load import GateSource, LoadedGate
    from exporter.gate.analysis_run import AnalysisPlan
    from exporter.gate.controller import ControllerVersion
    from exporter.gate.runner import OnStep
    from exporter.gate.template import PrometheusProvider


TEMPLATE_HINTS: Final = Hints(
    address="provider.prometheus.address",
    credential="provider.prometheus.headers and the credential",
    tls="provider.prometheus.insecure",
    timeout="provider.prometheus.timeout",
)
MAX_REPLAY_SECONDS: Final = 86_400.0
"""Seconds of past time after which a gate without an end is terminated."""
EXIT_CODE_ORDER = (0, display.EXIT_UNDECIDED, 3, 2, 1)
"""Exit codes from good to bad; that of several runs is the worst."""

MAX_TIME: Final = 1e10
"""Unix seconds, in the year 2286: later ones are written in no format."""
MAX_RUNS: Final = 10_000
"""Runs of --every: a year in steps of an hour."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of `gate run` and `gate simulate`: the controller, the output, and when the gate runs.

    It runs now, `speed` times as fast; or from `start` on, and again every `step` seconds until `end`. It is terminated
    after `max_duration` seconds; None: it runs to its end.
    """

    controller: ControllerVersion
    as_json: bool = False
    explain: bool = False
    speed: float = 1.0
    start: float | None = None
    end: float | None = None
    step: float | None = None
    max_duration: float | None = None
    plot: bool = False

    def starts(self) -> tuple[float, ...]:
        """Return the past start times, none for a run now. Raises GateError for options that contradict each other."""
        if self.plot and (self.as_json or self.step is not None):
            raise GateError("--plot draws one run as text; leave out --json, --until and --every")
        if (self.end is None) != (self.step is None) or (self.end is not None and self.start is None):
            raise GateError("--until and --every need each other, and --at")
        if self.start is None:
            return ()
        if self.end is None or self.step is None:
            return (self.start,)
        count = (self.end - self.start) / self.step + 1 if self.step else math.inf
        if count > MAX_RUNS:
            raise GateError(f"--every gives more than {MAX_RUNS} runs; lengthen it")
        count = int(count)
        return tuple(self.start + index * self.step for index in range(max(count, 1)))


def parse_time(text: str) -> float:
    """Parse a time: RFC 3339, Unix seconds, or a duration ago such as -2h. Raises ValueError."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return min(float(text), MAX_TIME)
    if text.startswith("-"):
        return max(time.time() - float(str(parse_duration(text[1:]))), 0.0)
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write {text}Z for UTC")
    return parsed.timestamp()


async def run(source: GateSource, options: RunOptions) -> int:
    """Run a gate, print the result, and return the exit code, of several runs the worst. Raises GateError."""
    try:
        gate = with_default_address(load_gate(source, need_secrets=True))
        plan = make_plan(gate.spec, options.controller)
        if isinstance(plan, AnalysisRunStatus):
            return print_result(AnalysisRunResult(plan), options)
        if len(options.starts()) > 1:
            return await _run_several(gate, plan, options)
        return await _run_once(gate, plan, options)
    except UnsupportedError as error:
        raise unsupported(error) from None


async def _run_once(gate: LoadedGate, plan: AnalysisPlan, options: RunOptions) -> int:
    # With --json standard output is one JSON object, for programs.
    with display.step_display(Console(stderr=options.as_json), plan) as on_step:
        (result,) = [result async for _, result in _runs(gate, plan, options, on_step)]
    return print_result(result, options)


async def _run_several(gate: LoadedGate, plan: AnalysisPlan, options: RunOptions) -> int:
    code, results = 0, list[AnalysisRunResult]()
    # On standard error, as the summary with --json: standard output is one object per run.
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("runs", total=len(options.starts()))
        async for start, result in _runs(gate, plan, options, lambda *_: None):
            code = max(code, display.exit_code(result.status), key=EXIT_CODE_ORDER.index)
            _print_line(start, result, options)
            results.append(result)
            progress.advance(task)
    print(display.runs_summary(results), file=sys.stderr if options.as_json else sys.stdout)
    return code


async def _runs(
    gate: LoadedGate, plan: AnalysisPlan, options: RunOptions, on_step: OnStep
) -> AsyncIterator[tuple[float, AnalysisRunResult]]:
    """Yield the start and result of each run. Raises GateError, and UnsupportedError for a condition."""
    metrics = resolve_with_secrets(gate.spec, plan, options.controller, gate.secrets)
    endpoints = {name: endpoint(metric.prometheus) for name, metric in metrics.items() if metric.prometheus}
    starts = options.starts()
    async with MetricProvider(metrics, endpoints, options.controller, live=not starts) as provider:
        for start in starts or (time.time(),):
            clock = ReplayClock(start) if starts else RealClock(options.speed)
            default = MAX_REPLAY_SECONDS if starts else None
            max_duration = default if options.max_duration is None else options.max_duration
            yield start, await run_analysis(plan, provider.measure, clock, on_step, max_duration)


def endpoint(provider: PrometheusProvider) -> PrometheusEndpoint:
    """Return the endpoint and credential of a metric. Raises GateError for an authentication that is not supported."""
    authentication = provider.authentication
    if authentication.oauth2.token_url:
        raise GateError("authentication.oauth2 is not supported here; run the gate with a token in headers")
    sigv4 = authentication.sigv4
    if sigv4.region or sigv4.role_arn or sigv4.profile:
        raise GateError("authentication.sigv4 is not supported here; run the gate through a proxy that signs")
    url = urlsplit(provider.address)
    # Go's client trims a value when it sends it.
    headers = {header.key: header.value.strip() for header in provider.headers}
    # As in Go, a header of one's own takes precedence over user and password of the URL.
    if not any(name.lower() == "authorization" for name in headers):
        username = authentication.basic_auth.username or url.username
        password = authentication.basic_auth.password or url.password
        headers |= {"Authorization": basic_auth(username, password or "")} if username else {}
    tls = ClientTlsLoader(ClientTlsSection(insecure_skip_verify=provider.insecure)) if url.scheme == "https" else None
    return PrometheusEndpoint(
        address=url._replace(netloc=url.netloc.rpartition("@")[2]).geturl(),
        headers=headers,
        tls=tls,
        timeout=TIMEOUT_SECONDS if provider.timeout is None else provider.timeout,
        proxy=environment_proxy(url.scheme, url.hostname or "", url.port) if url.hostname else None,
        hints=TEMPLATE_HINTS,
        follows_redirects=True,
    )


def _print_line(start: float, result: AnalysisRunResult, options: RunOptions) -> None:
    """Print the result of one of several runs."""
    status = result.status
    if options.as_json:
        print(json.dumps({"at": start, "status": status_json(status)}))  # noqa: T201 - one object per run
        return
    counts = "; ".join(f"{item.name} {item.counts.successful} of {item.counts.count}" for item in status.results)
    message = log.REDACTOR.redact(status.message)
    details = f"{counts and f' ({counts})'}{message and f': {message}'}"
    print(f"{display.format_time(start)} {status.phase}{details}")  # noqa: T201


def print_result(result: AnalysisRunResult, options: RunOptions) -> int:
    """Print the result of a run, and return its exit code."""
    if options.as_json:
        document = status_json(result.status)
        if options.explain:
            document["explanations"] = [explanation_json(trace) for trace in result.traces]
        lines = [json.dumps(document, sort_keys=True)]
    else:
        explanation = display.trace_lines(result.traces) if options.explain else ()
        plots = [line for plotted in plotted_metrics(result.traces) for line in plot_lines(plotted)]
        lines = [*explanation, *(plots if options.plot else ()), *display.result_lines(result.status)]
    for line in lines:
        print(log.REDACTOR.redact(line))  # noqa: T201
    return display.exit_code(result.status)


def unsupported(error: UnsupportedError) -> GateError:
    """Return the error of a condition or rule that only the controller can evaluate."""
    return GateError(f"only the controller can evaluate this gate: {error.message}")
