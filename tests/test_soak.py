"""The soak in short: one outage and one kill within it; and its ledger, which must be able to tell a loss."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from exporter.metrics import MetricsSnapshot
from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.delivery.queue import Record
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.spool import Bounds, Spool
from tests.otlp.reading import NOBODY, gauge
from tests.soak.backend import Arrival
from tests.soak.course import run
from tests.soak.ledger import Ledger
from tests.soak.plan import Outage, Plan, plan
from tests.soak.report import lapses, lines, live_rate, returns, whole
from tests.soak.witness import Witness

if TYPE_CHECKING:
    from pathlib import Path


TICK = 0.5


async def test_nothing_is_lost_when_the_backend_dies_and_the_exporter_is_killed_meanwhile(tmp_path: Path) -> None:
    short = Plan(45.0, [Outage(8.0, 30.0, refusing=True)], [18.0])
    course = await run(tmp_path, short, TICK, 5, print)
    print(*lines(course, TICK), sep="\n")
    ledger, live = course.ledger, live_rate(course)
    assert (ledger.missing, ledger.disorder, ledger.dropped, ledger.twice) == (0, 0, 0, 0)
    assert ledger.invented <= ledger.unseen
    assert whole(course)
    assert course.status == 0
    (back,) = returns(course)
    assert back.first < 4.0, "2 s on a machine that does nothing else"
    assert back.points > 10 * live, "what was made in the outage, before and after the kill"
    assert back.rate > 50 * live
    assert len(lapses(course, TICK)) <= 1, "a loaded machine may skip a tick"


def body(at: float, value: float) -> bytes:
    said = gauge("queue", ({"name": "a"}, value), ({"name": "b"}, value))
    (request,) = Encoder(NOBODY).requests(MetricsSnapshot(at, (said,)))
    return gzip.compress(request.body)


def ledger_of(tmp_path: Path, came: list[float]) -> Ledger:
    """The ledger when the spool took three requests, and those at some times came."""
    spool = Spool(tmp_path, Bounds(1_000_000, 1e9), DeliveryAccounting(), 1.0)
    times = (10.0, 20.0, 30.0)
    for at in times:
        spool.put(Record(body(at, at), 2, at), at)
    witness = Witness(tmp_path)
    witness.look()
    spool.close()
    ledger = Ledger()
    ledger.see(witness)
    ledger.take(Arrival(100.0, body(at, at)) for at in came)
    witness.close()
    return ledger


@pytest.mark.parametrize(
    ("came", "line", "disorder", "invented"),
    [
        ([10.0, 20.0, 30.0], "made=6 delivered=6 twice=0 dropped=0 missing=0", 0, 0),
        ([10.0, 30.0], "made=6 delivered=4 twice=0 dropped=0 missing=2", 0, 0),
        ([10.0, 20.0, 10.0, 20.0, 30.0], "made=6 delivered=6 twice=4 dropped=0 missing=0", 0, 0),
        ([20.0, 10.0, 30.0], "made=6 delivered=6 twice=0 dropped=0 missing=0", 2, 0),
        ([10.0, 20.0, 30.0, 40.0], "made=6 delivered=8 twice=0 dropped=0 missing=0", 0, 2),
    ],
)
def test_the_ledger_tells_what_is_missing_came_twice_or_late_or_from_nowhere(
    tmp_path: Path, came: list[float], line: str, disorder: int, invented: int
) -> None:
    ledger = ledger_of(tmp_path, came)
    assert (ledger.line(), ledger.disorder, ledger.invented) == (line, disorder, invented)


def test_a_plan_kills_within_outages_and_between_them_and_never_about_a_return() -> None:
    for seed in range(50):
        made = plan(600.0, 3, 3, seed)
        assert len(made.kills) == len(made.outages) == 3
        assert sum(any(one.begin < at < one.end for one in made.outages) for at in made.kills) == 2
        assert all(abs(at - one.end) >= 5.0 for at in made.kills for one in made.outages)
        assert max(*made.kills, *(one.end for one in made.outages)) < made.seconds - 10.0
