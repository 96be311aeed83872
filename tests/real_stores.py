"""Real stores as programs of their own, on loopback: Prometheus and VictoriaMetrics."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import yaml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

PATIENCE = 20.0


@asynccontextmanager
async def prometheus(
    program: str, folder: Path, targets: Sequence[str] = (), arguments: Sequence[str] = (), every: str = "100ms"
) -> AsyncIterator[str]:
    """Run a Prometheus that scrapes the targets every so often; yields its address."""
    scraping = {"job_name": "store", "static_configs": [{"targets": list(targets)}], "honor_labels": True}
    config = folder / "prometheus.yml"
    config.write_text(
        yaml.safe_dump({"scrape_configs": [scraping | {"scrape_interval": every, "scrape_timeout": every}]})
    )
    port = free_port()
    told = (f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}", "--log.level=error", *arguments)
    async with _running(program, f"--web.listen-address=127.0.0.1:{port}", *told, ready=f"{port}/-/ready"):
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def victoria_metrics(program: str, folder: Path, *arguments: str, port: int = 0) -> AsyncIterator[str]:
    """Run a VictoriaMetrics that answers as soon as it can; yields its address, OTLP is at /opentelemetry."""
    port = port or free_port()
    told = (f"-storageDataPath={folder / 'vm'}", "-search.latencyOffset=1s", "-loggerLevel=ERROR", *arguments)
    async with _running(program, f"-httpListenAddr=127.0.0.1:{port}", *told, ready=f"{port}/health"):
        yield f"http://127.0.0.1:{port}"


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@asynccontextmanager
async def _running(program: str, *arguments: str, ready: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(program, *arguments, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as session:
            while not await _answers(session, f"http://127.0.0.1:{ready}"):
                assert process.returncode is None, f"{program} ended by itself"
                await asyncio.sleep(0.05)
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False
