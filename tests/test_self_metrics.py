from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from exporter.metrics import MetricFamily, MetricType
from exporter.self_metrics import DEFINITIONS, ObservedValues, OwnMetric, SelfMetrics

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


def find_family(families: Iterable[MetricFamily], metric: OwnMetric) -> MetricFamily:
    return next(family for family in families if family.name == metric.value.name)


def test_every_name_is_one_that_stores_do_not_change() -> None:
    for definition in DEFINITIONS:
        assert re.fullmatch(r"rollouts_exporter_[a-z]+(_[a-z]+)*", definition.name)
        assert definition.name.endswith("_total") is (definition.type is MetricType.COUNTER)
        assert definition.help.endswith(".")
    assert len({definition.name for definition in DEFINITIONS}) == len(DEFINITIONS)


def test_build_info_is_exported_from_the_start(telemetry: SelfMetrics) -> None:
    assert samples(telemetry.families())['rollouts_exporter_build_info{version="1.2.3"}'] == 1


def test_a_counter_without_labels_is_there_at_0_and_counts_up(telemetry: SelfMetrics) -> None:
    assert samples(telemetry.families())["rollouts_exporter_cycles_total"] == 0
    telemetry.add(OwnMetric.CYCLES)
    telemetry.add(OwnMetric.CYCLES, amount=2)
    assert samples(telemetry.families())["rollouts_exporter_cycles_total"] == 3


def test_label_values_are_passed_in_the_order_of_the_definition(telemetry: SelfMetrics) -> None:
    telemetry.add(OwnMetric.SCRAPES, "argo", "ok")
    telemetry.add(OwnMetric.SCRAPES, "argo", "timeout", amount=2)
    exported = samples(telemetry.families())
    assert exported['rollouts_exporter_scrapes_total{source="argo",result="ok"}'] == 1
    assert exported['rollouts_exporter_scrapes_total{source="argo",result="timeout"}'] == 2


def test_a_histogram_is_exported_as_buckets_sum_and_count(telemetry: SelfMetrics) -> None:
    telemetry.observe(OwnMetric.REQUEST_SECONDS, 0.3)
    family = find_family(telemetry.families(), OwnMetric.REQUEST_SECONDS)
    exported = samples([family])
    assert family.type is MetricType.HISTOGRAM
    assert exported['rollouts_exporter_request_seconds_bucket{le="0.25"}'] == 0
    assert exported['rollouts_exporter_request_seconds_bucket{le="0.5"}'] == 1
    assert exported['rollouts_exporter_request_seconds_bucket{le="+Inf"}'] == 1
    assert exported["rollouts_exporter_request_seconds_count"] == 1
    assert exported["rollouts_exporter_request_seconds_sum"] == 0.3


def test_every_series_carries_the_instance_and_none_is_a_creation_time(telemetry: SelfMetrics) -> None:
    telemetry.add(OwnMetric.SCRAPES, "argo", "ok")
    for family in telemetry.families(process=True):
        for series in family.series:
            assert series.label("instance") == "exporter-0"
            assert not series.name.endswith("_created")


def test_a_counter_has_a_start_time_and_a_gauge_has_none(telemetry: SelfMetrics) -> None:
    families = telemetry.families()
    assert list(find_family(families, OwnMetric.CYCLES).start_times or ()) == [STARTED]
    assert set(find_family(families, OwnMetric.REQUEST_SECONDS).start_times or ()) == {STARTED}
    assert find_family(families, OwnMetric.SERIES).start_times is None


def test_a_series_is_the_same_object_at_each_export(telemetry: SelfMetrics) -> None:
    before = [series for family in telemetry.families() for series in family.series]
    telemetry.add(OwnMetric.CYCLES)
    after = [series for family in telemetry.families() for series in family.series]
    assert [id(series) for series in before] == [id(series) for series in after]


def test_process_metrics_are_exported_only_on_request(telemetry: SelfMetrics) -> None:
    assert not any(family.name.startswith("process_") for family in telemetry.families())
    exported = samples(telemetry.families(process=True))
    assert exported["process_resident_memory_bytes"] > 1_000_000
    assert exported["process_cpu_seconds_total"] > 0


def test_observable_metrics_are_read_at_one_moment_and_balance(telemetry: SelfMetrics) -> None:
    produced = 0

    def accounting() -> ObservedValues:
        nonlocal produced
        produced += 10
        dropped = {"age": produced * 0.1, "size": produced * 0.2}
        return {
            OwnMetric.POINTS_MADE: produced,
            OwnMetric.POINTS_DELIVERED: produced * 0.4,
            OwnMetric.POINTS_REJECTED: produced * 0.1,
            OwnMetric.POINTS_DROPPED: dropped,
            OwnMetric.POINTS_QUEUED: produced * 0.2,
        }

    telemetry.register_callback(accounting)
    for _ in range(3):
        families = telemetry.families()
        destinations = [
            OwnMetric.POINTS_DELIVERED,
            OwnMetric.POINTS_REJECTED,
            OwnMetric.POINTS_DROPPED,
            OwnMetric.POINTS_QUEUED,
        ]
        total = sum(sum(find_family(families, metric).values) for metric in destinations)
        assert sum(find_family(families, OwnMetric.POINTS_MADE).values) == pytest.approx(total)
    assert samples(families)['rollouts_exporter_points_dropped_total{reason="size"}'] == pytest.approx(8)
    assert find_family(families, OwnMetric.POINTS_MADE).type is MetricType.COUNTER


def test_a_metric_that_a_callback_omits_is_not_exported(telemetry: SelfMetrics) -> None:
    assert not any(family.name == OwnMetric.POINTS_MADE.value.name for family in telemetry.families())
    telemetry.register_callback(lambda: {OwnMetric.POINTS_DROPPED: {}, OwnMetric.QUEUE_BYTES: 7})
    exported = samples(telemetry.families())
    assert exported["rollouts_exporter_queue_bytes"] == 7
    assert not any("points_dropped" in name for name in exported)


def test_a_callback_for_a_metric_that_is_not_observable_is_rejected(telemetry: SelfMetrics) -> None:
    with pytest.raises(ValueError, match="not observable, use add, set or observe: rollouts_exporter_cycles_total"):
        telemetry.register_callback(lambda: {OwnMetric.CYCLES: 1})


def test_an_observable_metric_cannot_be_incremented(telemetry: SelfMetrics) -> None:
    with pytest.raises(KeyError):
        telemetry.add(OwnMetric.POINTS_MADE)
