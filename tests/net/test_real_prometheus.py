"""Asking a real Prometheus."""

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

AT = 1_700_000_000.25


@pytest.fixture
async def reader(require_program: Callable[[str], str], tmp_path: Path) -> AsyncIterator[PrometheusClient]:
    program = require_program("prometheus")
    async with prometheus(program, tmp_path) as address, PrometheusClient(PrometheusEndpoint(address)) as asking:
        yield asking


async def test_every_type_of_answer_is_read_and_every_refusal_told(reader: PrometheusClient) -> None:
    assert await reader.query("2.5", AT) == QueryResult(Scalar(AT, 2.5))
    assert await reader.query('"héllo\\n"', AT) == QueryResult(StringValue(AT, "héllo\n"))
    assert await reader.query('label_replace(vector(-1/0), "a", "x\\"y", "", "")', AT) == QueryResult(
        Vector((QuerySample((("a", 'x"y'),), AT, float("-inf")),))
    )
    assert await reader.query("absent_over_time(x[5m]) > 2", AT) == QueryResult(Vector(()))
    ranged = await reader.query_range("vector(1)", AT, AT + 30, 15)
    assert isinstance(ranged, QueryResult)
    assert isinstance(ranged.value, Matrix)
    assert ranged.value.series[0].points == ((AT, 1.0), (AT + 15, 1.0), (AT + 30, 1.0))
    assert await reader.series("{nothing='here'}") == ()
    for promql, words in (("sum((", "parse error: unclosed left parenthesis"), ("a + on(b) up{", "parse error")):
        told = await reader.query(promql)
        assert isinstance(told, Failure)
        assert told.reason == "query"
        assert "rejects the query: bad_data: invalid parameter" in told.message
        assert words in told.message


async def test_an_address_with_the_path_already_in_it_is_told_so(reader: PrometheusClient) -> None:
    async with PrometheusClient(PrometheusEndpoint(f"{reader._endpoint.address}/api/v1/query")) as wrong:
        told = await wrong.query("up")
    assert isinstance(told, Failure)
    assert told.reason == "address"
    assert told.message.endswith("leave /api/v1/query out of read.address: it is appended")
