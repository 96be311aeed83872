"""End to end: recorded pages, the exporter as a process, a Prometheus that scrapes it, a VictoriaMetrics it feeds."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import aiohttp

from tests.boards.live_exporter import scraped
from tests.boards.loaded_stores import Store
from tests.boards.queries import OTHERS, SUFFIXES, Asked, alert_queries, mark_queries, panel_queries, selectors
from tests.real_stores import free_port, victoria_metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OUTAGE: Final = 1.5
"""Seconds for which the recording plays while nobody answers at the endpoint; the small queue has long been full."""
LASTING: Final = 11.0
"""Seconds that it plays in all."""
SPEED: Final = 6.0
"""The recording `analysis` ends within that time: promoted, aborted, paused for want of a decision."""
WELL: Final = {
    "exporter: Targets down: A",
    "fleet: Unknown state: A",
    "fleet: Reasons of unknown state: A",
}
"""What has no answer but 0: all is known in this recording, and everybody answers."""
PUSHED: Final = {"exporter: CPU: A", "exporter: Memory: A"}
"""What only those have who scrape it."""
TOLD: Final = {
    "RolloutAborted",
    "RolloutAnalysisFailed",
    "RolloutDegraded",
    "RolloutStuckProgressing",
    "RolloutUndecided",
    "RolloutsExporterSpoolFilling",
}
"""Alerts whose expression has a value, for however short a time."""


def made_here(asked: Asked) -> bool:
    """Tell whether the exporter itself says what is asked for."""
    names = [one.name or "" for one in selectors(asked.filled())]
    others = [name for name in names if {name, SUFFIXES.sub("", name)} & OTHERS]
    return all(name.startswith("process_") for name in others)


async def test_every_query_is_answered_by_who_scrapes_and_by_who_is_fed(
    recording: Callable[[str], Path], require_program: Callable[[str], str], tmp_path: Path
) -> None:
    port = free_port()
    fed = f"http://127.0.0.1:{port}/opentelemetry"
    queue = {"bytes": "100KiB", "directory": str(tmp_path / "spool")}
    began = time.time()
    async with scraped(
        require_program("prometheus"), tmp_path, recording("analysis"), fed, SPEED, queue=queue
    ) as scraper:
        await asyncio.sleep(OUTAGE)
        naming = ("-opentelemetry.usePrometheusNaming",)
        async with (
            victoria_metrics(require_program("victoria-metrics"), tmp_path, *naming, port=port) as address,
            aiohttp.ClientSession() as session,
        ):
            await asyncio.sleep(LASTING - OUTAGE)
            for store, missing in ((scraper, set[str]()), (Store(address, session), PUSHED)):
                asked = [one for one in (*panel_queries(), *mark_queries()) if made_here(one)]
                assert {one.where for one in asked if not await _answered(store, one, began)} == WELL | missing
                told = {one.where for one in alert_queries() if await _answered(store, one, began)}
                assert told >= TOLD


async def _answered(store: Store, asked: Asked, began: float) -> bool:
    expr = asked.filled(__rate_interval="3s", __range="30s").removesuffix(" or vector(0)")
    return bool(await store.over(expr, began, time.time(), 1))
