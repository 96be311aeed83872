"""A rendered gate replayed against a real Prometheus: good, bad, between, no traffic, no series."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exporter.gate.render.answers import Answers, Credential
from exporter.gate.render.manifest import secret, template
from tests.real_stores import prometheus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEP, SPAN = 15, 900
SHARES = {"good": 0.01, "bad": 0.2, "between": 0.07}
"""Fifteen minutes of each share of errors, fifteen minutes without new requests, then no series."""
ENDS = {"good": (0, 5), "bad": (1, 3), "between": (3, 3), "still": (3, 3), "absent": (3, 3)}
"""Exit code (0 Successful, 1 Failed, 3 Inconclusive), and after how many measurements."""
SERIES = 'http_requests_total{service="checkout",pod="checkout-abc-x",status="%s"} %s %s\n'
STABLE = 'http_requests_total{service="checkout",pod="checkout-old-x",status="200"} %s %s\n'


@pytest.mark.slow
async def test_each_quarter_of_an_hour_has_its_result(require_program: Callable[[str], str], tmp_path: Path) -> None:
    start = int(time.time()) // 3600 * 3600 - 7 * 3600
    write_history(require_program("promtool"), tmp_path, start)
    async with prometheus(require_program("prometheus"), tmp_path) as address:
        gate = tmp_path / "gate.yaml"
        gate.write_text(rendered(address))
        results = {name: await replay(gate, start + place * SPAN) for place, name in enumerate(ENDS)}
    assert results == ENDS


def rendered(address: str) -> str:
    """Return the article's gate, for the pods of the canary."""
    options = {"signal": "error-rate", "service": "checkout", "namespace": "shop", "address": address}
    answers = Answers.model_validate({**options, "success": 0.05, "failure": 0.10, "failures": 3})
    return f"{secret(answers, Credential('user', 'token'))}---\n{template(answers)}"


async def replay(gate: Path, timestamp: float) -> tuple[int, int]:
    """Run `gate run --at`; return its exit code and how many measurements it took."""
    arguments = ["--arg", "service-name=checkout", "--arg", "canary-hash=abc", "--at", str(timestamp), "--json"]
    program = str(Path(sys.executable).parent / "rollouts-exporter")
    child = await asyncio.create_subprocess_exec(
        program, "gate", "run", str(gate), *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    output, errors = await child.communicate()
    assert output, errors.decode()
    (result,) = json.loads(output)["metricResults"]
    assert child.returncode is not None
    return child.returncode, result["count"]


def write_history(promtool: str, folder: Path, start: int) -> None:
    """Write the blocks of a Prometheus that scraped all of it."""
    text = folder / "past.txt"
    text.write_text("".join(samples(start)) + "# EOF\n")
    arguments = ["tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "tsdb")]
    subprocess.run([promtool, *arguments], check=True, capture_output=True)


def samples(start: int) -> Iterator[str]:
    """Return the requests of the canary, and of a stable pod that never fails."""
    yield "# TYPE http_requests counter\n"
    moments = range(start, start + (len(SHARES) + 1) * SPAN, STEP)
    shares = [*SHARES.values(), None]
    good, bad = [0.0], [0.0]
    for timestamp in moments:
        share = shares[(timestamp - start) // SPAN]
        more = (0.0, 0.0) if share is None else (100 * (1 - share), 100 * share)
        good.append(good[-1] + more[0])
        bad.append(bad[-1] + more[1])
    yield from (SERIES % ("200", value, timestamp) for value, timestamp in zip(good[1:], moments, strict=True))
    yield from (SERIES % ("500", value, timestamp) for value, timestamp in zip(bad[1:], moments, strict=True))
    yield from (STABLE % (place * 900.0, timestamp) for place, timestamp in enumerate(moments))
