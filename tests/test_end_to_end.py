"""End to end: recorded pages over HTTP, the exporter process, and an OTLP receiver that decodes the requests."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
import yaml

from exporter.demo.fake_backend import ReceivedMetrics, fake_backend
from exporter.demo.servers import serve_recording
from exporter.metrics import Source
from tests.process import ExporterProcess, start_exporter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

SECRET = "very-secret-4711"
CONTROLLER_NAMES = re.compile(r"rollout_reconcile_error|notification_send|non-histogram|counter metrics should")


def write_config(folder: Path, endpoint: str, sources: dict[Source, list[str]]) -> Path:
    file = folder / "config.yaml"
    authorization = folder / "authorization"
    authorization.write_text("Basic ZGVtbzp2ZXJ5LXNlY3JldC00NzEx\n")
    settings = {
        "argo": {"targets": sources.get(Source.ARGO, []), "interval": "250ms"},
        "kube_state_metrics": {"targets": sources.get(Source.KUBE_STATE_METRICS, []), "interval": "250ms"},
        "rollout_state": {"targets": sources.get(Source.ROLLOUT_STATE, []), "interval": "250ms"},
        "otlp": {"endpoint": endpoint, "authorization_file": str(authorization)},
        "attributes": {"k8s.cluster.name": "test"},
        "storage": {"directory": str(folder / "storage")},
        "web": {"listen": "127.0.0.1:0"},
    }
    file.write_text(yaml.safe_dump(settings))
    return file


@asynccontextmanager
async def run_pipeline(
    folder: Path, recording: Path, speed: float
) -> AsyncIterator[tuple[ExporterProcess, ReceivedMetrics, str]]:
    """Run the exporter between a recording and a fake backend; yield after its first push."""
    received, started = ReceivedMetrics(), list[float]()

    def elapsed() -> float:
        return (time.monotonic() - started[0]) * speed if started else 0.0

    async with (
        fake_backend(received, username="demo", password=SECRET) as endpoint,
        serve_recording(recording / "full.jsonl", elapsed) as (targets, _),
    ):
        sources: dict[Source, list[str]] = {}
        for target in targets:
            sources.setdefault(target.source, []).append(target.address)
        async with start_exporter(write_config(folder, endpoint, sources)) as process:
            port = re.search(r"port (\d+)", await process.wait_for_log("started"))
            assert port
            await wait_until(lambda: received.requests > 0)
            started.append(time.monotonic())
            yield process, received, f"http://127.0.0.1:{port[1]}"


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_canary_fractions_arrive_step_by_step(tmp_path: Path, recording: Callable[[str], Path]) -> None:
    fractions: list[float] = []
    async with run_pipeline(tmp_path, recording("basic-canary"), speed=10) as (process, received, _):

        def update_completed() -> bool:
            now = canary_fraction(received, "shop", "checkout")
            if now is not None and now not in fractions[-1:]:
                fractions.append(now)
            return len(fractions) > 2 and now == 0.0

        await wait_until(update_completed)
        assert await process.stop() == 0
    assert fractions[0] == 0.0
    assert {0.2, 0.4} <= set(fractions)
    assert not received.rejected
    assert SECRET not in process.log
    others = [line for line in process.log.splitlines() if "INFO transition" not in line]
    assert len(others) < 20, "one line per change, not per scrape"


def canary_fraction(received: ReceivedMetrics, namespace: str, name: str) -> float | None:
    for (metric, labels), value in received.series.items():
        if (
            metric == "argo_rollouts_canary_fraction"
            and ("namespace", namespace) in labels
            and ("name", name) in labels
        ):
            assert ("k8s.cluster.name", "test") in labels
            return round(value, 4)
    return None


@pytest.mark.slow
async def test_promtool_accepts_all_metrics_except_names_of_the_controller(
    tmp_path: Path, recording: Callable[[str], Path], promtool: str
) -> None:
    async with run_pipeline(tmp_path, recording("abort"), speed=10) as (_, received, url):
        await wait_until(lambda: received.requests > 3)
        _, text = await get(f"{url}/metrics")
    assert "argo_rollouts_phase{" in text
    assert "rollout_info{" in text
    assert SECRET not in text
    result = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    complaints = [line for line in (result.stdout + result.stderr).splitlines() if not CONTROLLER_NAMES.search(line)]
    assert complaints == []


@pytest.mark.slow
async def test_pages_probes_and_api_show_the_rollouts(tmp_path: Path, recording: Callable[[str], Path]) -> None:
    async with run_pipeline(tmp_path, recording("abort"), speed=5) as (_, received, url):
        await wait_until(lambda: received.requests > 2)
        assert (await get(f"{url}/healthz"))[0] == 200
        assert (await get(f"{url}/readyz"))[0] == 200
        rollouts = json.loads((await get(f"{url}/api/rollouts"))[1])["rollouts"]
        page, targets = (await get(url))[1], (await get(f"{url}/targets"))[1]
    assert {rollout["name"] for rollout in rollouts} >= {"checkout", "ledger"}
    assert "checkout" in page
    assert "leader" in targets


@pytest.mark.slow
async def test_counters_continue_after_a_restart(tmp_path: Path, recording: Callable[[str], Path]) -> None:
    def aborted(received: ReceivedMetrics) -> float:
        return sum(
            value
            for (name, labels), value in received.series.items()
            if name == "argo_rollouts_updates_total" and ("result", "aborted") in labels
        )

    async with run_pipeline(tmp_path, recording("abort"), speed=10) as (first, received, _):
        await wait_until(lambda: aborted(received) >= 2)
        aborted_before = aborted(received)
        first.process.kill()
        await first.wait()
        async with start_exporter(tmp_path / "config.yaml") as second:
            await second.wait_for_log("started")
            requests = received.requests
            await wait_until(lambda: received.requests > requests + 2)
            assert aborted(received) >= aborted_before
            assert await second.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"web": {"listen": "127.0.0.1:PORT"}}, "web.listen"),
        ({"otlp": {"endpoint": "otlp.last9.io"}}, "https://"),
        ({"otlp": {"authorization_file": "/nowhere/secret"}}, "otlp.authorization_file"),
        ({"attributes": {"deployment.environment": "prod"}}, "k8s.cluster.name"),
        ({"argo": {"targts": []}}, "targets"),
    ],
)
async def test_startup_error_names_the_setting(tmp_path: Path, change: dict[str, object], message: str) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    file = write_config(tmp_path, "http://127.0.0.1:9", {Source.ARGO: ["127.0.0.1:9"]})
    settings = yaml.safe_load(file.read_text()) | change
    file.write_text(yaml.safe_dump(settings).replace("PORT", str(port)))
    async with server, start_exporter(file) as process:
        assert await process.wait() in {1, 2}
    assert message in process.log
    assert "Traceback" not in process.log
