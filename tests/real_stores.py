"""Real stores as processes on loopback: Prometheus and VictoriaMetrics."""

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

STARTUP_TIMEOUT = 20.0


@asynccontextmanager
async def prometheus(
    program: str, folder: Path, targets: Sequence[str] = (), arguments: Sequence[str] = (), interval: str = "100ms"
) -> AsyncIterator[str]:
    """Run a Prometheus that scrapes the targets; yield its address."""
    scrape_config = {"job_name": "store", "static_configs": [{"targets": list(targets)}], "honor_labels": True}
    config = folder / "prometheus.yml"
    config.write_text(
        yaml.safe_dump({"scrape_configs": [scrape_config | {"scrape_interval": interval, "scrape_timeout": interval}]})
    )
    port = free_port()
    flags = (f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}", "--log.level=error", *arguments)
    async with _run_server(program, f"--web.listen-address=127.0.0.1:{port}", *flags, ready=f"{port}/-/ready"):
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def victoria_metrics(program: str, folder: Path, *arguments: str, port: int = 0) -> AsyncIterator[str]:
    """Run a VictoriaMetrics with the minimum query latency; yield its address (OTLP: /opentelemetry)."""
    port = port or free_port()
    flags = (f"-storageDataPath={folder / 'vm'}", "-search.latencyOffset=1s", "-loggerLevel=ERROR", *arguments)
    async with _run_server(program, f"-httpListenAddr=127.0.0.1:{port}", *flags, ready=f"{port}/health"):
        yield f"http://127.0.0.1:{port}"


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@asynccontextmanager
async def _run_server(program: str, *arguments: str, ready: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(program, *arguments, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(STARTUP_TIMEOUT), aiohttp.ClientSession() as session:
            while not await _is_ready(session, f"http://127.0.0.1:{ready}"):
                assert process.returncode is None, f"{program} ended by itself"
                await asyncio.sleep(0.05)
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False
