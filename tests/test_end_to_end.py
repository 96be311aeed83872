"""From recorded pages over HTTP through the real process to an OTLP receiver that decodes what arrives."""

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

from exporter.demo.fake_backend import Ledger, last9
from exporter.demo.replay_server import replay
from exporter.metrics import Source
from tests.process import Exporter, exporter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

SECRET = "very-secret-4711"
CONTROLLER_CHOSE = re.compile(r"rollout_reconcile_error|notification_send|non-histogram|counter metrics should")


def configuration(folder: Path, endpoint: str, sources: dict[Source, list[str]]) -> Path:
    file = folder / "config.yaml"
    authorization = folder / "authorization"
    authorization.write_text("Basic ZGVtbzp2ZXJ5LXNlY3JldC00NzEx\n")
    settings = {
        "argo": {"targets": sources.get(Source.ARGO, []), "interval": "250ms"},
        "kube_state_metrics": {"targets": sources.get(Source.KUBE_STATE_METRICS, []), "interval": "250ms"},
        "rollout_state": {"targets": sources.get(Source.ROLLOUT_STATE, []), "interval": "250ms"},
        "otlp": {"endpoint": endpoint, "authorization_file": str(authorization)},
        "attributes": {"k8s.cluster.name": "test"},
        "memory": {"directory": str(folder / "memory")},
        "web": {"listen": "127.0.0.1:0"},
    }
    file.write_text(yaml.safe_dump(settings))
    return file


@asynccontextmanager
async def everything(folder: Path, recording: Path, speed: float) -> AsyncIterator[tuple[Exporter, Ledger, str]]:
    """A recording played fast, a Last9 stand-in, and the process between them, which has pushed its first points."""
    ledger, begun = Ledger(), list[float]()

    def elapsed() -> float:
        return (time.monotonic() - begun[0]) * speed if begun else 0.0

    async with (
        last9(ledger, username="demo", password=SECRET) as endpoint,
        replay(recording / "full.jsonl", elapsed) as (played, _),
    ):
        sources: dict[Source, list[str]] = {}
        for one in played:
            sources.setdefault(one.source, []).append(one.address)
        async with exporter(configuration(folder, endpoint, sources)) as process:
            port = re.search(r"port (\d+)", await process.say("started"))
            assert port
            await until(lambda: ledger.requests > 0)
            begun.append(time.monotonic())
            yield process, ledger, f"http://127.0.0.1:{port[1]}"


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not what():
            await asyncio.sleep(0.05)


async def test_a_canary_arrives_step_by_step_and_the_books_balance_at_the_end(
    tmp_path: Path, recording: Callable[[str], Path]
) -> None:
    fractions: list[float] = []
    async with everything(tmp_path, recording("basic-canary"), speed=10) as (process, ledger, _):

        def settled() -> bool:
            now = fraction_of(ledger, "shop", "checkout")
            if now is not None and now not in fractions[-1:]:
                fractions.append(now)
            return len(fractions) > 2 and now == 0.0

        await until(settled)
        assert await process.stop() == 0
    assert fractions[0] == 0.0
    assert {0.2, 0.4} <= set(fractions)
    assert not ledger.refused
    assert SECRET not in process.log
    assert process.log.count("\n") < 20, "one line per change, not per scrape"


def fraction_of(ledger: Ledger, namespace: str, name: str) -> float | None:
    for (metric, labels), value in ledger.series.items():
        if (
            metric == "argo_rollouts_canary_fraction"
            and ("namespace", namespace) in labels
            and ("name", name) in labels
        ):
            assert ("k8s.cluster.name", "test") in labels
            return round(value, 4)
    return None


async def test_metrics_are_what_promtool_takes_but_for_names_that_the_controller_chose(
    tmp_path: Path, recording: Callable[[str], Path], promtool: str
) -> None:
    async with everything(tmp_path, recording("abort"), speed=10) as (_, ledger, url):
        await until(lambda: ledger.requests > 3)
        _, text = await get(f"{url}/metrics")
    assert "argo_rollouts_phase{" in text
    assert "rollout_info{" in text
    assert SECRET not in text
    done = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if not CONTROLLER_CHOSE.search(line)]
    assert complaints == []


async def test_the_pages_tell_a_reader_and_a_probe_what_is_going_on(
    tmp_path: Path, recording: Callable[[str], Path]
) -> None:
    async with everything(tmp_path, recording("abort"), speed=5) as (_, ledger, url):
        await until(lambda: ledger.requests > 2)
        assert (await get(f"{url}/healthz"))[0] == 200
        assert (await get(f"{url}/readyz"))[0] == 200
        rollouts = json.loads((await get(f"{url}/api/rollouts"))[1])["rollouts"]
        page = (await get(url))[1]
    assert {one["name"] for one in rollouts} >= {"checkout", "ledger"}
    assert "checkout" in page
    assert "leader" in page


async def test_a_restart_goes_on_where_the_last_process_stopped(
    tmp_path: Path, recording: Callable[[str], Path]
) -> None:
    def aborted(ledger: Ledger) -> float:
        return sum(
            value
            for (name, labels), value in ledger.series.items()
            if name == "argo_rollouts_updates_total" and ("result", "aborted") in labels
        )

    async with everything(tmp_path, recording("abort"), speed=10) as (first, ledger, _):
        await until(lambda: aborted(ledger) >= 2)
        before = aborted(ledger)
        first.process.kill()
        await first.wait()
        async with exporter(tmp_path / "config.yaml") as second:
            await second.say("started")
            requests = ledger.requests
            await until(lambda: ledger.requests > requests + 2)
            assert aborted(ledger) >= before
            assert await second.stop() == 0


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
async def test_what_cannot_start_says_which_setting_cures_it(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    file = configuration(tmp_path, "http://127.0.0.1:9", {Source.ARGO: ["127.0.0.1:9"]})
    settings = yaml.safe_load(file.read_text()) | change
    file.write_text(yaml.safe_dump(settings).replace("PORT", str(port)))
    async with server, exporter(file) as process:
        assert await process.wait() in {1, 2}
    assert message in process.log
    assert "Traceback" not in process.log
