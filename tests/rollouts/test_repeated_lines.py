"""Pages on which a rollout has several lines of one family, in any order, and ticks that fail in between."""

from __future__ import annotations

from array import array
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics import MetricFamily, MetricType, SampleBatch, ScrapeResult, Series, Source
from exporter.rollouts.inputs.controller import ControllerPageReader
from exporter.rollouts.inputs.kube_state_metrics import WorkloadIndex
from exporter.rollouts.inputs.rollout_state import RolloutStatusReader
from exporter.rollouts.model import TrackingPolicy
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from tests.rollouts.pages import PageReplicaSet, PageRollout, controller_page, kube_page, parse_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exporter.metrics import MetricsSnapshot

Row = tuple[str, str, float]
"""Name of a rollout, its phase or the reason of an event, and the value."""


class BrokenBatchError(Exception):
    """What a broken batch raises when it is read."""


class BrokenSeries(tuple[Series, ...]):
    """The series of a batch that cannot be read."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Series]:
        raise BrokenBatchError


def batch(family: str, label: str, rows: Sequence[Row]) -> SampleBatch:
    series = tuple(Series(family, (("namespace", "n"), ("name", name), (label, text))) for name, text, _ in rows)
    return SampleBatch(series, array("d", [value for *_, value in rows]), interned=True)


INFOS: Final = tuple(
    batch("rollout_info", "phase", rows)
    for rows in (
        [("a", "Completed", 1), ("b", "Paused", 1)],
        [("a", "Progressing", 1)],
        [("a", "Completed", 1), ("a", "Degraded", 1)],
        [("b", "Paused", 1), ("c", "Error", 1)],
        [("c", "Error", 0), ("c", "Completed", 1)],
        [("b", "Completed", 1)],
    )
)
EVENTS: Final = tuple(
    batch("rollout_events_total", "reason", rows)
    for rows in (
        [("a", "RolloutUpdated", 1), ("b", "RolloutUpdated", 1)],
        [("a", "RolloutUpdated", 2), ("a", "RolloutCompleted", 1)],
        [("a", "RolloutCompleted", 3), ("c", "RolloutPaused", float("nan"))],
    )
)
BROKEN: Final = SampleBatch(BrokenSeries([Series("rollout_info", ())]), array("d", [1.0]))


def orders(pool: Sequence[SampleBatch]) -> st.SearchStrategy[tuple[SampleBatch, ...]]:
    """Return a strategy of some batches of a pool in any order."""
    return st.permutations(pool).flatmap(lambda order: st.integers(0, len(pool)).map(lambda n: tuple(order[:n])))


PAGES: Final = st.lists(st.tuples(orders(INFOS), orders(EVENTS)), max_size=8)


def page(infos: Sequence[SampleBatch], events: Sequence[SampleBatch], now: float = 0.0) -> ScrapeResult:
    families: Mapping[str, MetricFamily] = {
        "rollout_info": MetricFamily.from_batches("rollout_info", MetricType.GAUGE, "", infos),
        "rollout_events_total": MetricFamily.from_batches("rollout_events_total", MetricType.COUNTER, "", events),
        # So that a page without rollouts is a leader's, too.
        "workqueue_adds_total": MetricFamily(
            "workqueue_adds_total", MetricType.COUNTER, "", [Series("workqueue_adds_total", ())], [1.0]
        ),
    }
    return ScrapeResult(Source.ARGO, "t", now, families)


@given(PAGES)
@settings(derandomize=True, deadline=None)
def test_the_views_of_a_page_do_not_depend_on_the_pages_before(
    pages: list[tuple[tuple[SampleBatch, ...], tuple[SampleBatch, ...]]],
) -> None:
    reader = ControllerPageReader()
    for infos, events in pages:
        assert reader.read(page(infos, events)) == ControllerPageReader().read(page(infos, events))


@given(PAGES, st.sets(st.integers(0, 7)))
@settings(derandomize=True, deadline=None)
def test_a_tick_that_fails_leaves_nothing_behind_for_the_next(
    pages: list[tuple[tuple[SampleBatch, ...], tuple[SampleBatch, ...]]], failing: set[int]
) -> None:
    disturbed, undisturbed = (RolloutTracker(TrackingPolicy()) for _ in range(2))
    for number, (infos, events) in enumerate(pages):
        now = 1000.0 + number
        if number in failing:
            # Some families are read before the broken batch, so the reader is half updated.
            with suppress(BrokenBatchError):
                disturbed.process(now - 0.5, [page((*infos, BROKEN), events, now)])
        snapshots = [tracker.process(now, [page(infos, events, now)]) for tracker in (disturbed, undisturbed)]
        assert values(snapshots[0].families) == values(snapshots[1].families)
        assert values(snapshots[0].stale) == values(snapshots[1].stale)
        assert disturbed.status.rollouts == undisturbed.status.rollouts


def values(families: Sequence[MetricFamily]) -> dict[str, list[tuple[str, str]]]:
    return {f.name: sorted((str(series), repr(value)) for series, value in f.samples()) for f in families}


def living(snapshot: MetricsSnapshot) -> set[str]:
    phases = next((f for f in snapshot.families if f.name == "argo_rollouts_phase"), None)
    return {series.label("name") for series in phases.series} if phases is not None else set()


def test_a_deleted_rollout_that_was_shown_twice_ends_and_the_living_ones_do_not() -> None:
    tracker = RolloutTracker(TrackingPolicy())
    others = [PageRollout(name=f"r{number}") for number in range(20)]
    twice = [PageRollout(name="twice", phase=phase) for phase in ("Completed", "Progressing")]
    first = tracker.process(1.0, [controller_page(1.0, *others, *twice)])
    assert living(first) == {*(rollout.name for rollout in others), "twice"}
    tracker.process(2.0, [controller_page(2.0, *others)])
    scaled = [PageRollout(name=rollout.name, replicas=(5, 5, 5, 0)) for rollout in others]
    last = tracker.process(3.0, [controller_page(3.0, *scaled)])
    assert living(last) == {rollout.name for rollout in others}


@pytest.mark.parametrize("number", ["NaN", "+Inf", "-Inf"])
def test_a_replica_gauge_that_is_no_number_counts_as_absent(number: str) -> None:
    labels = '{name="a",namespace="n"}'
    lines = [
        "process_start_time_seconds NaN",
        'rollout_info{name="a",namespace="n",phase="Progressing",strategy="canary",traffic_router=""} 1',
        *(f"rollout_info_replicas_{gauge}{labels} 4" for gauge in ("desired", "available", "unavailable")),
        f"rollout_info_replicas_updated{labels} {number}",
        f'rollout_events_total{{name="a",namespace="n",reason="RolloutUpdated",type="Normal"}} {number}',
    ]
    view = ControllerPageReader().read(parse_page(ScrapeRequest(Source.ARGO, "t", 1.0), *lines))["n", "a"]
    assert view.replicas is None
    assert not view.event_counts
    assert view.process.start_time == 0.0


@pytest.mark.parametrize("step", [1, -1])
def test_replica_sets_have_the_same_order_whatever_the_order_of_their_lines(step: int) -> None:
    """Of two with the same creation time the first counts as the newest."""
    replica_sets = [PageReplicaSet(f"h{number}", number, 1) for number in range(9)]
    workload = WorkloadIndex({}).read([kube_page(1.0, *replica_sets[::step])], 1.0)["shop", "cart"]
    assert list(workload.replica_sets) == [replica_set.hash for replica_set in replica_sets]


@pytest.mark.parametrize("number", ["NaN", "+Inf", "-Inf"])
def test_a_time_of_rollout_state_that_is_no_number_counts_as_absent(number: str) -> None:
    labels = 'name="a",namespace="n"'
    lines = [
        f'kube_customresource_rollout_status_info{{{labels},revision="1"}} 1',
        f"kube_customresource_rollout_aborted_at{{{labels}}} {number}",
        f'kube_customresource_rollout_duration{{{labels},field="startedAt"}} {number}',
        f'kube_customresource_rollout_duration{{{labels},field="manualPauseStartedAt"}} {number}',
    ]
    page = parse_page(ScrapeRequest(Source.ROLLOUT_STATE, "state", 1.0), *lines)
    status = RolloutStatusReader().read([page], 1.0)["n", "a"]
    assert status.started_at is None
    assert status.details is not None
    assert (status.details.aborted_at, status.details.paused_since) == (None, None)
