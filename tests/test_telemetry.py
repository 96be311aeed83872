from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from exporter.metrics import MetricFamily, MetricType
from exporter.self_metrics import TABLE, OwnMetric, Reading, SelfMetrics

if TYPE_CHECKING:
    from collections.abc import Iterable

STARTED = 1_795_446_000.0


@pytest.fixture
def telemetry() -> SelfMetrics:
    return SelfMetrics("exporter-0", STARTED, "1.2.3")


def samples(families: Iterable[MetricFamily]) -> dict[str, float]:
    """Return every sample by the text of its series, without the instance."""
    return {
        repr(series).replace('instance="exporter-0"', "").replace(",}", "}").replace("{}", ""): value
        for family in families
        for series, value in zip(family.series, family.values, strict=True)
    }


def named(families: Iterable[MetricFamily], own: OwnMetric) -> MetricFamily:
    return next(family for family in families if family.name == own.value.name)


def test_every_row_is_named_as_every_store_keeps_it() -> None:
    for row in TABLE:
        assert re.fullmatch(r"rollouts_exporter_[a-z]+(_[a-z]+)*", row.name)
        assert row.name.endswith("_total") is (row.kind is MetricType.COUNTER)
        assert row.help.endswith(".")
    assert len({row.name for row in TABLE}) == len(TABLE)


def test_the_build_is_told_from_the_start(telemetry: SelfMetrics) -> None:
    assert samples(telemetry.families())['rollouts_exporter_build_info{version="1.2.3"}'] == 1


def test_a_counter_without_labels_is_there_at_0_and_counts_up(telemetry: SelfMetrics) -> None:
    assert samples(telemetry.families())["rollouts_exporter_cycles_total"] == 0
    telemetry.add(OwnMetric.CYCLES)
    telemetry.add(OwnMetric.CYCLES, amount=2)
    assert samples(telemetry.families())["rollouts_exporter_cycles_total"] == 3


def test_labels_are_given_in_the_order_of_the_row(telemetry: SelfMetrics) -> None:
    telemetry.add(OwnMetric.SCRAPES, "argo", "ok")
    telemetry.add(OwnMetric.SCRAPES, "argo", "timeout", amount=2)
    told = samples(telemetry.families())
    assert told['rollouts_exporter_scrapes_total{source="argo",result="ok"}'] == 1
    assert told['rollouts_exporter_scrapes_total{source="argo",result="timeout"}'] == 2


def test_a_histogram_is_told_as_buckets_sum_and_count(telemetry: SelfMetrics) -> None:
    telemetry.observe(OwnMetric.REQUEST_SECONDS, 0.3)
    family = named(telemetry.families(), OwnMetric.REQUEST_SECONDS)
    told = samples([family])
    assert family.type is MetricType.HISTOGRAM
    assert told['rollouts_exporter_request_seconds_bucket{le="0.25"}'] == 0
    assert told['rollouts_exporter_request_seconds_bucket{le="0.5"}'] == 1
    assert told['rollouts_exporter_request_seconds_bucket{le="+Inf"}'] == 1
    assert told["rollouts_exporter_request_seconds_count"] == 1
    assert told["rollouts_exporter_request_seconds_sum"] == 0.3


def test_every_series_carries_the_instance_and_none_is_a_creation_time(telemetry: SelfMetrics) -> None:
    telemetry.add(OwnMetric.SCRAPES, "argo", "ok")
    for family in telemetry.families(process=True):
        for series in family.series:
            assert series.label("instance") == "exporter-0"
            assert not series.name.endswith("_created")


def test_a_counter_says_since_when_it_counts_and_a_gauge_does_not(telemetry: SelfMetrics) -> None:
    families = telemetry.families()
    assert list(named(families, OwnMetric.CYCLES).start_times or ()) == [STARTED]
    assert set(named(families, OwnMetric.REQUEST_SECONDS).start_times or ()) == {STARTED}
    assert named(families, OwnMetric.SERIES).start_times is None


def test_a_series_is_the_same_object_every_time(telemetry: SelfMetrics) -> None:
    before = [one for family in telemetry.families() for one in family.series]
    telemetry.add(OwnMetric.CYCLES)
    after = [one for family in telemetry.families() for one in family.series]
    assert [id(one) for one in before] == [id(one) for one in after]


def test_the_process_is_told_only_when_asked_for(telemetry: SelfMetrics) -> None:
    assert not any(family.name.startswith("process_") for family in telemetry.families())
    told = samples(telemetry.families(process=True))
    assert told["process_resident_memory_bytes"] > 1_000_000
    assert told["process_cpu_seconds_total"] > 0


def test_watched_books_are_read_in_one_go_and_so_balance(telemetry: SelfMetrics) -> None:
    made = 0

    def books() -> Reading:
        nonlocal made
        made += 10
        dropped = {"age": made * 0.1, "size": made * 0.2}
        return {
            OwnMetric.POINTS_MADE: made,
            OwnMetric.POINTS_DELIVERED: made * 0.4,
            OwnMetric.POINTS_REJECTED: made * 0.1,
            OwnMetric.POINTS_DROPPED: dropped,
            OwnMetric.POINTS_QUEUED: made * 0.2,
        }

    telemetry.watch(books)
    for _ in range(3):
        families = telemetry.families()
        kept = [
            OwnMetric.POINTS_DELIVERED,
            OwnMetric.POINTS_REJECTED,
            OwnMetric.POINTS_DROPPED,
            OwnMetric.POINTS_QUEUED,
        ]
        total = sum(sum(named(families, own).values) for own in kept)
        assert sum(named(families, OwnMetric.POINTS_MADE).values) == pytest.approx(total)
    assert samples(families)['rollouts_exporter_points_dropped_total{reason="size"}'] == pytest.approx(8)
    assert named(families, OwnMetric.POINTS_MADE).type is MetricType.COUNTER


def test_what_a_watch_leaves_out_is_not_told(telemetry: SelfMetrics) -> None:
    assert not any(family.name == OwnMetric.POINTS_MADE.value.name for family in telemetry.families())
    telemetry.watch(lambda: {OwnMetric.POINTS_DROPPED: {}, OwnMetric.QUEUE_BYTES: 7})
    told = samples(telemetry.families())
    assert told["rollouts_exporter_queue_bytes"] == 7
    assert not any("points_dropped" in name for name in told)


def test_a_row_that_is_counted_here_cannot_be_watched(telemetry: SelfMetrics) -> None:
    with pytest.raises(ValueError, match="not watched, use add, set or observe: rollouts_exporter_cycles_total"):
        telemetry.watch(lambda: {OwnMetric.CYCLES: 1})


def test_a_row_that_is_watched_cannot_be_counted(telemetry: SelfMetrics) -> None:
    with pytest.raises(KeyError):
        telemetry.add(OwnMetric.POINTS_MADE)
