"""`gate run` against a real Prometheus that contains known data."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from exporter.commands.gate.load import GateSource
from exporter.commands.gate.run import RunOptions, run
from exporter.gate.controller import parse_version
from exporter.net.prometheus_api import PrometheusClient, PrometheusEndpoint
from exporter.net.prometheus_response import QueryResult, Vector
from tests.gate.gates import gate
from tests.net.prometheus import api, respond_with
from tests.real_stores import STARTUP_TIMEOUT, prometheus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


PHASES = ("Completed", "Progressing", "Paused", "Timeout", "Error", "Abort")
PAGE = "# TYPE rollout_phase gauge\n" + "".join(
    f'rollout_phase{{name="checkout",namespace="production",strategy="canary",phase="{phase}"}} '
    f"{int(phase == 'Completed')}\n"
    for phase in PHASES
)
INCIDENT = range(40, 60)
"""Minutes after the start of the history in which 30 % of the requests fail."""


@pytest.mark.slow
async def test_validation_of_the_article_succeeds_17_times_of_17(
    require_program: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """rollout_phase{phase="Error"} every 30 s, result[0] == 0: 17 of 17 consecutive successes."""
    program = require_program("prometheus")
    async with (
        api(respond_with(PAGE, media_type="text/plain; version=0.0.4")) as page,
        prometheus(program, tmp_path, [page.address.removeprefix("http://")]) as address,
    ):
        await _wait_for_scrape(address)
        metric: dict[str, Any] = {"interval": "30s", "count": 17, "successCondition": "result[0] == 0"}
        file = gate(tmp_path, address, 'rollout_phase{phase="Error"}', **metric)
        code = await run(GateSource(file), RunOptions(parse_version("1.8.3"), as_json=True, speed=240.0))
    status = json.loads(capsys.readouterr().out)
    result = status["metricResults"][0]
    assert (code, status["phase"]) == (0, "Successful")
    assert (result["successful"], result["count"], result["consecutiveSuccess"]) == (17, 17, 17)
    assert {item["value"] for item in result["measurements"]} == {"[0]"}


async def _wait_for_scrape(address: str) -> None:
    """Wait for the first scrape, which takes a moment after the start."""
    async with asyncio.timeout(STARTUP_TIMEOUT), PrometheusClient(PrometheusEndpoint(address)) as client:
        while not isinstance(result := await client.query("rollout_phase"), QueryResult) or result.value == Vector(()):
            await asyncio.sleep(0.1)


def _history(start: int) -> str:
    """Write two hours of requests, one sample a minute, as OpenMetrics."""
    lines, good, bad = ["# TYPE requests counter"], 0, 0
    for minute in range(120):
        good, bad = (good + 42, bad + 18) if minute in INCIDENT else (good + 60, bad)
        timestamp = start + 60 * minute
        lines += [f'requests_total{{code="200"}} {good} {timestamp}', f'requests_total{{code="500"}} {bad} {timestamp}']
    return "\n".join([*lines, "# EOF", ""])


async def test_replay_fails_for_starts_during_the_incident(
    require_program: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program, promtool = require_program("prometheus"), require_program("promtool")
    start = int(time.time()) // 7200 * 7200 - 4 * 7200
    (tmp_path / "history.txt").write_text(_history(start))
    arguments = ["tsdb", "create-blocks-from", "openmetrics", str(tmp_path / "history.txt"), str(tmp_path / "tsdb")]
    process = await asyncio.create_subprocess_exec(promtool, *arguments, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    query = 'sum(rate(requests_total{code="500"}[5m])) / sum(rate(requests_total[5m]))'
    conditions: dict[str, Any] = {"successCondition": "result[0] < 0.05", "failureCondition": "result[0] >= 0.10"}
    async with prometheus(program, tmp_path) as address:
        file = gate(tmp_path, address, query, interval="1m", count=5, failureLimit=1, **conditions)
        options = RunOptions(parse_version("1.9.1"), as_json=True, start=start + 600.0, end=start + 5400.0, step=600.0)
        assert await run(GateSource(file), options) == 1
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        ends = [(int(line["at"] - start) // 60, line["status"]["phase"]) for line in lines]
        assert ends == [
            (10, "Successful"),
            (20, "Successful"),
            (30, "Successful"),
            (40, "Inconclusive"),
            (50, "Failed"),
            (60, "Failed"),
            (70, "Successful"),
            (80, "Successful"),
            (90, "Successful"),
        ]
        assert await run(GateSource(file), RunOptions(parse_version("1.9.1"), as_json=True, start=start - 86400.0)) == 2
    status = json.loads(capsys.readouterr().out)
    assert status["message"].endswith('Error Message: reflect: slice index out of range"'), "no data, no verdict"
