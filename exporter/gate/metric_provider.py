"""Queries the Prometheus API of each metric as the controller does, and evaluates the responses."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from exporter.gate import go_format
from exporter.gate.expr import EngineFailure, evaluate_time
from exporter.gate.provider import (
    MetricEvaluation,
    error_outcome,
    evaluate_result,
    request_error,
    status_error,
)
from exporter.metrics import Failure
from exporter.net.prometheus_api import REPEATED_REDIRECTS, PrometheusClient
from exporter.net.prometheus_response import parse_query

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from exporter.gate.controller import ControllerVersion
    from exporter.gate.template import Metric, PrometheusProvider
    from exporter.net.prometheus_api import PrometheusEndpoint
    from exporter.net.response import HttpResponse

    Form = Mapping[str, str | float | None]

LINE_BREAK_HINT: Final = (
    "the value of a header contains a line break, which `echo` and editors append; create the Secret with printf"
)


LOST_FORM_HINT: Final = (
    "the address redirects with 301, 302 or 303, at which the controller's client sends a GET without the query; set"
    " provider.prometheus.address to where the redirect leads"
)


class MetricProvider:
    """The clients of a run's metrics, by the metrics' names; use it with `async with`.

    With `live` the queries are for the current time, even if the clock of the run is faster.
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        endpoints: Mapping[str, PrometheusEndpoint],
        controller: ControllerVersion,
        *,
        live: bool,
    ) -> None:
        self._metrics = metrics
        self._clients = {name: PrometheusClient(endpoint) for name, endpoint in endpoints.items()}
        self._controller = controller
        self._live = live
        self._stack = AsyncExitStack()
        self._responses: dict[tuple[str, str], HttpResponse] = {}

    async def __aenter__(self) -> Self:
        for client in self._clients.values():
            await self._stack.enter_async_context(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def measure(self, metric: Metric, now: float) -> MetricEvaluation:
        """Measure a metric at a time (Unix seconds). Raises UnsupportedError for a condition."""
        resolved = self._metrics[metric.name]  # with the values of Secrets, which the plan's metric redacts
        assert resolved.prometheus is not None, "other providers are rejected before"
        outcome = request_error(resolved.prometheus)
        if outcome is not None:
            return MetricEvaluation(outcome, hint=LINE_BREAK_HINT if "header field value" in outcome.message else "")
        query = self._build_query(resolved.prometheus, time.time() if self._live else now)
        if isinstance(query, str):
            return MetricEvaluation(error_outcome(query))
        return await self._evaluate(resolved, *query)

    def _build_query(self, provider: PrometheusProvider, now: float) -> tuple[str, Form] | str:
        """Return the path and form of a query, or an error message."""
        if provider.range_query is None:
            return "query", {"query": provider.query, "time": now}
        bounds: dict[str, float] = {}
        for name, text in (("start", provider.range_query.start), ("end", provider.range_query.end)):
            bound = evaluate_time(text, self._controller.engine, now)
            if isinstance(bound, EngineFailure):
                return f"failed to parse rangeQuery.{name} as time: {bound.message}"
            bounds[name] = bound
        try:
            step = go_format.parse_duration(provider.range_query.step) / 1e9
        except ValueError as error:
            return f"failed to parse rangeQuery.step as duration: {error}"
        return "query_range", {"query": provider.query, **bounds, "step": step}

    async def _evaluate(self, metric: Metric, path: str, form: Form) -> MetricEvaluation:
        response = await self._request(metric, path, form)
        if isinstance(response, Failure):
            return MetricEvaluation(error_outcome(response.message))
        document = self._clients[metric.name].parse(path, response)
        message = status_error(response.status, response.body)
        if message is not None:
            # The controller's message is little more than the status; what our client makes of the body is the hint.
            hint = document.message if isinstance(document, Failure) else ""
            if set(response.redirects) - REPEATED_REDIRECTS:
                hint = LOST_FORM_HINT
            return MetricEvaluation(error_outcome(message), hint=hint)
        if isinstance(document, Failure):
            return MetricEvaluation(error_outcome(document.message))
        try:
            result = parse_query(document)
        except ValueError as error:
            return MetricEvaluation(error_outcome(f"the response cannot be parsed: {error}"))
        return evaluate_result(metric, result.value, self._controller, result.warnings)

    async def _request(self, metric: Metric, path: str, form: Form) -> HttpResponse | Failure:
        """Send a query; a query about the past is sent once only, since its result does not change."""
        client = self._clients[metric.name]
        if self._live:
            return await client.request(path, form)
        key = (metric.name, str(sorted(form.items())))
        response = self._responses.get(key) or await client.request(path, form)
        if not isinstance(response, Failure):
            self._responses[key] = response
        return response
