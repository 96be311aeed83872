"""A short soak with one outage and one kill within it; and its ledger, which must detect a loss."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from exporter.metrics import MetricsSnapshot
from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.encode.encoder import Encoder
from exporter.storage import Storage
from exporter.storage.model import QueuedRequest, StorageConfig
from tests.otlp.helpers import IDENTITY, gauge
from tests.soak.backend import ReceivedBody
from tests.soak.ledger import Ledger
from tests.soak.observer import StorageObserver
from tests.soak.plan import Outage, Plan, plan
from tests.soak.report import live_rate, missing_ticks, passed, recoveries, report_lines
from tests.soak.run import run

if TYPE_CHECKING:
    from pathlib import Path


TICK = 0.5


@pytest.mark.slow
async def test_nothing_is_lost_when_the_exporter_is_killed_during_an_outage(tmp_path: Path) -> None:
    short_plan = Plan(45.0, [Outage(8.0, 30.0, refuse_connections=True)], [18.0])
    soak = await run(tmp_path, short_plan, TICK, 5, print)
    print(*report_lines(soak, TICK), sep="\n")
    ledger, live = soak.ledger, live_rate(soak)
    assert (ledger.missing, ledger.out_of_order, ledger.dropped, ledger.duplicates) == (0, 0, 0, 0)
    assert ledger.unexpected <= ledger.unobserved
    assert passed(soak)
    assert soak.exit_status == 0
    (recovery,) = recoveries(soak)
    assert recovery.first_delivery < 4.0, "2 s on an idle machine"
    assert recovery.backlog_points > 10 * live, "the points produced during the outage, before and after the kill"
    assert recovery.rate > 50 * live
    assert len(missing_ticks(soak, TICK)) <= 1, "a loaded machine may skip a tick"


def body(timestamp: float, value: float) -> bytes:
    family = gauge("queue", ({"name": "a"}, value), ({"name": "b"}, value))
    (request,) = Encoder(IDENTITY).requests(MetricsSnapshot(timestamp, (family,)))
    return gzip.compress(request.body)


def ledger_of(tmp_path: Path, received: list[float]) -> Ledger:
    """Return the ledger after three requests were queued and those of some timestamps were received."""
    storage = Storage(StorageConfig(tmp_path), DeliveryAccounting())
    for timestamp in (10.0, 20.0, 30.0):
        storage.queue.put(QueuedRequest(body(timestamp, timestamp), 2, timestamp))
    storage.close(10)
    observer = StorageObserver(tmp_path)
    observer.observe()
    ledger = Ledger()
    ledger.add_produced(observer)
    ledger.add_received(ReceivedBody(100.0, body(time, time)) for time in received)
    return ledger


@pytest.mark.parametrize(
    ("received", "summary", "out_of_order", "unexpected"),
    [
        ([10.0, 20.0, 30.0], "produced=6 delivered=6 duplicates=0 dropped=0 missing=0", 0, 0),
        ([10.0, 30.0], "produced=6 delivered=4 duplicates=0 dropped=0 missing=2", 0, 0),
        ([10.0, 20.0, 10.0, 20.0, 30.0], "produced=6 delivered=6 duplicates=4 dropped=0 missing=0", 0, 0),
        ([20.0, 10.0, 30.0], "produced=6 delivered=6 duplicates=0 dropped=0 missing=0", 2, 0),
        ([10.0, 20.0, 30.0, 40.0], "produced=6 delivered=8 duplicates=0 dropped=0 missing=0", 0, 2),
    ],
)
def test_the_ledger_detects_missing_duplicate_late_and_unexpected_points(
    tmp_path: Path, received: list[float], summary: str, out_of_order: int, unexpected: int
) -> None:
    ledger = ledger_of(tmp_path, received)
    assert (ledger.summary(), ledger.out_of_order, ledger.unexpected) == (summary, out_of_order, unexpected)


def test_a_plan_kills_within_and_between_outages_but_not_around_a_return() -> None:
    for seed in range(50):
        soak_plan = plan(600.0, 3, 3, seed)
        kills, outages = soak_plan.kills, soak_plan.outages
        assert len(kills) == len(outages) == 3
        assert sum(any(outage.begin < kill < outage.end for outage in outages) for kill in kills) == 2
        assert all(abs(kill - outage.end) >= 5.0 for kill in kills for outage in outages)
        assert max(*kills, *(outage.end for outage in outages)) < soak_plan.seconds - 10.0
