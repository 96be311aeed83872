"""Films in real stores, and what a real PromQL engine answers of them."""

from __future__ import annotations

import asyncio
import math
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from tests.timeline import Timeline, promql_text
from tests.real_stores import prometheus, victoria_metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

AGES: Final = "100y"
"""How long a store keeps what was recorded: however old that is when a test runs."""

LOOKBACK: Final = "25s"
"""For how long a value holds: text has no end markers, with which a scrape ends what is said no longer at once."""


@dataclass(frozen=True, slots=True)
class Line:
    """A series of an answer: its labels, and (Unix seconds, value) pairs, those that are no number left out."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Store:
    """A store that answers PromQL."""

    address: str
    session: aiohttp.ClientSession

    async def over(self, expr: str, start: float, end: float, step: float) -> list[Line]:
        """Ask for a span of time."""
        found = await self._ask("query_range", query=expr, start=f"{start}", end=f"{end}", step=f"{step}")
        return _lines(found, "values")

    async def at(self, expr: str, time: float) -> list[Line]:
        """Ask for one moment."""
        found = await self._ask("query", query=expr, time=f"{time}")
        return _lines([{**one, "values": [one["value"]]} for one in found], "values")

    async def _ask(self, path: str, **form: str) -> list[dict[str, Any]]:
        async with self.session.post(f"{self.address}/api/v1/{path}", data=form) as response:
            answer = await response.json(content_type=None)
        assert answer["status"] == "success", f"{form['query']}: {answer.get('error')}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


def _lines(found: list[dict[str, Any]], field: str) -> list[Line]:
    lines = (
        Line(one["metric"], tuple((at, float(value)) for at, value in one[field] if not math.isnan(float(value))))
        for one in found
    )
    return [line for line in lines if line.points]


@asynccontextmanager
async def prometheus_with(films: Mapping[str, Timeline], program: str, promtool: str, folder: Path) -> AsyncIterator[Store]:
    """Run a Prometheus with blocks of films, each of a cluster of its own."""
    text = folder / "films.txt"
    text.write_text("".join((*_text(films, 1), "# EOF\n")))
    make = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "tsdb"), "--quiet"]
    await asyncio.to_thread(subprocess.run, make, check=True, capture_output=True)
    keep = (f"--storage.tsdb.retention.time={AGES}", f"--query.lookback-delta={LOOKBACK}")
    async with prometheus(program, folder, arguments=keep) as address, aiohttp.ClientSession() as session:
        yield Store(address, session)


@asynccontextmanager
async def victoria_metrics_with(films: Mapping[str, Timeline], program: str, folder: Path) -> AsyncIterator[Store]:
    """Run a VictoriaMetrics with films, each of a cluster of its own."""
    keep = f"-retentionPeriod={AGES}"
    async with victoria_metrics(program, folder, keep) as address, aiohttp.ClientSession() as session:
        body = BytesIO("".join(_text(films, 1000)).encode())
        async with session.post(f"{address}/api/v1/import/prometheus", data=body) as response:
            assert response.status == 204, await response.text()
        async with session.get(f"{address}/internal/force_flush") as response:
            assert response.status == 200
        yield Store(address, session)


def _text(films: Mapping[str, Timeline], unit: int) -> Iterator[str]:
    """Write films as exposition text, each sample with its time in seconds (1) or milliseconds (1000)."""
    for cluster, played in films.items():
        for key, column in played.columns():
            head = promql_text(key, k8s_cluster_name=cluster)
            for at, value in zip(played.times, column, strict=True):
                if value is not None:
                    yield f"{head} {value!r} {round(at * unit)}\n"
