"""One round, asked of recorded pages: who answered, and what a working exporter would have had and this one had not."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from exporter.commands.once import Once, go_round
from exporter.config import Settings
from exporter.demo.replay_server import Played, listening, replay
from exporter.metrics import Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

NOBODY = "127.0.0.1:1"


@asynccontextmanager
async def played(recording: Path) -> AsyncIterator[dict[str, Played]]:
    """The first pages of a recording, by the target's name."""
    async with replay(recording / "no-state.jsonl", lambda: 0.0) as (targets, _):
        yield {one.name: one for one in targets}


async def once(argo: list[str], kube: list[str]) -> Once:
    return await go_round(Settings.model_validate({"argo": {"targets": argo}, "kube_state_metrics": {"targets": kube}}))


def kube_state_metrics(targets: dict[str, Played]) -> str:
    return next(one.address for one in targets.values() if one.source is Source.KUBE_STATE_METRICS)


async def test_a_leader_and_a_standby_and_kube_state_metrics_lack_nothing(recording: Callable[[str], Path]) -> None:
    async with played(recording("leader-failover")) as targets:
        done = await once([targets["argo-a"].address, targets["argo-b"].address], [kube_state_metrics(targets)])
    assert done.lacks == ()
    said = sorted(line.partition(": ")[2].partition(",")[0] for line in done.answers)
    assert said[-2:] == ["leader", "standby"]
    assert said[0].endswith(" samples")


async def test_standbys_alone_lead_nowhere(recording: Callable[[str], Path]) -> None:
    async with played(recording("leader-failover")) as targets:
        pair = [targets["argo-a"].address, targets["argo-b"].address]
        led = await once(pair, [])
        leader = next(target.page.target for target in led.targets if target.verdict == "leader")
        done = await once([one for one in pair if one != leader], [kube_state_metrics(targets)])
    (lack,) = done.lacks
    assert lack.startswith("no controller leads: ")
    assert "check argo.targets, and that there is a Rollout" in lack


async def test_each_installation_needs_a_leader_of_its_own(recording: Callable[[str], Path]) -> None:
    async with played(recording("leader-failover")) as targets:
        pair = [targets["argo-a"].address, targets["argo-b"].address]
        led = await once(pair, [])
        (standby,) = (one.page.target for one in led.targets if one.verdict == "standby")
        installations = [{"name": "shop", "targets": pair}, {"name": "pay", "targets": [standby]}]
        settings = {"argo": installations, "kube_state_metrics": {"targets": []}}
        done = await go_round(Settings.model_validate(settings))
    assert [lack.partition(":")[0] for lack in done.lacks] == ["no controller leads in the installation pay"]


async def test_silence_of_kube_state_metrics_is_told_with_its_reason(recording: Callable[[str], Path]) -> None:
    async with played(recording("leader-failover")) as targets:
        done = await once([targets["argo-a"].address, targets["argo-b"].address], [NOBODY])
    assert done.lacks[0].startswith(f"kube_state_metrics {NOBODY}: {NOBODY} refused the connection")
    assert done.lacks[1:] == ("no kube-state-metrics answers; check kube_state_metrics.targets",)


async def test_a_kube_state_metrics_that_has_no_pods_is_told(recording: Callable[[str], Path]) -> None:
    """As one with custom-resource state only answers when it is asked for pods: 200 and nothing."""

    async def nothing(_: web.Request) -> web.Response:
        return web.Response(text="", content_type="text/plain")

    async with played(recording("leader-failover")) as targets, listening(nothing) as empty:
        done = await once([targets["argo-a"].address, targets["argo-b"].address], [empty])
    (lack,) = done.lacks
    assert lack.startswith("kube-state-metrics answers, but shows no pods")


async def test_the_command_says_who_answered_and_fails_with_what_is_lacking(recording: Callable[[str], Path]) -> None:
    async with played(recording("leader-failover")) as targets:
        pair = [targets["argo-a"].address, targets["argo-b"].address]
        for kube, code in ((kube_state_metrics(targets), 0), (NOBODY, 1)):
            settings = ("--set", f"argo.targets={json.dumps(pair)}", "--set", f"kube_state_metrics.targets={kube}")
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "exporter", *settings, "once", "--format=targets"),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            said, warned = (text.decode() for text in await process.communicate())
            assert process.returncode == code
            assert len(said.splitlines()) == 3
            assert ("no kube-state-metrics answers" in warned) == bool(code)
