"""`series.keep_names`: counters without `_total` keep their names in a store, so that the article's queries work."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest

from exporter.config.settings import SeriesSection, Settings
from exporter.metrics import MetricType
from exporter.otlp.encode.encoder import Encoder
from exporter.service.wiring import identity
from tests.otlp.helpers import IDENTITY, gauge, metrics, points, snapshot
from tests.real_stores import victoria_metrics
from tests.stored_names import metric_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.recorded import Recordings

ARTICLE_QUERIES: Final = (
    'rollout_phase{name="checkout", namespace="production"}',
    '100 * rollout_info_replicas_updated{name="checkout"} / rollout_info_replicas_desired{name="checkout"}',
    'rate(rollout_reconcile_error{name="checkout"}[5m])',
    'rollout_phase{phase="Error"}',
)
"""As the article prints them."""
RECORDING, NAMESPACE, NAME = "abort", "shop", "checkout"
PATTERNS: Final = ("rollout_reconcile_error", "notification_.*")


def settings(*patterns: str) -> Settings:
    return Settings(attributes={"k8s.cluster.name": "c"}, series=SeriesSection.parse({"keep_names": list(patterns)}))


def encoder(*patterns: str) -> Encoder:
    return Encoder(IDENTITY, keeps_name=settings(*patterns).series.keep_names.matches)


def test_only_a_matching_counter_without_total_is_a_gauge() -> None:
    names = (
        "rollout_reconcile_error",
        "rollout_events_total",
        "analysis_run_reconcile_error",
        "notification_send_error",
    )
    families = [gauge(name, ({"name": "a"}, 3), kind=MetricType.COUNTER) for name in names]
    for patterns, as_gauges in (
        ((), set()),
        (PATTERNS, {names[0], names[3]}),
        ((".*",), {names[0], names[2], names[3]}),
    ):
        (request,) = encoder(*patterns).requests(snapshot(*families))
        assert {metric.name for metric in metrics(request) if metric.WhichOneof("data") == "gauge"} == as_gauges
        assert [metric_name(metric) == metric.name for metric in metrics(request)] == [
            name in as_gauges or name.endswith("_total") for name in names
        ]


def test_values_labels_and_staleness_markers_are_those_of_the_counter() -> None:
    family = gauge("rollout_reconcile_error", ({"name": "a"}, 3), ({"name": "b"}, 4), kind=MetricType.COUNTER)
    gone = gauge("rollout_reconcile_error", ({"name": "c"}, 5), kind=MetricType.COUNTER)
    (as_counter,) = encoder().requests(snapshot(family, stale=[gone]))
    (as_gauge,) = encoder(*PATTERNS).requests(snapshot(family, stale=[gone]))
    assert [points(metric) for metric in metrics(as_counter)] == [points(metric) for metric in metrics(as_gauge)]


@pytest.mark.parametrize(
    ("value", "message"),
    [("(", "is not a regular expression"), ([1], "is not a pattern"), ({"a": "b"}, "is not a list")],
)
def test_a_pattern_that_is_none_is_an_error_with_a_hint(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SeriesSection.parse({"keep_names": value})


@pytest.fixture
async def store(require_program: Callable[[str], str], tmp_path: Path) -> AsyncIterator[str]:
    """A store that names metrics as Last9 does."""
    flags = ("-opentelemetry.usePrometheusNaming", "-retentionPeriod=100y")
    async with victoria_metrics(require_program("victoria-metrics"), tmp_path, *flags) as address:
        yield address


@pytest.mark.slow
async def test_the_queries_of_the_article_work_as_written(store: str, recordings: Recordings) -> None:
    end = await push(store, recordings, settings("rollout_reconcile_error"))
    for query in ARTICLE_QUERIES:
        assert await result(store, query, end), query
    assert sum(await result(store, ARTICLE_QUERIES[2], end)) > 0
    assert sum(await result(store, ARTICLE_QUERIES[0], end)) == 1


@pytest.mark.slow
async def test_by_default_the_reconcile_errors_of_the_article_have_another_name(
    store: str, recordings: Recordings
) -> None:
    end = await push(store, recordings, settings())
    assert await result(store, ARTICLE_QUERIES[2], end) == []
    assert sum(await result(store, ARTICLE_QUERIES[2].replace("error{", "error_total{"), end)) > 0


async def push(store: str, recordings: Recordings, settings: Settings) -> float:
    """Push a recording; return the time of its end."""
    encoder = Encoder(identity(settings), keeps_name=settings.series.keep_names.matches)
    timestamp = 0.0
    async with aiohttp.ClientSession() as session:
        for tick, frame, _ in recordings.play(RECORDING, recordings.variants(RECORDING)[0]):
            timestamp = tick.timestamp
            for request in encoder.requests(frame):
                headers = {"Content-Type": "application/x-protobuf"}
                url = f"{store}/opentelemetry/v1/metrics"
                async with session.post(url, data=request.body, headers=headers) as response:
                    assert response.status == 200
        async with session.get(f"{store}/internal/force_flush") as response:
            assert response.status == 200
    return timestamp


async def result(store: str, query: str, timestamp: float) -> list[float]:
    """Run a query of the article with the names of the recording; return the values."""
    text = re.sub("checkout", NAME, query).replace("production", NAMESPACE)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{store}/api/v1/query", params={"query": text, "time": f"{timestamp}"}) as response,
    ):
        return [float(row["value"][1]) for row in (await response.json())["data"]["result"]]
