from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from exporter.metrics import Family, Kind
from exporter.self_metrics import TABLE, Own, Reading, Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterable

STARTED = 1_795_446_000.0


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry("exporter-0", STARTED, "1.2.3")


def samples(families: Iterable[Family]) -> dict[str, float]:
    """Return every sample by the text of its series, without the instance."""
    return {
        repr(series).replace('instance="exporter-0"', "").replace(",}", "}").replace("{}", ""): value
        for family in families
        for series, value in zip(family.series, family.values, strict=True)
    }


def named(families: Iterable[Family], own: Own) -> Family:
    return next(family for family in families if family.name == own.value.name)


def test_every_row_is_named_as_every_store_keeps_it() -> None:
    for row in TABLE:
        assert re.fullmatch(r"rollouts_exporter_[a-z]+(_[a-z]+)*", row.name)
        assert row.name.endswith("_total") is (row.kind is Kind.COUNTER)
        assert row.help.endswith(".")
    assert len({row.name for row in TABLE}) == len(TABLE)


def test_the_build_is_told_from_the_start(telemetry: Telemetry) -> None:
    assert samples(telemetry.families())['rollouts_exporter_build_info{version="1.2.3"}'] == 1


def test_a_counter_without_labels_is_there_at_0_and_counts_up(telemetry: Telemetry) -> None:
    assert samples(telemetry.families())["rollouts_exporter_cycles_total"] == 0
    telemetry.add(Own.CYCLES)
    telemetry.add(Own.CYCLES, amount=2)
    assert samples(telemetry.families())["rollouts_exporter_cycles_total"] == 3


def test_labels_are_given_in_the_order_of_the_row(telemetry: Telemetry) -> None:
    telemetry.add(Own.SCRAPES, "argo", "ok")
    telemetry.add(Own.SCRAPES, "argo", "timeout", amount=2)
    told = samples(telemetry.families())
    assert told['rollouts_exporter_scrapes_total{source="argo",result="ok"}'] == 1
    assert told['rollouts_exporter_scrapes_total{source="argo",result="timeout"}'] == 2


def test_a_histogram_is_told_as_buckets_sum_and_count(telemetry: Telemetry) -> None:
    telemetry.observe(Own.REQUEST_SECONDS, 0.3)
    family = named(telemetry.families(), Own.REQUEST_SECONDS)
    told = samples([family])
    assert family.kind is Kind.HISTOGRAM
    assert told['rollouts_exporter_request_seconds_bucket{le="0.25"}'] == 0
    assert told['rollouts_exporter_request_seconds_bucket{le="0.5"}'] == 1
    assert told['rollouts_exporter_request_seconds_bucket{le="+Inf"}'] == 1
    assert told["rollouts_exporter_request_seconds_count"] == 1
    assert told["rollouts_exporter_request_seconds_sum"] == 0.3


def test_every_series_carries_the_instance_and_none_is_a_creation_time(telemetry: Telemetry) -> None:
    telemetry.add(Own.SCRAPES, "argo", "ok")
    for family in telemetry.families(process=True):
        for series in family.series:
            assert series.label("instance") == "exporter-0"
            assert not series.name.endswith("_created")


def test_a_counter_says_since_when_it_counts_and_a_gauge_does_not(telemetry: Telemetry) -> None:
    families = telemetry.families()
    assert list(named(families, Own.CYCLES).starts or ()) == [STARTED]
    assert set(named(families, Own.REQUEST_SECONDS).starts or ()) == {STARTED}
    assert named(families, Own.SERIES).starts is None


def test_a_series_is_the_same_object_every_time(telemetry: Telemetry) -> None:
    before = [one for family in telemetry.families() for one in family.series]
    telemetry.add(Own.CYCLES)
    after = [one for family in telemetry.families() for one in family.series]
    assert [id(one) for one in before] == [id(one) for one in after]


def test_the_process_is_told_only_when_asked_for(telemetry: Telemetry) -> None:
    assert not any(family.name.startswith("process_") for family in telemetry.families())
    told = samples(telemetry.families(process=True))
    assert told["process_resident_memory_bytes"] > 1_000_000
    assert told["process_cpu_seconds_total"] > 0


def test_watched_books_are_read_in_one_go_and_so_balance(telemetry: Telemetry) -> None:
    made = 0

    def books() -> Reading:
        nonlocal made
        made += 10
        dropped = {"age": made * 0.1, "size": made * 0.2}
        return {
            Own.POINTS_MADE: made,
            Own.POINTS_DELIVERED: made * 0.4,
            Own.POINTS_REJECTED: made * 0.1,
            Own.POINTS_DROPPED: dropped,
            Own.POINTS_QUEUED: made * 0.2,
        }

    telemetry.watch(books)
    for _ in range(3):
        families = telemetry.families()
        kept = [Own.POINTS_DELIVERED, Own.POINTS_REJECTED, Own.POINTS_DROPPED, Own.POINTS_QUEUED]
        total = sum(sum(named(families, own).values) for own in kept)
        assert sum(named(families, Own.POINTS_MADE).values) == pytest.approx(total)
    assert samples(families)['rollouts_exporter_points_dropped_total{reason="size"}'] == pytest.approx(8)
    assert named(families, Own.POINTS_MADE).kind is Kind.COUNTER


def test_what_a_watch_leaves_out_is_not_told(telemetry: Telemetry) -> None:
    assert not any(family.name == Own.POINTS_MADE.value.name for family in telemetry.families())
    telemetry.watch(lambda: {Own.POINTS_DROPPED: {}, Own.QUEUE_BYTES: 7})
    told = samples(telemetry.families())
    assert told["rollouts_exporter_queue_bytes"] == 7
    assert not any("points_dropped" in name for name in told)


def test_a_row_that_is_counted_here_cannot_be_watched(telemetry: Telemetry) -> None:
    with pytest.raises(ValueError, match="not watched, use add, set or observe: rollouts_exporter_cycles_total"):
        telemetry.watch(lambda: {Own.CYCLES: 1})


def test_a_row_that_is_watched_cannot_be_counted(telemetry: Telemetry) -> None:
    with pytest.raises(KeyError):
        telemetry.add(Own.POINTS_MADE)
