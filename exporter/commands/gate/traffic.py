"""Reads for `gate lint` what a store shows about the traffic that gates judge."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.commands.gate.estimate import first_value, read_endpoint
from exporter.commands.gate.load import GateError
from exporter.gate.lint.inputs import MetricTraffic
from exporter.gate.lint.traffic import metric_key, traffic_queries
from exporter.metrics import Failure
from exporter.net.prometheus_api import PrometheusClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.gate.lint.inputs import LintInput, MetricKey
    from exporter.gate.render.answers import Credential


async def add_traffic(
    lint_input: LintInput, address: str, credential: Credential | None, values: Mapping[str, str]
) -> LintInput:
    """Return the input with the traffic of its shares, whose arguments have these values. Raises GateError."""
    traffic: dict[MetricKey, MetricTraffic] = {}
    async with PrometheusClient(read_endpoint(address, credential)) as client:
        for metric in lint_input.prometheus_metrics:
            literals = metric.gate.literals
            queries = traffic_queries(metric, {**literals, **values})
            if queries is None:
                continue
            events = await _number(client, queries.events)
            if math.isfinite(events):
                dispersion = await _number(client, queries.dispersion)
                traffic[metric_key(metric)] = MetricTraffic(
                    events * queries.seconds, dispersion if math.isfinite(dispersion) else 1.0, queries.selects_version
                )
    return replace(lint_input, context=replace(lint_input.context, traffic=traffic))


async def _number(client: PrometheusClient, query: str) -> float:
    """Return the result of a query, NaN if it has none. Raises GateError."""
    result = await client.query(query)
    if isinstance(result, Failure):
        raise GateError(f"--read-url: {result.message}")
    return first_value(result.value)
