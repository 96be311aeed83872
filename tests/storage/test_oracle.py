"""The conservation oracle rejects each violation, and accepts what a kill or a lost answer may cause."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.storage.oracle import ConservationOracle

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.storage.oracle import PointId

FIRST: dict[PointId, object] = {("a", 1): 1.0}
SECOND: dict[PointId, object] = {("a", 2): 2.0}


def books(produced: int, delivered: int, **dropped: int) -> Any:
    counts = SimpleNamespace(total=lambda: sum(dropped.values()))
    return SimpleNamespace(produced=produced, delivered=delivered, rejected=0, queued=0, dropped=counts)


def oracle_of(*deliveries: dict[PointId, object]) -> ConservationOracle:
    """Return an oracle after two committed cycles and some deliveries, each acknowledged."""
    oracle = ConservationOracle()
    for points in (FIRST, SECOND):
        oracle.issue(points)
        oracle.commit(points)
    for points in deliveries:
        oracle.deliver(points)
        oracle.acknowledge()
    return oracle


def repeat_after(fault: Callable[[ConservationOracle], None]) -> ConservationOracle:
    oracle = oracle_of(FIRST)
    oracle.deliver(SECOND)
    fault(oracle)
    oracle.deliver(SECOND)
    return oracle


@pytest.mark.parametrize(
    ("deliveries", "message"),
    [
        ([FIRST, FIRST], "delivered twice"),
        ([SECOND, FIRST], "out of order"),
        ([{("a", 3): 3.0}], "not issued"),
        ([{("a", 1): 7.0}], "another value"),
    ],
)
def test_a_wrong_delivery_is_rejected(deliveries: list[dict[PointId, object]], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        oracle_of(*deliveries)


@pytest.mark.parametrize("fault", [ConservationOracle.kill, ConservationOracle.lose_answer])
def test_the_last_unacknowledged_request_may_be_repeated_once_after_a_fault(
    fault: Callable[[ConservationOracle], None],
) -> None:
    oracle = repeat_after(fault)
    oracle.check(books(2, 2), must_see=["repeat"])
    with pytest.raises(AssertionError, match="delivered twice"):
        oracle.deliver(SECOND)


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        (books(2, 1), {}, "missing 1"),
        (books(2, 1, expired=1), {"may_drop": False}, "missing 1"),
        (books(2, 2, expired=1), {}, "1; "),
        (books(3, 1, expired=1), {}, "produced=3"),
        (books(2, 1, expired=2), {}, "missing 1"),
        (books(2, 1, expired=1), {"must_see": ["kill"]}, "not tested"),
    ],
)
def test_the_end_of_a_run_is_checked(counts: Any, options: Any, message: str) -> None:
    oracle = oracle_of(FIRST)
    oracle.check(books(2, 1, expired=1), may_drop=True)
    with pytest.raises(AssertionError, match=message):
        oracle.check(counts, **{"may_drop": True} | options)


def test_a_kill_loses_only_what_was_in_memory() -> None:
    oracle = oracle_of()
    oracle.issue({("b", 1): 1.0})
    oracle.commit([("b", 1)], durable=False)
    assert len(oracle.missing()) == 3
    oracle.kill()
    assert oracle.missing() == {*FIRST, *SECOND}
