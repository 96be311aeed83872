"""The rendered sequential gate in real stores: its query is the sum by hand, and it decides as the test should."""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from exporter.commands.gate.estimate import estimate, with_traffic
from exporter.commands.gate.load import GateSource
from exporter.commands.gate.render import warnings_about
from exporter.commands.gate.run import RunOptions, run
from exporter.gate.arguments import substitute_known
from exporter.gate.controller import parse_version
from exporter.gate.render.answers import Answers
from exporter.gate.render.evidence import budget_query, evidence_query
from exporter.gate.render.manifest import template
from exporter.gate.sequential import ServiceTraffic
from exporter.net.prometheus_api import PrometheusClient, PrometheusEndpoint
from exporter.net.prometheus_response import QueryResult, Vector
from tests.gate.simulated_service import (
    NAMESPACE,
    ROLLOUT,
    SERVICE,
    SimulatedService,
    SimulatedUpdate,
    load_victoria_metrics,
    write_prometheus_blocks,
)
from tests.real_stores import prometheus, victoria_metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

NAMES = {"service-name": SERVICE, "namespace": NAMESPACE, "rollout-name": ROLLOUT}
STORES = ("prometheus", "metricsql")
HOUR = 3600
EQUAL = SimulatedUpdate(9 * HOUR, 10 * HOUR, 1.0)
BAD = SimulatedUpdate(19 * HOUR, 20 * HOUR, 5.0, promoted=False)


def service(**options: Any) -> SimulatedService:
    """Return a day of a service that ended an hour ago, with an equal and a bad canary."""
    start = int(time.time()) // HOUR * HOUR - 25 * HOUR
    return SimulatedService(start, 24 * HOUR, (EQUAL, BAD), **options)


def answers(store: str, **options: Any) -> Answers:
    """Return the answers of a sequential gate."""
    base = {"signal": "error-rate", "test": "sequential", "service": SERVICE, "namespace": NAMESPACE}
    return Answers.model_validate({**base, "rollout": ROLLOUT, "address": "http://x", "store": store, **options})


def resolved(query: str, canary_hash: str) -> str:
    """Return a query with its arguments in place."""
    return substitute_known(
        query, {**NAMES, "canary-hash": canary_hash, "worse": "2", "success": "-2.996", "failure": "4.605"}
    )


@asynccontextmanager
async def store_with(
    kind: str, simulated: SimulatedService, folder: Path, require_program: Callable[[str], str]
) -> AsyncIterator[str]:
    """Run a store that contains a service; yield its address."""
    if kind == "prometheus":
        await write_prometheus_blocks(require_program("promtool"), folder, simulated)
        async with prometheus(require_program("prometheus"), folder) as address:
            yield address
    else:
        flags = ("-retentionPeriod=1y",)
        async with victoria_metrics(require_program("victoria-metrics"), folder, *flags) as address:
            await load_victoria_metrics(address, simulated)
            yield address


async def value(address: str, query: str, timestamp: float) -> float | None:
    """Return the only value of a query, None for none."""
    async with PrometheusClient(PrometheusEndpoint(address)) as client:
        result = await client.query(query, timestamp)
    assert isinstance(result, QueryResult), result
    assert isinstance(result.value, Vector)
    (sample,) = result.value.samples or (None,)
    return None if sample is None else sample.value


TOLERANCE: dict[str, Any] = {"prometheus": {"abs": 0.15, "rel": 0.02}, "metricsql": {"rel": 1e-9}}
"""Prometheus extrapolates a canary's first tile, and before 3.0 a subquery has one value more, at its left end."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("scrape_interval", [15, 30])
@pytest.mark.parametrize(("signal", "attribute"), [("error-rate", "bad"), ("latency", "slow")])
async def test_evidence_is_the_sum_by_hand(
    signal: str,
    attribute: str,
    scrape_interval: int,
    kind: str,
    tmp_path: Path,
    require_program: Callable[[str], str],
) -> None:
    simulated = service(scrape_interval=scrape_interval)
    gate = answers(kind, signal=signal, scrape_interval=scrape_interval, min_events=1)
    query, measured, by_hand = evidence_query(gate), [], []
    async with store_with(kind, simulated, tmp_path, require_program) as address:
        for update, revision in ((EQUAL, "rev1"), (BAD, "rev2")):
            for minutes in (10, 20, 40):
                moment = simulated.start + update.start + 60 * minutes
                measured.append(await value(address, resolved(query, revision), moment))
                by_hand.append(simulated.evidence(update, moment, gate.sequential_test, attribute))
    assert measured == pytest.approx(by_hand, **TOLERANCE[kind])


@pytest.mark.slow
@pytest.mark.parametrize("kind", STORES)
async def test_without_canary_traffic_or_below_the_floor_there_is_no_evidence(
    kind: str, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    simulated = service()
    during, before = simulated.start + BAD.start + 1200, simulated.start + BAD.start - 600
    async with store_with(kind, simulated, tmp_path, require_program) as address:
        query = evidence_query(answers(kind))
        assert await value(address, resolved(query, "rev2"), during) is not None
        assert await value(address, resolved(query, "rev2"), before) is None, "there was no canary"
        assert await value(address, resolved(query, "other"), during) is None, "another revision is the canary"
        floor = evidence_query(answers(kind, min_events=10_000))
        assert await value(address, resolved(floor, "rev2"), during) is None, "too few bad requests"
        absent = evidence_query(answers(kind, signal="latency", slower_than=0.7))
        assert await value(address, resolved(absent, "rev2"), during) is None, "there is no bucket of this bound"


@pytest.mark.slow
@pytest.mark.parametrize("kind", STORES)
async def test_guard_is_the_spent_share_of_the_budget(
    kind: str, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    simulated = service()
    moment = simulated.start + BAD.start + 2400
    canary_bad = sum(count for end, count in simulated.counts("canary", "bad", 60).items() if end <= moment)
    earlier = sum(
        count for end, count in simulated.counts("canary", "bad", 60).items() if end <= simulated.start + BAD.start
    )
    async with store_with(kind, simulated, tmp_path, require_program) as address:
        spent = await value(address, resolved(budget_query(answers(kind)), "rev2"), moment)
        tight = await value(address, resolved(budget_query(answers(kind, slo=0.9999)), "rev2"), moment)
    month = 30 * 86400 * simulated.requests
    assert spent == pytest.approx((canary_bad - earlier) / (0.02 * 0.001 * month), rel=0.05)
    assert tight is not None
    assert tight > 1, "25 errors in 1,000 requests on a tenth of the traffic burn 25 times too fast"


@pytest.mark.slow
@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("signal", ["error-rate", "latency"])
async def test_gate_passes_an_equal_canary_and_fails_a_bad_one_early(
    kind: str,
    signal: str,
    tmp_path: Path,
    require_program: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    simulated = service(requests=60.0)
    async with store_with(kind, simulated, tmp_path, require_program) as address:
        file = tmp_path / "gate.yaml"
        file.write_text(template(answers(kind, signal=signal, address=address)))
        ends = []
        for update, revision in ((EQUAL, "rev1"), (BAD, "rev2")):
            values = {**NAMES, "canary-hash": revision, "authorization": "Basic dXNlcjp0b2tlbg=="}
            source = GateSource(str(file), arguments=tuple(f"{name}={text}" for name, text in values.items()))
            start = float(simulated.start + update.start)
            code = await run(source, RunOptions(parse_version("1.9.1"), as_json=True, start=start))
            status = json.loads(capsys.readouterr().out)
            looks = {result["name"]: result["count"] for result in status["metricResults"]}
            ends.append((code, status["phase"], max(looks.values()) < 30))
    assert ends == [(0, "Successful", True), (1, "Failed", True)]


ROLLOUT_TEXT = """
kind: Rollout
apiVersion: argoproj.io/v1alpha1
metadata: {name: web, namespace: shop}
spec:
  strategy:
    canary:
      steps:
      - setWeight: 10
      - %s
"""


@pytest.mark.parametrize(
    ("step", "count"),
    [
        ("setHeaderRoute: {name: beta, match: [{headerName: x-beta, headerValue: {exact: '1'}}]}", 1),
        ("setMirrorRoute: {name: copy, percentage: 10, match: [{method: {exact: GET}}]}", 1),
        ("setHeaderRoute: {name: beta}", 0),
        ("setWeight: 20", 0),
    ],
)
def test_canary_that_gets_other_requests_is_warned_about(step: str, count: int, tmp_path: Path) -> None:
    file = tmp_path / "rollout.yaml"
    file.write_text(ROLLOUT_TEXT % step)
    warnings = warnings_about(file, answers("prometheus"))
    assert len(warnings) == count
    assert all("canary and stable fail at different rates" in warning for warning in warnings)
    threshold = Answers.model_validate({"signal": "error-rate", "service": "checkout", "address": "http://x"})
    assert warnings_about(file, threshold) == ()


async def test_estimate_without_a_store_is_the_number_of_requests() -> None:
    lines = list(await estimate(answers("prometheus", address="http://127.0.0.1:9"), None))
    assert "needs about 115 bad requests of canary and stable to pass an equal canary, and 150 to fail" in lines[0]
    assert "the service's traffic is: http://127.0.0.1:9 cannot be reached" in lines[1]


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        (20.0, ["an equal canary passes after about 19 min", "one 2 times as bad fails after about 23 min"]),
        (
            2.0,
            [
                "an equal canary mostly stays undecided in the gate's 60 min: that takes about 3 h",
                "3.6 times as bad",
                "Raise --weight",
            ],
        ),
    ],
)
def test_estimate_is_honest_about_the_traffic(requests: float, expected: list[str]) -> None:
    text = "\n".join(with_traffic(answers("prometheus"), ServiceTraffic(requests, 0.005)))
    assert all(part in text for part in expected), text
