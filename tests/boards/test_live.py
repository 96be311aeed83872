"""Every query on a running exporter, in a Prometheus that scrapes it and a VictoriaMetrics that it pushes to."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import aiohttp
import pytest

from tests.boards.live_exporter import scraped_exporter
from tests.boards.loaded_stores import QueryClient
from tests.boards.queries import (
    FOREIGN,
    SUFFIXES,
    Expression,
    alert_queries,
    annotation_queries,
    panel_queries,
    required_preset,
    selectors,
)
from tests.real_stores import free_port, victoria_metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OUTAGE: Final = 1.5
"""Seconds that the endpoint is down while the recording plays; long enough to fill the small queue."""
DURATION: Final = 11.0
"""Seconds that the recording plays."""
SPEED: Final = 6.0
"""Fast enough for the recording `analysis` to end: promoted, aborted, paused after an inconclusive run."""
EMPTY: Final = {
    "exporter: Targets down: A",
    "fleet: Lead time: A",
    "fleet: Waiting for people: A",
    "rollout: Kind of step: A",
    "rollout: Routes to the canary: A",
    "rollout: Step: B",
    "rollout: Timed pause ends in: A",
    "fleet: Unknown state: A",
    "fleet: Reasons of unknown state: A",
}
"""Panels without data: no value is unknown, all targets are up, and rollout state is of the first configuration."""
SCRAPED_ONLY: Final = {"exporter: CPU: A", "exporter: Memory: A"}
"""Panels whose metrics are only scraped, not pushed."""
FIRING: Final = {
    "RolloutAborted",
    "RolloutAnalysisFailed",
    "RolloutDegraded",
    "RolloutStuckProgressing",
    "RolloutUndecided",
    "RolloutsExporterQueueFilling",
}
"""Alerts whose expression has a value at any time."""


def is_exported(expression: Expression) -> bool:
    """Return whether the exporter itself exports the queried series."""
    names = [selector.name or "" for selector in selectors(expression.with_variables())]
    others = [name for name in names if {name, SUFFIXES.sub("", name)} & FOREIGN]
    return all(name.startswith("process_") for name in others)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["lean", "full"])
async def test_every_query_returns_data_from_a_scraping_and_from_a_receiving_store(
    recording: Callable[[str], Path], require_program: Callable[[str], str], tmp_path: Path, preset: str
) -> None:
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}/opentelemetry"
    start = time.time()
    async with scraped_exporter(
        require_program("prometheus"), tmp_path, recording("analysis"), endpoint, SPEED, preset, max_bytes="100KiB"
    ) as scraping_store:
        await asyncio.sleep(OUTAGE)
        naming = ("-opentelemetry.usePrometheusNaming",)
        async with (
            victoria_metrics(require_program("victoria-metrics"), tmp_path, *naming, port=port) as address,
            aiohttp.ClientSession() as session,
        ):
            await asyncio.sleep(DURATION - OUTAGE)
            for store, missing in ((scraping_store, set[str]()), (QueryClient(address, session), SCRAPED_ONLY)):
                expressions = [item for item in (*panel_queries(), *annotation_queries()) if is_exported(item)]
                absent = {item.location for item in expressions if not exports_all(preset, item)}
                assert {
                    item.location for item in expressions if not await _has_data(store, item, start)
                } == EMPTY | missing | absent
                firing = {item.location for item in alert_queries() if await _has_data(store, item, start)}
                assert firing >= FIRING


def exports_all(preset: str, expression: Expression) -> bool:
    """Return whether a preset exports the series of an expression, which else has no data."""
    return preset in {"full", required_preset([expression.expr])}


async def _has_data(store: QueryClient, expression: Expression, start: float) -> bool:
    expr = expression.with_variables(__rate_interval="3s", __range="30s").removesuffix(" or vector(0)")
    return bool(await store.query_range(expr, start, time.time(), 1))
