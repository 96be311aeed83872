"""A fake store: accepts OTLP, translates names, can be scraped, and answers the queries of `verify`."""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

    from exporter.metrics import Labels

Key = tuple[str, "Labels"]


def as_prometheus_names(name: str, *, counts: bool) -> str:
    """Translate a name as Prometheus does by default."""
    plain = re.sub(r"\W", "_", name)
    return f"{plain}_total" if counts and not plain.endswith("_total") else plain


@dataclass
class FakeStore:
    """Stored samples by name and labels, and the faults to simulate.

    `translate_name` translates the name of a metric, `translate_attribute` that of an attribute (None drops it);
    `accepts` selects the metrics to store. `empty_responses` queries return nothing before the first that returns data;
    `query_errors` and `push_errors` are HTTP statuses that are returned first. `rejected_points` is the number in the
    partial success. Every point is also stored for `other_cluster`, if set.
    """

    translate_name: Callable[..., str] = lambda name, **_: name
    translate_attribute: Callable[[str], str | None] = lambda key: key
    accepts: Callable[[str], bool] = lambda _: True
    empty_responses: int = 0
    query_errors: list[int] = field(default_factory=list)
    push_errors: list[int] = field(default_factory=list)
    rejected_points: int = 0
    other_cluster: str = ""
    page: str = ""
    samples: dict[Key, float] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)
    address: str = ""

    async def push(self, request: web.Request) -> web.Response:
        if self.push_errors:
            return web.Response(status=self.push_errors.pop(0), text="push refused")
        export_request = ExportMetricsServiceRequest.FromString(await request.read())
        for resource in export_request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in filter(lambda metric: self.accepts(metric.name), scope.metrics):
                    self._store_metric(metric)
        partial = ExportMetricsPartialSuccess(rejected_data_points=self.rejected_points, error_message="odd")
        response = ExportMetricsServiceResponse(partial_success=partial if self.rejected_points else None)
        return web.Response(body=response.SerializeToString(), content_type="application/x-protobuf")

    def _store_metric(self, metric: Metric) -> None:
        name = self.translate_name(metric.name, counts=metric.WhichOneof("data") == "sum")
        for point in getattr(metric, str(metric.WhichOneof("data"))).data_points:
            renamed = ((self.translate_attribute(item.key), item.value.string_value) for item in point.attributes)
            labels = tuple(sorted((key, value) for key, value in renamed if key is not None))
            for suffix, more, value in _samples(point):
                if self.other_cluster:
                    self.samples[name + suffix, (*more, ("k8s.cluster.name", self.other_cluster))] = value
                self.samples[name + suffix, (*more, *labels)] = value

    async def metrics_page(self, _: web.Request) -> web.Response:
        """Serve `page` if set, else the stored samples."""
        lines = (
            f"{name}{{{_format_labels(labels)}}} {value:.0f}\n"
            for (name, labels), value in sorted(self.samples.items())
        )
        return web.Response(text=self.page or "".join(lines))

    async def query(self, request: web.Request) -> web.Response:
        form = {**await request.post(), **request.query}
        self.queries.append(str(form["query"]))
        if self.query_errors:
            return web.Response(status=self.query_errors.pop(0), text="trouble")
        self.empty_responses -= 1
        samples = {} if self.empty_responses >= 0 else dict(self._select(self.queries[-1]))
        if self.queries[-1].startswith("count by"):
            names = [name for name, _ in samples]
            samples = {(name, ()): float(names.count(name)) for name in names}
        result = [{"metric": _metric(key), "value": [0, f"{value}"]} for key, value in samples.items()]
        return _json({"resultType": "vector", "result": result})

    async def series(self, request: web.Request) -> web.Response:
        samples = self._select(str((await request.post())["match[]"]))
        return _json([_metric(key) for key, _ in samples])

    def _select(self, promql: str) -> Iterator[tuple[Key, float]]:
        pattern = re.search(r'__name__=~"(.*?)"', promql)
        value = re.search(r"== (\d+)", promql)
        assert pattern
        for key, held in self.samples.items():
            if re.fullmatch(pattern[1], key[0]) and (value is None or held == float(value[1])):
                yield key, held


def _samples(point: Any) -> Iterator[tuple[str, Labels, float]]:
    if not hasattr(point, "bucket_counts"):
        yield "", (), point.as_double
        return
    bounds = [*(f"{bound:g}" for bound in point.explicit_bounds), "+Inf"]
    for bound, count in zip(bounds, accumulate(point.bucket_counts), strict=True):
        yield "_bucket", (("le", bound),), float(count)
    yield "_sum", (), point.sum
    yield "_count", (), float(point.count)


def _metric(key: Key) -> dict[str, str]:
    return {"__name__": key[0], **dict(key[1])}


def _format_labels(labels: Labels) -> str:
    return ",".join(f'{key}="{value}"' for key, value in labels)


def _json(data: object) -> web.Response:
    return web.Response(text=json.dumps({"status": "success", "data": data}), content_type="application/json")


@asynccontextmanager
async def serve(store: FakeStore) -> AsyncIterator[FakeStore]:
    """Serve a store on loopback."""
    app = web.Application()
    app.router.add_post("/v1/metrics", store.push)
    app.router.add_get("/metrics", store.metrics_page)
    app.router.add_post("/api/v1/query", store.query)
    app.router.add_get("/api/v1/query", store.query)
    app.router.add_post("/api/v1/series", store.series)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        store.address = f"http://{host}:{port}"
        yield store
    finally:
        await runner.cleanup()
