"""The real exporter on a recording, scraped by a Prometheus and pushing to an OTLP endpoint."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import yaml
from aiohttp import web

from exporter.demo.servers import serve_path, serve_recording
from exporter.metrics import Source
from tests.boards.loaded_stores import QueryClient
from tests.process import start_exporter
from tests.real_stores import prometheus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MALFORMED_PAGE = 'kube_pod_info{namespace="far",pod="away",uid="1"} 1\nkube_pod_info{ 1\n'
"""A page with a malformed line."""


@asynccontextmanager
async def scraped_exporter(
    program: str,
    folder: Path,
    recording: Path,
    endpoint: str,
    speed: float = 1.0,
    preset: str = "full",
    **storage: Any,
) -> AsyncIterator[QueryClient]:
    """Run the exporter on a recording, pushing to `endpoint`, and a Prometheus that scrapes it; yield the Prometheus.

    The recording starts to play after the first scrape.
    """
    started: list[float] = []

    def elapsed() -> float:
        return (time.monotonic() - started[0]) * speed if started else 0.0

    async def malformed(_: web.Request) -> web.Response:
        return web.Response(text=MALFORMED_PAGE, content_type="text/plain")

    async with (
        serve_recording(recording / "full.jsonl", elapsed) as (targets_of_recording, _),
        serve_path(malformed) as malformed_target,
    ):
        targets: dict[str, list[str]] = {source.value: [] for source in Source}
        for target in targets_of_recording:
            targets[target.source.value].append(target.address)
        targets[Source.KUBE_STATE_METRICS.value].append(malformed_target)
        settings = {
            **{source: {"targets": addresses, "interval": "250ms"} for source, addresses in targets.items()},
            "otlp": {"endpoint": endpoint},
            "series": {"preset": preset},
            "attributes": {"k8s.cluster.name": "live"},
            "storage": {"directory": str(folder / "storage"), **storage},
            "web": {"listen": "127.0.0.1:0"},
        }
        file = folder / "config.yaml"
        file.write_text(yaml.safe_dump(settings))
        async with start_exporter(file, HOSTNAME="rollouts-exporter-0") as process:
            port = re.search(r"port (\d+)", await process.wait_for_log("started"))
            assert port
            async with (
                prometheus(program, folder, [f"127.0.0.1:{port[1]}"], interval="500ms") as address,
                aiohttp.ClientSession() as session,
            ):
                store = QueryClient(address, session)
                while not await store.query("rollouts_exporter_build_info", time.time()):
                    await asyncio.sleep(0.2)
                started.append(time.monotonic())
                yield store
            assert await process.stop() == 0
