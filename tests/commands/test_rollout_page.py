"""/api/rollouts/NAMESPACE/NAME explains one rollout and has its transitions; `explain` reads it, and the history."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from exporter.demo.servers import serve_recording
from exporter.rollouts.explain.document import explanation_json
from exporter.rollouts.explain.explain import explain
from exporter.service import views
from tests.commands.test_wait import invoke, running, write_config

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.metrics import Source
    from tests.recorded import Recordings


async def get(url: str) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.json()


@pytest.mark.slow
async def test_a_rollout_has_a_page_with_its_explanation_and_history(
    tmp_path: Path, explained_recordings: Recordings
) -> None:
    moment = [0.0]
    recording = explained_recordings.frames("inconclusive-1.10.2", "full")
    async with serve_recording(recording, lambda: moment[0]) as (targets, _):
        addresses: dict[Source, tuple[str, ...]] = {}
        for target in targets:
            addresses[target.source] = (*addresses.get(target.source, ()), target.address)
        async with running(write_config(tmp_path, addresses)) as url:
            for moment[0] in (4.0, 8.0):
                await asyncio.sleep(2.5)
            paused_at = time.time()
            status, document = await get(f"{url}/api/rollouts/shop/doubt")
            explained = await invoke(["explain", "doubt", "--address", url])
            listed = await invoke(["explain", "--address", url])
            for moment[0] in (19.0,):
                await asyncio.sleep(2.5)
            ago = f"-{time.time() - paused_at:.1f}s"
            history = await invoke(["explain", "doubt", "--at", ago, "--address", url])
            all_history = await invoke(["explain", "--json", "--at", ago, "--address", url])
            too_early = await invoke(["explain", "doubt", "--at", "-2h", "--address", url])
            absent = await get(f"{url}/api/rollouts/shop/absent")
    assert status == 200
    assert document["rollout"]["explanation"]["waits_for"] == "person"
    assert document["rollout"]["explanation"]["evidence"]
    assert [event["type"] for event in document["events"]][-1] == "paused"
    assert (absent[0], absent[1]["rollout"], absent[1]["events"]) == (404, None, [])
    assert "was inconclusive" in explained.stdout.splitlines()[1]
    assert len(listed.stdout.splitlines()) == 1 + 6
    assert "paused at" in history.stdout, history.output
    assert "was inconclusive" in history.stdout
    moments = {each["rollout"]: each["transition"]["type"] for each in json.loads(all_history.stdout)}
    assert (moments["shop/doubt"], "shop/cart" in moments) == ("paused", False)
    assert (too_early.exit_code, "before the history" in too_early.stderr) == (1, True)


def test_the_page_has_what_explain_returns(explained_recordings: Recordings) -> None:
    for tick, _, tracker in explained_recordings.play("person-1.10.2", "full"):
        for rollout in tracker.status.rollouts:
            document = views.rollout_details_json(tracker.status, rollout.key, tick.timestamp)
            assert document is not None
            evidence = document["explanation"].pop("evidence")
            assert document["explanation"] == explanation_json(explain(rollout, tick.timestamp))
            assert evidence
            assert document["sentence"] == document["explanation"]["sentence"]
