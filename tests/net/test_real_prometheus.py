"""PrometheusClient with a real Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.metrics import Failure
from exporter.net.prometheus_api import PrometheusClient, PrometheusEndpoint
from exporter.net.prometheus_response import Matrix, QueryResult, QuerySample, Scalar, StringValue, Vector
from tests.real_stores import prometheus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

TIMESTAMP = 1_700_000_000.25


@pytest.fixture
async def client(require_program: Callable[[str], str], tmp_path: Path) -> AsyncIterator[PrometheusClient]:
    program = require_program("prometheus")
    async with prometheus(program, tmp_path) as address, PrometheusClient(PrometheusEndpoint(address)) as client:
        yield client


async def test_results_of_every_type_and_rejected_queries_are_parsed(client: PrometheusClient) -> None:
    assert await client.query("2.5", TIMESTAMP) == QueryResult(Scalar(TIMESTAMP, 2.5))
    assert await client.query('"héllo\\n"', TIMESTAMP) == QueryResult(StringValue(TIMESTAMP, "héllo\n"))
    assert await client.query('label_replace(vector(-1/0), "a", "x\\"y", "", "")', TIMESTAMP) == QueryResult(
        Vector((QuerySample((("a", 'x"y'),), TIMESTAMP, float("-inf")),))
    )
    assert await client.query("absent_over_time(x[5m]) > 2", TIMESTAMP) == QueryResult(Vector(()))
    result = await client.query_range("vector(1)", TIMESTAMP, TIMESTAMP + 30, 15)
    assert isinstance(result, QueryResult)
    assert isinstance(result.value, Matrix)
    assert result.value.series[0].points == ((TIMESTAMP, 1.0), (TIMESTAMP + 15, 1.0), (TIMESTAMP + 30, 1.0))
    assert await client.series("{nothing='here'}") == ()
    for promql, text in (("sum((", "parse error: unclosed left parenthesis"), ("a + on(b) up{", "parse error")):
        failure = await client.query(promql)
        assert isinstance(failure, Failure)
        assert failure.reason == "query"
        assert "rejects the query: bad_data: invalid parameter" in failure.message
        assert text in failure.message


async def test_an_address_with_the_path_of_the_api_is_a_failure_with_a_hint(client: PrometheusClient) -> None:
    async with PrometheusClient(PrometheusEndpoint(f"{client._endpoint.address}/api/v1/query")) as other:
        failure = await other.query("up")
    assert isinstance(failure, Failure)
    assert failure.reason == "address"
    assert failure.message.endswith("leave /api/v1/query out of read.address: it is appended")
