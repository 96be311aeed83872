"""Real stores loaded with timelines, and a client that queries them."""

from __future__ import annotations

import asyncio
import math
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from tests.real_stores import prometheus, victoria_metrics
from tests.timeline import Timeline, promql_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

RETENTION: Final = "100y"
"""Retention that covers recordings of any age."""

LOOKBACK: Final = "25s"
"""Lookback of instant queries: imported text has no staleness markers, so a value would last for 5 minutes."""


@dataclass(frozen=True, slots=True)
class ResultSeries:
    """A series of a query result: its labels, and (Unix seconds, value) pairs without NaN."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class QueryClient:
    """A client of a store's PromQL API."""

    address: str
    session: aiohttp.ClientSession

    async def query_range(self, expr: str, start: float, end: float, step: float) -> list[ResultSeries]:
        """Run a range query."""
        result = await self._post("query_range", query=expr, start=f"{start}", end=f"{end}", step=f"{step}")
        return _result_series(result, "values")

    async def query(self, expr: str, time: float) -> list[ResultSeries]:
        """Run an instant query."""
        result = await self._post("query", query=expr, time=f"{time}")
        return _result_series([{**series, "values": [series["value"]]} for series in result], "values")

    async def _post(self, path: str, **form: str) -> list[dict[str, Any]]:
        async with self.session.post(f"{self.address}/api/v1/{path}", data=form) as response:
            body = await response.json(content_type=None)
        assert body["status"] == "success", f"{form['query']}: {body.get('error')}"
        result: list[dict[str, Any]] = body["data"]["result"]
        return result


def _result_series(result: list[dict[str, Any]], field: str) -> list[ResultSeries]:
    parsed = (
        ResultSeries(
            series["metric"],
            tuple((timestamp, float(value)) for timestamp, value in series[field] if not math.isnan(float(value))),
        )
        for series in result
    )
    return [series for series in parsed if series.points]


@asynccontextmanager
async def prometheus_with(
    timelines: Mapping[str, Timeline], program: str, promtool: str, folder: Path
) -> AsyncIterator[QueryClient]:
    """Run a Prometheus with blocks of timelines, by cluster."""
    file = folder / "timelines.txt"
    file.write_text("".join((*_exposition(timelines, 1), "# EOF\n")))
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(file), str(folder / "tsdb"), "--quiet"]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    flags = (f"--storage.tsdb.retention.time={RETENTION}", f"--query.lookback-delta={LOOKBACK}")
    async with prometheus(program, folder, arguments=flags) as address, aiohttp.ClientSession() as session:
        yield QueryClient(address, session)


@asynccontextmanager
async def victoria_metrics_with(
    timelines: Mapping[str, Timeline], program: str, folder: Path
) -> AsyncIterator[QueryClient]:
    """Run a VictoriaMetrics with imported timelines, by cluster."""
    flag = f"-retentionPeriod={RETENTION}"
    async with victoria_metrics(program, folder, flag) as address, aiohttp.ClientSession() as session:
        body = BytesIO("".join(_exposition(timelines, 1000)).encode())
        async with session.post(f"{address}/api/v1/import/prometheus", data=body) as response:
            assert response.status == 204, await response.text()
        async with session.get(f"{address}/internal/force_flush") as response:
            assert response.status == 200
        yield QueryClient(address, session)


def _exposition(timelines: Mapping[str, Timeline], units_per_second: int) -> Iterator[str]:
    """Yield timelines as exposition text, with timestamps in seconds (1) or milliseconds (1000)."""
    for cluster, timeline in timelines.items():
        for key, column in timeline.columns():
            series = promql_text(key, k8s_cluster_name=cluster)
            for timestamp, value in zip(timeline.times, column, strict=True):
                if value is not None:
                    yield f"{series} {value!r} {round(timestamp * units_per_second)}\n"
