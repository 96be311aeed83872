"""Throughput of single parts of the exporter in this process, with the spread of the measurements."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.config import Settings
from exporter.metrics import Source
from exporter.net.gzip import gzip_body
from exporter.otlp.encode.encoder import Encoder
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import identity, parser_factory, tracking_policy
from exporter.web.exposition_writer import render
from tests.bench.fleet import Size, build_fleet
from tests.bench.pages import ARGO, KUBE, VARIANTS, grown, variant, write_pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from exporter.metrics import MetricsSnapshot, ScrapeResult

    RunOnce = Callable[[], float]
    """Does the work of a part once and returns the amount in its unit."""

SIZE: Final = Size(2_000, 2_000)
REPEATS: Final = 5
_BLOCK_BYTES: Final = 64 * 1024
_RECORDS: Final = 512
_SETTINGS: Final = Settings.parse({
    "attributes": {"k8s.cluster.name": "bench", "deployment.environment": "production"},
    "series": {"pass_through": "all"},
})  # fmt: skip # a table


@dataclass(frozen=True, slots=True)
class Measurement:
    """Units per second of a part: the median, and the largest relative deviation from it."""

    name: str
    unit: str
    rate: float
    noise: float

    def __str__(self) -> str:
        return f"{self.name:<28}{self.rate:>14,.0f} {self.unit:<12} ± {self.noise:.0%}"


class Inputs:
    """The pages in both variants, and the scrape results and snapshots that later parts start from."""

    def __init__(self, folder: Path, size: Size) -> None:
        write_pages(build_fleet(size), folder)
        self.folder = folder
        self.rollouts = size.rollouts
        self.texts = {
            page: [variant(folder, page, number).read_bytes() for number in range(VARIANTS)] for page in (ARGO, KUBE)
        }
        cache = _scrape_cache()
        self.pages = [
            [parse_page(self.texts[page][number], page, cache) for page in (ARGO, KUBE)] for number in range(VARIANTS)
        ]
        tracker = RolloutTracker(tracking_policy(_SETTINGS))
        self.snapshots: Sequence[MetricsSnapshot] = [
            tracker.process(10.0 * number, pages) for number, pages in enumerate(self.pages, 1)
        ]


def _scrape_cache() -> ScrapeCache:
    """Return a cache as the service has it: series of families that do not pass through are not retained."""
    return ScrapeCache(_SETTINGS.series.passes_through)


def parse_page(text: bytes, page: str, cache: ScrapeCache) -> ScrapeResult:
    """Parse a page in blocks, as it would be received."""
    source = {ARGO: Source.ARGO, KUBE: Source.KUBE_STATE_METRICS}[page]
    parser = parser_factory(_SETTINGS, cache)(ScrapeRequest(source, f"{page}:80", 10.0))
    parser.start(200, {})
    for start in range(0, len(text), _BLOCK_BYTES):
        parser.feed(text[start : start + _BLOCK_BYTES])
    return parser.finish(None, 0.1)


def measure_parts(size: Size = SIZE) -> Iterator[Measurement]:
    """Measure every part; storage is left out of a version without it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        inputs = Inputs(Path(folder), size)
        for name, unit, part in PARTS:
            yield _measure(name, unit, part(inputs))
        yield from _measure_storage(Path(folder) / "storage")


def _measure(name: str, unit: str, once: RunOnce, clock: Callable[[], float] = time.process_time) -> Measurement:
    once()
    rates = [_rate(once, clock) for _ in range(REPEATS)]
    median = statistics.median(rates)
    return Measurement(name, unit, median, max(abs(rate - median) for rate in rates) / median)


def _rate(once: RunOnce, clock: Callable[[], float]) -> float:
    """Run once without garbage collection, as the service runs a cycle."""
    gc.disable()
    started = clock()
    amount = once()
    seconds = clock() - started
    gc.enable()
    return amount / max(seconds, 1e-9)


def _parse_part(page: str, *, warm: bool, megabytes: bool = False) -> Callable[[Inputs], RunOnce]:
    def prepare(inputs: Inputs) -> RunOnce:
        texts = itertools.cycle(inputs.texts[page])
        cache = _scrape_cache()

        def once() -> float:
            text = next(texts)
            samples = parse_page(text, page, cache if warm else _scrape_cache()).sample_count
            return len(text) / 1e6 if megabytes else samples

        return once

    return prepare


def _tracker_part(*, warm: bool) -> Callable[[Inputs], RunOnce]:
    def prepare(inputs: Inputs) -> RunOnce:
        pages, timestamps = itertools.cycle(inputs.pages), itertools.count(10.0, 10.0)
        tracker = RolloutTracker(tracking_policy(_SETTINGS))

        def once() -> float:
            (tracker if warm else RolloutTracker(tracking_policy(_SETTINGS))).process(next(timestamps), next(pages))
            return inputs.rollouts

        return once

    return prepare


def _cycle_part(*, counters: str) -> Callable[[Inputs], RunOnce]:
    """Return a part that parses, tracks and encodes pages on each of which all `counters` have grown."""

    def prepare(inputs: Inputs) -> RunOnce:
        cache, tracker, encoder = _scrape_cache(), RolloutTracker(tracking_policy(_SETTINGS)), _encoder()
        pages = [grown(inputs.texts[ARGO][0], counters, added) for added in range(REPEATS + 2)]
        timestamps = itertools.count(10.0, 10.0)

        def once() -> float:
            page = parse_page(pages.pop(0), ARGO, cache)
            list(encoder.requests(tracker.process(next(timestamps), [page])))
            return inputs.rollouts

        once()
        return once

    return prepare


def _cold_cycle_part(inputs: Inputs) -> RunOnce:
    def once() -> float:
        cache = _scrape_cache()
        pages = [parse_page(inputs.texts[page][0], page, cache) for page in (ARGO, KUBE)]
        list(_encoder().requests(RolloutTracker(tracking_policy(_SETTINGS)).process(10.0, pages)))
        return inputs.rollouts

    return once


def _encode_part(*, warm: bool) -> Callable[[Inputs], RunOnce]:
    def prepare(inputs: Inputs) -> RunOnce:
        snapshots = itertools.cycle(inputs.snapshots)
        encoder = _encoder()

        def once() -> float:
            return sum(request.point_count for request in (encoder if warm else _encoder()).requests(next(snapshots)))

        return once

    return prepare


def _encoder() -> Encoder:
    return Encoder(identity(_SETTINGS), _SETTINGS.otlp.request.points, _SETTINGS.otlp.request.bytes)


def _gzip_part(inputs: Inputs) -> RunOnce:
    bodies = [request.body for request in _encoder().requests(inputs.snapshots[0])]
    return lambda: sum(len(body) for body in bodies if gzip_body(body)) / 1e6


def _render_part(inputs: Inputs) -> RunOnce:
    families = inputs.snapshots[0].families
    return lambda: sum(map(len, families)) if sum(map(len, render(families))) else 0


PARTS: Final[Sequence[tuple[str, str, Callable[[Inputs], RunOnce]]]] = (
    ("parse, cold", "lines/s", _parse_part(ARGO, warm=False)),
    ("parse, warm", "lines/s", _parse_part(ARGO, warm=True)),
    ("kube-state-metrics, cold", "MB/s", _parse_part(KUBE, warm=False, megabytes=True)),
    ("kube-state-metrics, warm", "MB/s", _parse_part(KUBE, warm=True, megabytes=True)),
    ("tracker, cold", "rollouts/s", _tracker_part(warm=False)),
    ("tracker, warm", "rollouts/s", _tracker_part(warm=True)),
    ("cycle, cold", "rollouts/s", _cold_cycle_part),
    ("cycle, all reconciled", "rollouts/s", _cycle_part(counters="rollout_reconcile")),
    ("cycle, all events", "rollouts/s", _cycle_part(counters="rollout_events_total")),
    ("encode, cold", "points/s", _encode_part(warm=False)),
    ("encode, warm", "points/s", _encode_part(warm=True)),
    ("gzip", "MB/s", _gzip_part),
    ("render text", "samples/s", _render_part),
)
"""The parts: name, unit, and a function that prepares the work."""


def _measure_storage(folder: Path) -> Iterator[Measurement]:
    """Measure storage in wall-clock time, since it waits for the disk."""
    try:
        from exporter.otlp.delivery.accounting import DeliveryAccounting  # noqa: PLC0415 - this version may have none
        from exporter.storage import QueuedRequest, Storage, StorageConfig, StorageLimits  # noqa: PLC0415
    except ImportError:
        return
    body = os.urandom(_BLOCK_BYTES)
    with asyncio.Runner() as runner:
        storage = Storage(StorageConfig(folder, StorageLimits(max_bytes=1 << 32)), DeliveryAccounting())

        async def start() -> None:
            storage.start()

        async def put() -> float:
            for _ in range(_RECORDS):
                storage.queue.put(QueuedRequest(body, 5_000, time.time()))
            assert await storage.commit()
            return _RECORDS * _BLOCK_BYTES / 1e6

        async def drain() -> float:
            for _ in range(_RECORDS):
                request = await storage.queue.peek()
                assert request is not None
                storage.queue.ack(request)
                assert await storage.commit()
            return _RECORDS * _BLOCK_BYTES / 1e6

        runner.run(start())
        yield _measure("storage write", "MB/s", lambda: runner.run(put()), time.perf_counter)
        yield _measure("storage drain", "MB/s", lambda: runner.run(drain()), time.perf_counter)
        storage.close(10)
