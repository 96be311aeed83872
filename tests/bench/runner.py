"""Measures one subject on one workload: starts it, warms it up, measures complete cycles, and stops it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import statistics
import sys
import time
import urllib.request
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from tests.bench.measure import MB, Usage, usage
from tests.bench.subjects import EXPORTER, Site

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from tests.bench.subjects import Mode, Subject
    from tests.bench.table import Row

WARM_UPS: Final = 2
_TIMEOUT_SECONDS: Final = 60.0
_STOP_TIMEOUT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1
_INHERITED_VARIABLES: Final = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")
_FAILED_SCRAPES: Final = "scrapes that failed"
_SCRAPE_COUNT: Final = "scrapes before its metrics were read"
_OWN_METRIC: Final = re.compile(r"^((?:rollouts_exporter|vmagent|prometheus)_\w+)(\{.*\})? (\S+)$", re.MULTILINE)
_EXPORTER_COLUMNS: Final = {
    "lag_s": "rollouts_exporter_delivery_lag_seconds",
    "hold_s": "rollouts_exporter_event_loop_longest_hold_seconds",
    "skipped": "rollouts_exporter_cycles_skipped_total",
    "dropped": "rollouts_exporter_points_dropped_total",
    "failed_scrapes": _FAILED_SCRAPES,
}


class BenchError(Exception):
    """Why a subject could not be measured."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`pages` of a folder, scraped every `interval` seconds, measured over `cycles` after the warm-up.

    With `one_core` the subject runs on one core.
    A subject that sends fewer points a cycle than `required_points` does not do all the work.
    """

    work: str
    folder: Path
    pages: tuple[str, ...]
    interval: float
    cycles: int
    required_points: int
    warm_ups: int = WARM_UPS
    one_core: bool = False


@dataclass(slots=True)
class Traffic:
    """The events of the endpoints so far: the times of scrapes by page, and the times and sizes of pushes."""

    scrapes: dict[str, list[float]] = field(default_factory=dict)
    pushes: list[tuple[float, int]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, line: bytes) -> None:
        """Add an event, a line of JSON."""
        event = json.loads(line)
        if "scraped" in event:
            self.scrapes.setdefault(event["scraped"], []).append(event["at"])
        else:
            self.pushes.append((event["at"], event["took"]))
        self.changed.set()

    def first_push_after_scrape(self, page: str) -> float | None:
        """Return the seconds from the first scrape of a page to the push that follows it."""
        scraped_at = self.scrapes[page][0]
        return next((pushed_at - scraped_at for pushed_at, _ in self.pushes if pushed_at >= scraped_at), None)

    def latencies(self, page: str, first: int, cycles: int) -> list[float]:
        """Return, for each cycle, the seconds from the scrape of a page to the last push before the next scrape."""
        scraped_at = self.scrapes[page][first : first + cycles + 1]
        delays = [
            [pushed_at - begin for pushed_at, _ in self.pushes if begin <= pushed_at < end]
            for begin, end in pairwise(scraped_at)
        ]
        return [max(times) for times in delays if times]


@dataclass(slots=True)
class _Window:
    """Usage at the first and last measured scrape, and what happened between them.

    `cold_cpu` is the CPU time from the first scrape of all to `first`.
    """

    cold_cpu: float
    first: Usage
    last: Usage
    resident: list[int]
    pushes: tuple[int, int]


async def measure(subject: Subject, program: str, plan: Plan, mode: Mode, folder: Path) -> Row:
    """Measure a subject, whose files go into `folder`. Raises BenchError."""
    async with _endpoints(plan.folder) as (port, traffic):
        site = Site(folder, port, free_port(), plan.pages, plan.interval)
        started_at = time.time()
        command = subject.command(program, site, mode)
        async with _run_subject(command, subject.environment, folder) as process:
            if plan.one_core:
                os.sched_setaffinity(process.pid, {0})  # its threads inherit it
            window = await _measure_window(process, traffic, plan, folder)
            await asyncio.sleep(plan.interval * 0.6)  # let the last cycle end
            scrapes = len(traffic.scrapes[plan.pages[0]])
            own_metrics = (
                await asyncio.to_thread(_own_metrics, f"http://{site.listen}/metrics") if subject.pushed_metric else {}
            )
            own_metrics |= {_SCRAPE_COUNT: float(scrapes)} if own_metrics else {}
        return _row(subject, plan, window, traffic, own_metrics) | {
            "mode": mode,
            "first_push_s": traffic.pushes[0][0] - started_at,
            "first_cycle_s": max(traffic.latencies(plan.pages[0], 0, 1), default=None),
            "after_scrape_s": traffic.first_push_after_scrape(plan.pages[0]),
        }


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


async def _measure_window(process: Process, traffic: Traffic, plan: Plan, folder: Path) -> _Window:
    """Wait for the warm-up, then poll the process for the cycles of the plan."""
    first_page = plan.pages[0]
    resident: list[int] = []

    async def wait_for_scrapes(scrapes: int, seconds: float) -> Usage:
        try:
            async with asyncio.timeout(seconds):
                while len(traffic.scrapes.get(first_page, ())) < scrapes:
                    traffic.changed.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(traffic.changed.wait(), _POLL_SECONDS)
                    resident.append(usage(process.pid).resident)
            return usage(process.pid)
        except (TimeoutError, OSError, ValueError):
            raise BenchError(f"no scrape arrived; its log ends with:\n{_log_tail(folder)}") from None

    timeout = _TIMEOUT_SECONDS + plan.interval * (plan.warm_ups + 1)
    begin = await wait_for_scrapes(1, timeout)
    first = await wait_for_scrapes(plan.warm_ups + 1, timeout)
    resident.clear()
    pushes = len(traffic.pushes)
    last = await wait_for_scrapes(plan.warm_ups + 1 + plan.cycles, _TIMEOUT_SECONDS + plan.interval * plan.cycles)
    if len(traffic.pushes) == pushes:
        raise BenchError(f"no push arrived; its log ends with:\n{_log_tail(folder)}")
    return _Window(first.cpu - begin.cpu, first, last, resident, (pushes, len(traffic.pushes)))


def _row(subject: Subject, plan: Plan, window: _Window, traffic: Traffic, own_metrics: dict[str, float]) -> Row:
    pushes = traffic.pushes[slice(*window.pushes)]
    latencies = traffic.latencies(plan.pages[0], plan.warm_ups, plan.cycles)
    cycle_cpu = (window.last.cpu - window.first.cpu) / plan.cycles
    row: Row = {
        "work": plan.work,
        "who": subject.name,
        # The first cycle may take longer than an interval: of all warm-ups, what the others would not have needed.
        "cold_cpu_s": window.cold_cpu - (plan.warm_ups - 1) * cycle_cpu,
        "cpu_s_per_cycle": cycle_cpu,
        "peak_mb": window.last.peak / MB,
        "steady_mb": statistics.mean(window.resident) / MB,
        "disk_kb_per_cycle": (window.last.written - window.first.written) / plan.cycles / 1000,
        "sent_kb_per_cycle": sum(size for _, size in pushes) / plan.cycles / 1000,
        "requests_per_cycle": len(pushes) / plan.cycles,
        "latency_s": statistics.median(latencies) if latencies else None,
        "points_per_cycle": own_metrics.get(subject.pushed_metric, 0.0) / own_metrics[_SCRAPE_COUNT]
        if own_metrics
        else None,
        "cycles": plan.cycles,
        "interval_s": plan.interval,
    }
    row["whole_work"] = row["points_per_cycle"] is None or row["points_per_cycle"] >= plan.required_points
    if subject.name == EXPORTER:
        row |= {key: own_metrics.get(name, 0.0) for key, name in _EXPORTER_COLUMNS.items()}
    return row


def _own_metrics(url: str) -> dict[str, float]:
    """Return the own metrics of a subject by name, summed over their labels."""
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
        text = response.read().decode()
    samples: dict[str, float] = {}
    for name, labels, value in _OWN_METRIC.findall(text):
        failed = name == "rollouts_exporter_scrapes_total" and 'result="ok"' not in labels
        key = _FAILED_SCRAPES if failed else name
        samples[key] = samples.get(key, 0.0) + float(value)
    return samples


def _log_tail(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")[-1500:]


@asynccontextmanager
async def _endpoints(folder: Path) -> AsyncIterator[tuple[int, Traffic]]:
    """Start the endpoints; they end with their standard input."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "tests.bench.endpoints", str(folder))
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    traffic = Traffic()
    port = json.loads(await process.stdout.readline())["port"]
    reader = asyncio.create_task(_read_events(process.stdout, traffic))
    try:
        yield port, traffic
    finally:
        process.stdin.close()
        await _wait_or_kill(process)
        await reader


async def _read_events(lines: asyncio.StreamReader, traffic: Traffic) -> None:
    async for line in lines:
        traffic.add(line)


@asynccontextmanager
async def _run_subject(command: Sequence[str], variables: Mapping[str, str], folder: Path) -> AsyncIterator[Process]:
    """Run a subject with variables, but without settings of the user; it is terminated with the context."""
    inherited = {key: value for key, value in os.environ.items() if key in _INHERITED_VARIABLES}
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env=inherited | {**variables})
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await _wait_or_kill(process)


async def _wait_or_kill(process: Process) -> None:
    """Wait for a terminated process, and kill it if it does not end."""
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
