"""A simulated service with updates, as a store contains it: requests by pod, and the exporter's series on its pods."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp
import numpy as np

from exporter.gate.render.answers import MIN_HISTORY_SECONDS, MIN_TILE_SECONDS
from exporter.gate.render.evidence import BURST_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from exporter.gate.sequential import SequentialTest

    Numbers = np.ndarray[Any, np.dtype[np.float64]]

NAMESPACE, SERVICE, ROLLOUT = "shop", "checkout", "web"
STABLE_PODS: Final = 3
SLOW_SHARE: Final = 0.01
"""The share of requests that take longer than half a second."""


@dataclass(frozen=True, slots=True)
class SimulatedUpdate:
    """An update: its canary lives from `start` to `end` (seconds after the service's start), `factor` times as bad."""

    start: int
    end: int
    factor: float = 1.0
    promoted: bool = True
    weight: float = 0.10


class NewPod(NamedTuple):
    """A pod: its name, its revision, the number of the scrape that first showed it, and its role."""

    name: str
    hash: str
    first: int
    role: str


@dataclass(frozen=True, slots=True)
class SimulatedPod:
    """A pod with its requests, bad and slow ones, per scrape."""

    name: str
    hash: str
    first: int
    role: str
    requests: Numbers
    bad: Numbers
    slow: Numbers

    @property
    def last(self) -> int:
        """Return the number of the scrape after its last one."""
        return self.first + len(self.requests)


@dataclass(frozen=True)
class SimulatedService:
    """A service from `start` (Unix seconds) for `seconds`, scraped every `scrape_interval` seconds."""

    start: int
    seconds: int
    updates: Sequence[SimulatedUpdate] = ()
    requests: float = 20.0
    bad_share: float = 0.005
    scrape_interval: int = 30
    phase: int = 7
    """Seconds from a whole interval to the scrapes: no store sees them at whole minutes."""
    seed: int = 18
    pods: list[SimulatedPod] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draw the requests of every pod."""
        generator, last = np.random.default_rng(self.seed), self.seconds // self.scrape_interval
        stable_hash, stable_since, bounds = "rev0", 0, []
        for number, update in enumerate(self.updates, 1):
            start, end = update.start // self.scrape_interval, update.end // self.scrape_interval
            bounds.append((start, end, update.weight))
            if update.promoted:
                self._add_stable(generator, stable_hash, stable_since, end, bounds)
                stable_hash, stable_since = f"rev{number}", end
                bounds = []
            rate = np.full(end - start, update.weight * self.requests * self.scrape_interval)
            new = NewPod(f"{ROLLOUT}-rev{number}-c0", f"rev{number}", start, "canary")
            self._draw(generator, new, rate, update.factor)
        self._add_stable(generator, stable_hash, stable_since, last, bounds)

    def _add_stable(
        self,
        generator: np.random.Generator,
        revision: str,
        first: int,
        last: int,
        canaries: Sequence[tuple[int, int, float]],
    ) -> None:
        share = np.ones(last - first)
        for start, end, weight in canaries:
            share[start - first : end - first] -= weight
        for pod in range(STABLE_PODS):
            rate = share * self.requests * self.scrape_interval / STABLE_PODS
            new = NewPod(f"{ROLLOUT}-{revision}-s{pod}", revision, first, "stable")
            self._draw(generator, new, rate, 1.0)

    def _draw(self, generator: np.random.Generator, pod: NewPod, rate: Numbers, factor: float) -> None:
        bad, slow = min(1.0, self.bad_share * factor), min(1.0, SLOW_SHARE * factor)
        requests = generator.poisson(rate).astype(float)
        requests[:1] = 0  # the counters of a new pod begin at 0
        bad_requests, slow_requests = (
            generator.binomial(requests.astype(int), share).astype(float) for share in (bad, slow)
        )
        self.pods.append(SimulatedPod(*pod, requests, bad_requests, slow_requests))

    def _time(self, scrape: int) -> float:
        return float(self.start + self.phase + scrape * self.scrape_interval)

    # What the store contains

    def series(self) -> Iterator[tuple[str, dict[str, str], Sequence[float], Sequence[float]]]:
        """Yield name, labels, times and values of every series."""
        for pod in self.pods:
            times = [self._time(scrape) for scrape in range(pod.first, pod.last)]
            labels = {"namespace": NAMESPACE, "service": SERVICE, "pod": pod.name}
            good = np.cumsum(pod.requests - pod.bad)
            yield "http_requests_total", {**labels, "status": "200"}, times, good.tolist()
            bad = np.cumsum(pod.bad)
            # A counter of failures has no series before the first one; a restart of the pod begins it again.
            since = int(np.argmax(bad > 0)) if bad.any() else len(bad)
            yield (
                "http_requests_total",
                {**labels, "status": "500", "route": "/pay"},
                times[since:],
                bad[since:].tolist(),
            )
            for bound, counts in (("0.5", pod.requests - pod.slow), ("+Inf", pod.requests)):
                name = "http_request_duration_seconds_bucket"
                yield name, {**labels, "le": bound}, times, np.cumsum(counts).tolist()
            yield from self._pod_info(pod, times)
        yield from self._updates()

    def _pod_info(
        self, pod: SimulatedPod, times: list[float]
    ) -> Iterator[tuple[str, dict[str, str], Sequence[float], Sequence[float]]]:
        labels = {"namespace": NAMESPACE, "name": ROLLOUT, "pod": pod.name, "uid": pod.name}
        role = pod.role
        yield (
            "argo_rollouts_pod_info",
            {**labels, "role": role, "pod_template_hash": pod.hash},
            times,
            [1.0] * len(times),
        )

    def _updates(self) -> Iterator[tuple[str, dict[str, str], Sequence[float], Sequence[float]]]:
        scrapes = range(self.seconds // self.scrape_interval)
        times = [self._time(scrape) for scrape in scrapes]
        for result, promoted in (("promoted", True), ("aborted", False)):
            ends = [update.end // self.scrape_interval for update in self.updates if update.promoted is promoted]
            values = np.searchsorted(np.array(sorted(ends)), np.arange(len(times)), side="right")
            labels = {"namespace": NAMESPACE, "name": ROLLOUT, "result": result}
            yield "argo_rollouts_updates_total", labels, times, values.astype(float).tolist()

    def openmetrics(self) -> Iterator[str]:
        """Yield the samples as OpenMetrics text, for promtool."""
        rows = sorted(self.series(), key=lambda row: row[0])
        name = ""
        for row_name, labels, times, values in rows:
            if row_name != name:
                name = row_name
                yield f"# TYPE {name.removesuffix('_total')} {'counter' if name.endswith('_total') else 'unknown'}\n"
            text = ",".join(f'{key}="{value}"' for key, value in labels.items())
            yield "".join(
                f"{name}{{{text}}} {value:g} {time:.0f}\n"
                if value < 1e5
                else f"{name}{{{text}}} {value:.0f} {time:.0f}\n"
                for time, value in zip(times, values, strict=True)
            )
        yield "# EOF\n"

    def import_lines(self) -> Iterator[str]:
        """Yield the series as VictoriaMetrics' JSON lines."""
        for name, labels, times, values in self.series():
            metric = ",".join(f'"{key}":"{value}"' for key, value in {"__name__": name, **labels}.items())
            numbers = ",".join(f"{value:.0f}" for value in values)
            milliseconds = ",".join(f"{time * 1000:.0f}" for time in times)
            if values:
                yield f'{{"metric":{{{metric}}},"values":[{numbers}],"timestamps":[{milliseconds}]}}\n'

    # The sum by hand

    def counts(self, role: str, attribute: str, tile: int) -> dict[int, float]:
        """Return the sum of a pod's counts over the pods of a role in each tile, by its end in Unix seconds."""
        sums: dict[int, float] = {}
        for pod in self.pods:
            if pod.role != role:
                continue
            # The first sample of a pod is the start of what is counted.
            for index, count in enumerate(getattr(pod, attribute)[1:], pod.first + 1):
                end = int(-(-self._time(index) // tile) * tile)
                sums[end] = sums.get(end, 0.0) + float(count)
        return sums

    def evidence(self, update: SimulatedUpdate, until: int, test: SequentialTest, attribute: str = "bad") -> float:
        """Return the evidence against an update's canary until a time (Unix seconds), by hand."""
        tile = MIN_TILE_SECONDS
        first, last = self.start + update.start, min(self.start + update.end, until)
        canary, stable = (self.counts(role, "requests", tile) for role in ("canary", "stable"))
        canary_bad, stable_bad = (self.counts(role, attribute, tile) for role in ("canary", "stable"))
        total = 0.0
        for end in range(-(-first // tile) * tile, last + 1, tile):
            requests = canary.get(end, 0.0)
            if requests and end < self.start + update.end:
                share = requests / (requests + stable.get(end, 0.0))
                total += test.evidence(canary_bad.get(end, 0.0), stable_bad.get(end, 0.0), share)
        before = until - MIN_HISTORY_SECONDS
        tiles = range(before - BURST_SECONDS + tile, before + 1, tile)
        return total / dispersion([stable_bad.get(end, 0.0) for end in tiles])


def dispersion(counts: Sequence[float]) -> float:
    """Return variance ÷ mean of counts, at least 1, that of counts without bursts."""
    mean = sum(counts) / len(counts) if counts else 0.0
    if not mean:
        return 1.0
    return max(1.0, sum((count - mean) ** 2 for count in counts) / len(counts) / mean)


async def load_victoria_metrics(address: str, service: SimulatedService) -> None:
    """Import a service's series, and wait until they can be read."""
    async with aiohttp.ClientSession() as session:
        async with session.post(
            f"{address}/api/v1/import", data=io.BytesIO("".join(service.import_lines()).encode())
        ) as response:
            assert response.status == 204, await response.text()
        async with session.get(f"{address}/internal/force_flush") as response:
            assert response.status == 200


async def write_prometheus_blocks(promtool: str, folder: Path, service: SimulatedService) -> None:
    """Write the blocks of a Prometheus that scraped all of the service."""
    text = folder / "service.txt"
    text.write_text("".join(service.openmetrics()))
    arguments = [
        "tsdb",
        "create-blocks-from",
        "--max-block-duration=744h",
        "openmetrics",
        str(text),
        str(folder / "tsdb"),
    ]
    process = await asyncio.create_subprocess_exec(promtool, *arguments, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
