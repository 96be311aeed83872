"""One subject, one work: started, warmed up, measured over whole cycles, asked what it sent, and ended."""

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
from tests.bench.subjects import EXPORTER, Place

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.bench.subjects import Mode, Subject
    from tests.bench.table import Row

WARM_UPS: Final = 2
_PATIENCE: Final = 60.0
_GOODBYE: Final = 10.0
_LOOK_EVERY: Final = 0.1
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")
_FAILED: Final = "scrapes that failed"
_SCRAPED: Final = "scrapes until it was asked"
_OWN_METRIC: Final = re.compile(r"^((?:rollouts_exporter|vmagent|prometheus)_\w+)(\{.*\})? (\S+)$", re.MULTILINE)
_OURS: Final = {
    "lag_s": "rollouts_exporter_delivery_lag_seconds",
    "hold_s": "rollouts_exporter_event_loop_longest_hold_seconds",
    "skipped": "rollouts_exporter_cycles_skipped_total",
    "dropped": "rollouts_exporter_points_dropped_total",
    "failed_scrapes": _FAILED,
}


class BenchError(Exception):
    """Why somebody could not be measured."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`pages` of a folder, scraped every `interval` seconds, measured over `cycles` after the warm-ups.

    Who sends fewer points a cycle than `least` does not do the whole work.
    """

    work: str
    folder: Path
    pages: tuple[str, ...]
    interval: float
    cycles: int
    least: int


@dataclass(slots=True)
class Heard:
    """What the stage told so far: when each page was scraped, when each push was answered, and its bytes."""

    scrapes: dict[str, list[float]] = field(default_factory=dict)
    pushes: list[tuple[float, int]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, line: bytes) -> None:
        """Take one line of the stage."""
        told = json.loads(line)
        if "scraped" in told:
            self.scrapes.setdefault(told["scraped"], []).append(told["at"])
        else:
            self.pushes.append((told["at"], told["took"]))
        self.news.set()

    def latencies(self, page: str, first: int, cycles: int) -> list[float]:
        """Return, for each cycle, the seconds from a page's scrape to the answer to the last push before the next."""
        edges = self.scrapes[page][first : first + cycles + 1]
        answered = [[at - begin for at, _ in self.pushes if begin <= at < end] for begin, end in pairwise(edges)]
        return [max(times) for times in answered if times]


@dataclass(slots=True)
class _Window:
    """What is measured between the first and the last scrape that count."""

    begun: Usage
    ended: Usage
    resident: list[int]
    heard: tuple[int, int]


async def run(subject: Subject, program: str, plan: Plan, mode: Mode, folder: Path) -> Row:
    """Measure a subject; its files go into a folder of its own. Raises BenchError."""
    async with _stage(plan.folder) as (port, heard):
        place = Place(folder, port, free_port(), plan.pages, plan.interval)
        began = time.time()
        async with _started(subject.command(program, place, mode), folder) as process:
            window = await _watched(process, heard, plan, folder)
            await asyncio.sleep(plan.interval * 0.6)  # so that the last cycle is over, too
            scraped = len(heard.scrapes[plan.pages[0]])
            told = await asyncio.to_thread(_told, f"http://{place.listen}/metrics") if subject.pushed else {}
            told |= {_SCRAPED: float(scraped)} if told else {}
        return _row(subject, plan, window, heard, told) | {
            "mode": mode,
            "first_push_s": heard.pushes[0][0] - began,
        }


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def _watched(process: Process, heard: Heard, plan: Plan, folder: Path) -> _Window:
    """Wait for the warm-ups, then watch the process for as many cycles as the plan says."""
    clock = plan.pages[0]
    resident: list[int] = []

    async def until(scrapes: int, seconds: float) -> Usage:
        try:
            async with asyncio.timeout(seconds):
                while len(heard.scrapes.get(clock, ())) < scrapes:
                    heard.news.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(heard.news.wait(), _LOOK_EVERY)
                    resident.append(usage(process.pid).resident)
            return usage(process.pid)
        except (TimeoutError, OSError, ValueError):
            raise BenchError(f"it does not scrape; its log ends with:\n{_log(folder)}") from None

    begun = await until(WARM_UPS + 1, _PATIENCE + plan.interval * (WARM_UPS + 1))
    resident.clear()
    pushes = len(heard.pushes)
    ended = await until(WARM_UPS + 1 + plan.cycles, _PATIENCE + plan.interval * plan.cycles)
    if len(heard.pushes) == pushes:
        raise BenchError(f"it pushes nothing; its log ends with:\n{_log(folder)}")
    return _Window(begun, ended, resident, (pushes, len(heard.pushes)))


def _row(subject: Subject, plan: Plan, window: _Window, heard: Heard, told: dict[str, float]) -> Row:
    pushes = heard.pushes[slice(*window.heard)]
    latencies = heard.latencies(plan.pages[0], WARM_UPS, plan.cycles)
    row: Row = {
        "work": plan.work,
        "who": subject.name,
        "cpu_s_per_cycle": (window.ended.cpu - window.begun.cpu) / plan.cycles,
        "peak_mb": window.ended.peak / MB,
        "steady_mb": statistics.mean(window.resident) / MB,
        "sent_kb_per_cycle": sum(size for _, size in pushes) / plan.cycles / 1000,
        "requests_per_cycle": len(pushes) / plan.cycles,
        "latency_s": statistics.median(latencies) if latencies else None,
        "points_per_cycle": told.get(subject.pushed, 0.0) / told[_SCRAPED] if told else None,
        "cycles": plan.cycles,
        "interval_s": plan.interval,
    }
    row["whole_work"] = row["points_per_cycle"] is None or row["points_per_cycle"] >= plan.least
    if subject.name == EXPORTER:
        row |= {key: told.get(name, 0.0) for key, name in _OURS.items()}
    return row


def _told(url: str) -> dict[str, float]:
    """Return a page's own metrics by name, those of one name added up."""
    with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:
        text = answer.read().decode()
    samples: dict[str, float] = {}
    for name, labels, value in _OWN_METRIC.findall(text):
        failed = name == "rollouts_exporter_scrapes_total" and 'result="ok"' not in labels
        key = _FAILED if failed else name
        samples[key] = samples.get(key, 0.0) + float(value)
    return samples


def _log(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")[-1500:]


@asynccontextmanager
async def _stage(folder: Path) -> AsyncIterator[tuple[int, Heard]]:
    """Start the other end; it ends with its standard input."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "tests.bench.endpoints", str(folder))
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    heard = Heard()
    port = json.loads(await process.stdout.readline())["port"]
    listening = asyncio.create_task(_listen(process.stdout, heard))
    try:
        yield port, heard
    finally:
        process.stdin.close()
        await _gone(process)
        await listening


async def _listen(lines: asyncio.StreamReader, heard: Heard) -> None:
    async for line in lines:
        heard.take(line)


@asynccontextmanager
async def _started(command: Sequence[str], folder: Path) -> AsyncIterator[Process]:
    """Start a subject as users do, in an environment without settings of theirs; it is told to end with the context."""
    environment = {key: value for key, value in os.environ.items() if key in _PASSED_ON}
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env=environment)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await _gone(process)


async def _gone(process: Process) -> None:
    """Wait for a process that was told to end, and kill it when it does not."""
    try:
        async with asyncio.timeout(_GOODBYE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
