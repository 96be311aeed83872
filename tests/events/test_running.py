"""A running exporter says what happened, once each: in its log, at /api/events and to `events tail`, over a kill."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from exporter.demo.servers import serve_recording
from tests.process import start_exporter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.process import ExporterProcess
    from tests.recorded import Recordings

SPEED = 8.0
"""Of the recording, whose frames are then as far apart as the scrapes."""
ENDS = {"promoted", "aborted"}


def write_config(folder: Path, targets: dict[str, list[str]]) -> Path:
    settings = {
        **{source: {"targets": addresses, "interval": "100ms"} for source, addresses in targets.items()},
        "storage": {"directory": str(folder / "storage"), "fsync": "never"},
        "log": {"format": "json"},
        "web": {"listen": "127.0.0.1:0"},
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


@asynccontextmanager
async def started(config: Path) -> AsyncIterator[tuple[ExporterProcess, str]]:
    async with start_exporter(config) as process:
        port = re.search(r"port (\d+)", await process.wait_for_log("started"))
        assert port
        yield process, f"http://127.0.0.1:{port[1]}"


async def events(url: str) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/events") as response:
        answer: list[dict[str, Any]] = (await response.json())["events"]
        return answer


async def wait_for(url: str, condition: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    async with asyncio.timeout(30):
        while not condition(answer := await events(url)):
            await asyncio.sleep(0.05)
        return answer


@pytest.mark.slow
async def test_a_killed_exporter_repeats_and_loses_no_transition(
    tmp_path: Path, explained_recordings: Recordings
) -> None:
    recording = explained_recordings.frames("analysis-1.10.2", "full")
    begun: list[float] = []

    def elapsed() -> float:
        return (time.monotonic() - begun[0]) * SPEED if begun else 0.0

    async with serve_recording(recording, elapsed) as (targets, _):
        addresses: dict[str, list[str]] = {}
        for target in targets:
            addresses.setdefault(target.source.value, []).append(target.address)
        config = write_config(tmp_path, addresses)
        async with started(config) as (process, url):
            begun.append(time.monotonic())
            await wait_for(url, lambda answer: any(event["type"] == "aborted" for event in answer))
            process.process.kill()
            first_log = (await process.process.communicate())[1].decode()
        async with started(config) as (process, url):
            async with start_exporter(config, "events", "tail", "--json", "--address", url) as tail:
                answer = await wait_for(url, lambda answer: [event["type"] for event in answer].count("promoted") > 1)
                assert tail.process.stdout is not None
                async with asyncio.timeout(10):
                    followed = [json.loads(await tail.process.stdout.readline()) for _ in answer]
            assert await process.stop() == 0
    counts = Counter(
        (event["rollout"], event["type"], event["revision"]) for event in answer if event["type"] in {*ENDS, "retried"}
    )
    assert counts == {
        ("shop/multi", "aborted", "2"): 1,
        ("pay/routed", "aborted", "2"): 1,
        ("pay/blind", "aborted", "2"): 1,
        ("shop/multi", "retried", "2"): 1,
        ("pay/routed", "promoted", "3"): 1,
        ("shop/multi", "promoted", "2"): 1,
    }
    assert followed == answer
    logged = [json.loads(line) for line in (first_log + process.log).splitlines() if '"transition"' in line]
    members = set().union(*answer)
    in_log = [{name: value for name, value in line.items() if name in members} for line in logged]
    assert in_log[-len(answer) :] == [event for event in answer if event in in_log]
