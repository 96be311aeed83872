"""One cycle on recorded pages: its targets, and the problems that it reports."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from exporter.commands.once import OnceResult, estimate_lines, family_costs, run_cycle
from exporter.config import Settings
from exporter.demo.servers import ReplayedTarget, serve_path, serve_recording
from exporter.metrics import Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

CLOSED_PORT = "127.0.0.1:1"


@asynccontextmanager
async def recorded_targets(recording: Path) -> AsyncIterator[dict[str, ReplayedTarget]]:
    """Serve the first pages of a recording; yield the targets by name."""
    async with serve_recording(recording / "no-state.jsonl", lambda: 0.0) as (targets, _):
        yield {target.name: target for target in targets}


async def once(argo: list[str], kube: list[str]) -> OnceResult:
    sections = {"argo": {"targets": argo}, "kube_state_metrics": {"targets": kube}}
    return await run_cycle(Settings.parse(sections))


def kube_state_metrics(targets: dict[str, ReplayedTarget]) -> str:
    return next(target.address for target in targets.values() if target.source is Source.KUBE_STATE_METRICS)


async def test_a_leader_with_standby_and_kube_state_metrics_has_no_problems(recording: Callable[[str], Path]) -> None:
    async with recorded_targets(recording("leader-failover")) as targets:
        result = await once([targets["argo-a"].address, targets["argo-b"].address], [kube_state_metrics(targets)])
    assert result.problems == ()
    lines = sorted(line.partition(": ")[2].partition(",")[0] for line in result.target_lines)
    assert lines[-2:] == ["leader", "standby"]
    assert lines[0].endswith(" samples")


async def test_standbys_without_a_leader_are_reported(recording: Callable[[str], Path]) -> None:
    async with recorded_targets(recording("leader-failover")) as targets:
        pair = [targets["argo-a"].address, targets["argo-b"].address]
        first_result = await once(pair, [])
        leader = next(target.result.target for target in first_result.targets if target.role == "leader")
        result = await once([target for target in pair if target != leader], [kube_state_metrics(targets)])
    (problem,) = result.problems
    assert problem.startswith("no leading controller: ")
    assert "check argo.targets, and that there is a Rollout" in problem


async def test_each_installation_needs_a_leader_of_its_own(recording: Callable[[str], Path]) -> None:
    async with recorded_targets(recording("leader-failover")) as targets:
        pair = [targets["argo-a"].address, targets["argo-b"].address]
        first_result = await once(pair, [])
        (standby,) = (target.result.target for target in first_result.targets if target.role == "standby")
        installations = [{"name": "shop", "targets": pair}, {"name": "pay", "targets": [standby]}]
        settings = {"argo": installations, "kube_state_metrics": {"targets": []}}
        result = await run_cycle(Settings.parse(settings))
    assert [problem.partition(":")[0] for problem in result.problems] == [
        "no leading controller in the installation pay"
    ]


async def test_unreachable_kube_state_metrics_is_reported_with_the_reason(recording: Callable[[str], Path]) -> None:
    async with recorded_targets(recording("leader-failover")) as targets:
        result = await once([targets["argo-a"].address, targets["argo-b"].address], [CLOSED_PORT])
    assert result.problems[0].startswith(f"kube_state_metrics {CLOSED_PORT}: {CLOSED_PORT} refused the connection")
    assert result.problems[1:] == ("no kube-state-metrics target could be scraped; check kube_state_metrics.targets",)


async def test_kube_state_metrics_without_pods_is_reported(recording: Callable[[str], Path]) -> None:
    """A kube-state-metrics with custom-resource state only returns 200 and an empty page."""

    async def nothing(_: web.Request) -> web.Response:
        return web.Response(text="", content_type="text/plain")

    async with recorded_targets(recording("leader-failover")) as targets, serve_path(nothing) as empty:
        result = await once([targets["argo-a"].address, targets["argo-b"].address], [empty])
    (problem,) = result.problems
    assert problem.startswith("kube-state-metrics exports no pods")


@pytest.mark.slow
async def test_the_command_prints_the_targets_and_fails_with_the_problems(recording: Callable[[str], Path]) -> None:
    async with recorded_targets(recording("leader-failover")) as targets:
        pair = [targets["argo-a"].address, targets["argo-b"].address]
        for kube, code in ((kube_state_metrics(targets), 0), (CLOSED_PORT, 1)):
            settings = ("--set", f"argo.targets={json.dumps(pair)}", "--set", f"kube_state_metrics.targets={kube}")
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "exporter", *settings, "once", "--format=targets"),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            lines, warnings = (text.decode() for text in await process.communicate())
            assert process.returncode == code
            assert len(lines.splitlines()) == 3
            assert ("no kube-state-metrics target could be scraped" in warnings) == bool(code)


async def test_an_estimate_has_the_largest_family_first_with_its_share_and_price(
    recording: Callable[[str], Path],
) -> None:
    async with recorded_targets(recording("leader-failover")) as targets:
        result = await once([targets["argo-a"].address, targets["argo-b"].address], [kube_state_metrics(targets)])
    rows = family_costs(result.snapshot, 15.0)
    counts = [row.series_count for row in rows]
    assert counts == sorted(counts, reverse=True)
    by_name = {row.family: row for row in rows}
    histogram = by_name["rollout_reconcile"]
    assert histogram.points_per_month < histogram.series_count * 30 * 5760, "a histogram is one point"
    assert by_name["rollout_info"].points_per_month == by_name["rollout_info"].series_count * 30 * 5760
    _, *lines, last = estimate_lines(rows, 2.0)
    assert sum(float(line.split()[2].rstrip("%")) for line in lines) == pytest.approx(100, abs=2)
    assert float(last.split()[-1].replace(",", "")) == pytest.approx(
        sum(row.points_per_month for row in rows) * 2 / 1e6, abs=0.01
    )
    assert "price" not in next(estimate_lines(rows, None))
