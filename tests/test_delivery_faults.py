"""Faults of delivery with the real process: statuses of a CDN, strict rules, and samples that cannot be pushed."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from exporter.demo.servers import serve_path
from tests.otlp.backend import Backend, status
from tests.test_delivery import final_counts, run_exporter, wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def _histogram(number: int, counts: str) -> str:
    """Return a histogram with these counts of its buckets 0.1, 1 and +Inf."""
    labels = f'name="a{number}",namespace="n"'
    lines = [
        f'rollout_reconcile_bucket{{{labels},le="{le}"}} {count}\n'
        for le, count in zip(("0.1", "1", "+Inf"), counts.split(), strict=True)
    ]
    return "".join((*lines, f"rollout_reconcile_sum{{{labels}}} 1\n", f"rollout_reconcile_count{{{labels}}} 5\n"))


ODD = ("5 3 5", "0.5 3 5", "NaN 3 5", "-1 3 5")
PAGE = (
    '# TYPE rollout_info gauge\nrollout_info{name="a",namespace="n",phase="Completed",strategy="canary"} 1\n'
    "# TYPE rollout_reconcile histogram\n"
    + "".join(_histogram(number, counts) for number, counts in enumerate((*ODD, "1 3 5")))
)


async def own_metrics(port: int) -> dict[str, float]:
    """Return the exporter's own metrics by name and labels, without the instance."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as response:
        page = await response.text()
    lines = [line.rpartition(" ") for line in page.splitlines() if line.startswith("rollouts_exporter_")]
    return {re.sub(r'instance="[^"]*",?', "", name).replace("{}", ""): float(value) for name, _, value in lines}


@pytest.mark.parametrize("code", [500, 522, 530])
async def test_nothing_is_lost_while_a_cdn_answers_for_the_store(tmp_path: Path, backend: Backend, code: int) -> None:
    backend.replies = [status(code, b"<title>origin is unreachable</title>", Content_Type="text/html")] * 8
    async with run_exporter(tmp_path, backend.url, retry={"longest": "500ms"}) as process:
        reason = await process.wait_for_log("delivery retrying")
        assert "origin is unreachable" in reason
        await wait_until(lambda: len(backend.received) > 10)
        assert await process.stop() == 0
    assert final_counts(process) == {"delivered": len(backend.stored), "queued": 0, "lost": 0, "dropped": 0}


async def test_strict_rules_drop_what_fails_with_500_and_log_the_number_of_points(
    tmp_path: Path, backend: Backend
) -> None:
    backend.default_reply = status(500)
    async with run_exporter(tmp_path, backend.url, retry={"strict": True}) as process:
        line = await process.wait_for_log("points dropped")
        assert " ERROR " in line
        assert re.search(r"points=[1-9][0-9]* .*http_500", line)
        assert await process.stop() == 0


async def test_samples_that_cannot_be_pushed_are_counted_and_logged_once(tmp_path: Path, backend: Backend) -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/plain")

    async with serve_path(page) as target, run_exporter(tmp_path, backend.url, target) as process:
        line = await process.wait_for_log(" started ")
        match = re.search(r"port (\d+)", line)
        assert match
        await process.wait_for_log("samples dropped")
        await asyncio.sleep(1)
        values = await own_metrics(int(match[1]))
        assert await process.stop() == 0
    dropped = {name: value for name, value in values.items() if name.startswith("rollouts_exporter_samples_dropped")}
    cycles = values["rollouts_exporter_cycles_total"]
    assert dropped.keys() == {'rollouts_exporter_samples_dropped_total{reason="bad_count"}'}
    assert sum(dropped.values()) in {len(ODD) * 5 * cycles, len(ODD) * 5 * (cycles + 1)}
    encoded = values["rollouts_exporter_samples_encoded_total"]
    assert values["rollouts_exporter_samples_total"] == encoded + sum(dropped.values())
    assert process.log.count("samples dropped") == 1
