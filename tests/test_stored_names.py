"""Stored names equal exported names: they are fixed points of the translation from OTLP to Prometheus names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint, Sum

from exporter.config.settings import SeriesSection, Settings
from exporter.metrics import MetricsSnapshot, MetricType
from exporter.otlp.encode.encoder import Encoder
from exporter.rollouts.output.catalogue import DERIVED_BY_NAME
from exporter.rollouts.output.durations import NAME as DURATIONS
from exporter.rollouts.output.targets import TARGET_FAMILIES as TARGETS
from exporter.self_metrics import DEFINITIONS, SelfMetrics
from exporter.service.wiring import identity
from tests.otlp.helpers import metrics, points
from tests.recorded import Recordings
from tests.stored_names import label_name, metric_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RENAMED = {
    name: f"{name}_total"
    for name in (
        "rollout_reconcile_error",
        "analysis_run_reconcile_error",
        "experiment_reconcile_error",
        "notification_send_error",
        "notification_send_success",
    )
}
"""The controller's counters without `_total`: passed through unchanged, stored under either name."""
SETTINGS = Settings(
    attributes={"k8s.cluster.name": "c", "deployment.environment": "e"},
    series=SeriesSection.parse({"pass_through": "all"}),
)


@pytest.mark.parametrize(
    ("metric", "stored"),
    [
        (Metric(name="argo.canary.fraction", unit="1", gauge=Gauge()), "argo_canary_fraction_ratio"),
        (Metric(name="scrape_duration_seconds", unit="s", gauge=Gauge()), "scrape_duration_seconds"),
        (Metric(name="scrape_duration", unit="s", gauge=Gauge()), "scrape_duration_seconds"),
        (Metric(name="share", unit="%", gauge=Gauge()), "share_percent"),
        (Metric(name="rollouts", unit="{rollout}", gauge=Gauge()), "rollouts"),
        (Metric(name="rollout_reconcile_error", sum=Sum(is_monotonic=True)), "rollout_reconcile_error_total"),
        (Metric(name="exporter.scrapes", unit="1", sum=Sum(is_monotonic=True)), "exporter_scrapes_total"),
        (Metric(name="inflight", unit="1", sum=Sum()), "inflight"),
        (Metric(name="weird_total", gauge=Gauge()), "weird_total"),
        (Metric(name="a__b//c-d", gauge=Gauge(data_points=[NumberDataPoint()])), "a_b_c_d"),
    ],
    ids=lambda value: value.name if isinstance(value, Metric) else "",
)
def test_the_translation_is_that_of_real_stores(metric: Metric, stored: str) -> None:
    assert metric_name(metric) == stored


def exported_metrics(folder: Path) -> Iterator[Metric]:
    """Yield every metric exported for every recording, with all families passed through and the self metrics."""
    recordings = Recordings(folder, SETTINGS)
    self_metrics = SelfMetrics("here", 0.0).families()
    for name in recordings.names:
        encoder = Encoder(identity(SETTINGS))
        for _, snapshot, _ in recordings.play(name, recordings.variants(name)[0], min_interval=15):
            for request in encoder.requests(
                MetricsSnapshot(snapshot.timestamp, (*snapshot.families, *self_metrics), snapshot.stale)
            ):
                yield from metrics(request)


@pytest.mark.slow
def test_every_exported_metric_is_stored_under_its_own_name_except_five_of_the_controllers(
    recordings_folder: Path,
) -> None:
    names: dict[str, str] = {}
    labels: dict[str, str] = {}
    for metric in exported_metrics(recordings_folder):
        names[metric.name] = metric_name(metric)
        labels |= {
            attribute.key: label_name(attribute.key) for point in points(metric) for attribute in point.attributes
        }
    assert len(names) > 50
    assert {name: stored for name, stored in names.items() if name != stored} == {
        name: stored for name, stored in RENAMED.items() if name in names
    }
    assert {key: stored for key, stored in labels.items() if key != stored} == {
        "k8s.cluster.name": "k8s_cluster_name",
        "deployment.environment": "deployment_environment",
        "deployment.environment.name": "deployment_environment_name",
        "service.name": "service_name",
    }


KINDS = {
    **{name: row.type for name, row in DERIVED_BY_NAME.items()},
    **dict.fromkeys(TARGETS, MetricType.GAUGE),
    **{row.name: row.type for row in DEFINITIONS},
    DURATIONS: MetricType.HISTOGRAM,
}
"""Every metric that this exporter defines."""


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_every_own_name_is_a_fixed_point(name: str, kind: MetricType) -> None:
    metric = (
        Metric(name=name, sum=Sum(is_monotonic=True))
        if kind is MetricType.COUNTER
        else Metric(name=name, gauge=Gauge())
    )
    assert metric_name(metric) == name
