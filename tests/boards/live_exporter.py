"""The real exporter between recorded pages and real stores: one scrapes it, the other takes its OTLP."""

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
from tests.boards.loaded_stores import Store
from tests.process import exporter
from tests.real_stores import prometheus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BROKEN = 'kube_pod_info{namespace="far",pod="away",uid="1"} 1\nkube_pod_info{ 1\n'
"""A page with a line that is no exposition text."""


@asynccontextmanager
async def scraped(
    program: str, folder: Path, recording: Path, endpoint: str, speed: float = 1.0, **otlp: Any
) -> AsyncIterator[Store]:
    """Run the exporter over a recording, pushing to an endpoint, and a Prometheus that scrapes it; yields that.

    The recording begins to play when the Prometheus has scraped for the first time.
    """
    begun: list[float] = []

    def elapsed() -> float:
        return (time.monotonic() - begun[0]) * speed if begun else 0.0

    async def broken(_: web.Request) -> web.Response:
        return web.Response(text=BROKEN, content_type="text/plain")

    async with (
        serve_recording(recording / "full.jsonl", elapsed) as (played, _),
        serve_path(broken) as odd,
    ):
        targets: dict[str, list[str]] = {source.value: [] for source in Source}
        for one in played:
            targets[one.source.value].append(one.address)
        targets[Source.KUBE_STATE_METRICS.value].append(odd)
        settings = {
            **{source: {"targets": addresses, "interval": "250ms"} for source, addresses in targets.items()},
            "otlp": {"endpoint": endpoint, **otlp},
            "attributes": {"k8s.cluster.name": "live"},
            "memory": {"directory": str(folder / "memory")},
            "web": {"listen": "127.0.0.1:0"},
        }
        file = folder / "config.yaml"
        file.write_text(yaml.safe_dump(settings))
        async with exporter(file, HOSTNAME="rollouts-exporter-0") as process:
            port = re.search(r"port (\d+)", await process.say("started"))
            assert port
            async with (
                prometheus(program, folder, [f"127.0.0.1:{port[1]}"], every="500ms") as address,
                aiohttp.ClientSession() as session,
            ):
                store = Store(address, session)
                while not await store.at("rollouts_exporter_build_info", time.time()):
                    await asyncio.sleep(0.2)
                begun.append(time.monotonic())
                yield store
            assert await process.stop() == 0
