"""The exporter's parts, one by one, in this process: how much each does in a second, and how sure that is."""

from __future__ import annotations

import asyncio
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
from exporter.otlp.encode.encoder import Encoder
from exporter.net.gzip import gzip_body
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import identity, parser_factory, tracking_policy
from exporter.web.exposition_writer import render
from tests.bench.fleet import Size, fleet
from tests.bench.pages import ARGO, KUBE, VARIANTS, variant, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from exporter.metrics import MetricsSnapshot, ScrapeResult

    Once = Callable[[], float]
    """Does a part's work once, and returns how much that was."""

SIZE: Final = Size(2_000, 2_000)
TIMES: Final = 5
_BLOCK: Final = 64 * 1024
_RECORDS: Final = 512
_SETTINGS: Final = Settings.model_validate({
    "attributes": {"k8s.cluster.name": "bench", "deployment.environment": "production"},
    "series": {"pass_through": "all"},
})  # fmt: skip # a table


@dataclass(frozen=True, slots=True)
class Finding:
    """How much of a unit a part did in a second: the median, and the widest that a measurement was off it."""

    name: str
    unit: str
    rate: float
    noise: float

    def __str__(self) -> str:
        return f"{self.name:<28}{self.rate:>14,.0f} {self.unit:<12} ± {self.noise:.0%}"


class Material:
    """The pages in both variants, and what the parts make of them one after the other."""

    def __init__(self, folder: Path, size: Size) -> None:
        write(fleet(size), folder)
        self.folder = folder
        self.rollouts = size.rollouts
        self.texts = {
            page: [variant(folder, page, number).read_bytes() for number in range(VARIANTS)] for page in (ARGO, KUBE)
        }
        interner = ScrapeCache()
        self.pages = [
            [read(self.texts[page][number], page, interner) for page in (ARGO, KUBE)] for number in range(VARIANTS)
        ]
        watch = RolloutTracker(tracking_policy(_SETTINGS))
        self.cycles: Sequence[MetricsSnapshot] = [
            watch.process(10.0 * number, pages) for number, pages in enumerate(self.pages, 1)
        ]


def read(text: bytes, page: str, interner: ScrapeCache) -> ScrapeResult:
    """Read a page as it would come in."""
    source = {ARGO: Source.ARGO, KUBE: Source.KUBE_STATE_METRICS}[page]
    reader = parser_factory(_SETTINGS, interner)(ScrapeRequest(source, f"{page}:80", 10.0))
    reader.start(200, {})
    for start in range(0, len(text), _BLOCK):
        reader.feed(text[start : start + _BLOCK])
    return reader.finish(None, 0.1)


def findings(size: Size = SIZE) -> Iterator[Finding]:
    """Measure every part; those that this version lacks are left out."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        material = Material(Path(folder), size)
        for name, unit, part in PARTS:
            yield _measured(name, unit, part(material))
        yield from _spool(Path(folder) / "spool")


def _measured(name: str, unit: str, once: Once, clock: Callable[[], float] = time.process_time) -> Finding:
    once()
    rates = [_rate(once, clock) for _ in range(TIMES)]
    middle = statistics.median(rates)
    return Finding(name, unit, middle, max(abs(rate - middle) for rate in rates) / middle)


def _rate(once: Once, clock: Callable[[], float]) -> float:
    began = clock()
    amount = once()
    return amount / max(clock() - began, 1e-9)


def _parsing(page: str, *, warm: bool, megabytes: bool = False) -> Callable[[Material], Once]:
    def part(material: Material) -> Once:
        texts = itertools.cycle(material.texts[page])
        kept = ScrapeCache()

        def once() -> float:
            text = next(texts)
            samples = read(text, page, kept if warm else ScrapeCache()).samples
            return len(text) / 1e6 if megabytes else samples

        return once

    return part


def _stepping(*, warm: bool) -> Callable[[Material], Once]:
    def part(material: Material) -> Once:
        pages, at = itertools.cycle(material.pages), itertools.count(10.0, 10.0)
        kept = RolloutTracker(tracking_policy(_SETTINGS))

        def once() -> float:
            (kept if warm else RolloutTracker(tracking_policy(_SETTINGS))).process(next(at), next(pages))
            return material.rollouts

        return once

    return part


def _encoding(*, warm: bool) -> Callable[[Material], Once]:
    def part(material: Material) -> Once:
        cycles = itertools.cycle(material.cycles)
        kept = _encoder()

        def once() -> float:
            return sum(request.points for request in (kept if warm else _encoder()).requests(next(cycles)))

        return once

    return part


def _encoder() -> Encoder:
    return Encoder(identity(_SETTINGS), _SETTINGS.otlp.request.points, _SETTINGS.otlp.request.bytes)


def _packing(material: Material) -> Once:
    bodies = [request.body for request in _encoder().requests(material.cycles[0])]
    return lambda: sum(len(body) for body in bodies if gzip_body(body)) / 1e6


def _rendering(material: Material) -> Once:
    families = material.cycles[0].families
    return lambda: sum(map(len, families)) if sum(map(len, render(families))) else 0


PARTS: Final[Sequence[tuple[str, str, Callable[[Material], Once]]]] = (
    ("parse, cold", "lines/s", _parsing(ARGO, warm=False)),
    ("parse, warm", "lines/s", _parsing(ARGO, warm=True)),
    ("kube-state-metrics, cold", "MB/s", _parsing(KUBE, warm=False, megabytes=True)),
    ("kube-state-metrics, warm", "MB/s", _parsing(KUBE, warm=True, megabytes=True)),
    ("fleet step, cold", "rollouts/s", _stepping(warm=False)),
    ("fleet step, warm", "rollouts/s", _stepping(warm=True)),
    ("encode, cold", "points/s", _encoding(warm=False)),
    ("encode, warm", "points/s", _encoding(warm=True)),
    ("gzip", "MB/s", _packing),
    ("render text", "samples/s", _rendering),
)
"""What is measured: a name, a unit, and what makes the work ready."""


def _spool(folder: Path) -> Iterator[Finding]:
    """Measure the spool against the clock on the wall, since it waits for the disk."""
    try:
        from exporter.otlp.delivery.accounting import DeliveryAccounting  # noqa: PLC0415 - this version may have no spool
        from exporter.otlp.delivery.queue import QueuedRequest  # noqa: PLC0415
        from exporter.otlp.spool import SpoolLimits, Spool  # noqa: PLC0415
    except ImportError:
        return
    spool = Spool(folder, SpoolLimits(1 << 32, 86_400.0), DeliveryAccounting(), time.time())
    body = os.urandom(_BLOCK)

    def put() -> float:
        for _ in range(_RECORDS):
            spool.put(QueuedRequest(body, 5_000, time.time()), time.time())
        asyncio.run(spool.sync())
        return _RECORDS * _BLOCK / 1e6

    def drain() -> float:
        for _ in range(_RECORDS):
            record = spool.peek()
            assert record is not None
            spool.ack(record)
        asyncio.run(spool.sync())
        return _RECORDS * _BLOCK / 1e6

    yield _measured("spool write", "MB/s", put, time.perf_counter)
    yield _measured("spool drain", "MB/s", drain, time.perf_counter)
    spool.close()
