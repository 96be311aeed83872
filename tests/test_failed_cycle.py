"""A cycle that fails costs its samples: it is counted, shown and logged, and the next one starts from scratch."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from exporter.config import load
from exporter.demo.servers import serve_path
from exporter.service.app import App
from tests.rollouts.pages import PageRollout

if TYPE_CHECKING:
    import pytest

    from exporter.rollouts.model import RolloutKey

NAMES = {f"r{number}" for number in range(5)}


async def test_a_failed_cycle_is_counted_and_shown_and_no_living_rollout_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    requests = 0

    async def page(_: web.Request) -> web.Response:
        nonlocal requests
        requests += 1  # another value each time, so that each cycle has something to advance
        rollouts = [PageRollout(name=name, events={"RolloutPaused": requests}) for name in sorted(NAMES)]
        return web.Response(text="".join(f"{line}\n" for rollout in rollouts for line in rollout.lines()))

    fails = False

    def has_router(_: RolloutKey) -> bool:
        if fails:
            raise LookupError("a fault of ours")
        return False

    async with serve_path(page) as target, aiohttp.ClientSession() as session:
        sections = {
            "argo": {"targets": [target], "interval": "200ms"},
            "kube_state_metrics": {"targets": []},
            "web.listen": "127.0.0.1:0",
        }
        app, stop = App(load(None, {}, sections), "a"), asyncio.Event()
        app.tracker._policy = replace(app.tracker._policy, has_router=has_router)
        running = asyncio.create_task(app.run(stop))

        async def read(path: str) -> str:
            url = re.search(
                r"'serving': '127\.0\.0\.1, port (\d+)'", str([vars(r).get("fields") for r in caplog.records])
            )
            if url is None:
                return ""
            async with session.get(f"http://127.0.0.1:{url[1]}{path}") as response:
                return await response.text()

        async def wait_for(path: str, pattern: str) -> str:
            async with asyncio.timeout(10):
                while not re.search(pattern, text := await read(path)):
                    await asyncio.sleep(0.05)
            return text

        await wait_for("/api/rollouts", '"name": "r4"')
        fails = True
        await wait_for("/metrics", r'rollouts_exporter_cycles_failed_total\{instance="a"\} [2-9]')
        assert "a cycle failed: LookupError" in await wait_for("/", "a cycle failed")
        fails = False
        completed = float(re.findall(r"cycles_total\{.*\} (\d+)", await read("/metrics"))[0])
        await wait_for("/metrics", rf"exporter_cycles_total\{{.*\}} {completed + 2:.0f}")
        document = json.loads(await read("/api/rollouts"))
        assert {rollout["name"] for rollout in document["rollouts"]} == NAMES
        assert "a cycle failed" not in await wait_for("/", "r4")
        stop.set()
        await running
    failures = [record for record in caplog.records if record.message.startswith("cycle failed")]
    assert len(failures) == 1, "logged once, not at every tick"
