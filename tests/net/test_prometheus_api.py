"""Queries over real sockets: form, fallback to GET, credentials, and every error."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme
from aiohttp import web

from exporter.config.section import ClientTlsSection
from exporter.metrics import Failure
from exporter.net.auth import basic_auth
from exporter.net.prometheus_api import PrometheusClient, PrometheusEndpoint
from exporter.net.prometheus_response import QueryResult, QuerySample, Vector
from exporter.net.tls import ClientTlsLoader
from tests.net.prometheus import api, only_get, respond_with, vector

if TYPE_CHECKING:
    from pathlib import Path

    from tests.net.prometheus import Behaviour

ONE_SAMPLE = vector(({"job": "a"}, 1.0))
RESULT = QueryResult(Vector((QuerySample((("job", "a"),), 1700000000.5, 1.0),)))
SECRET = "Zm9vOnZlcnktc2VjcmV0"


async def query(
    endpoint: PrometheusEndpoint, promql: str = "up", timestamp: float | None = None
) -> QueryResult | Failure:
    async with PrometheusClient(endpoint) as client:
        return await client.query(promql, timestamp)


async def test_a_query_is_posted_as_a_form_with_unchanged_headers() -> None:
    async with api(respond_with(ONE_SAMPLE)) as server:
        headers = {"Authorization": f"Basic {SECRET}", "X-Scope-OrgID": "Team A"}
        assert await query(PrometheusEndpoint(f"{server.address}/base/", headers), "a + b & c", 1700000000.25) == RESULT
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/base/api/v1/query")
    assert request.form == {"query": "a + b & c", "time": "1700000000.25"}
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert (request.headers["Authorization"], request.headers["X-Scope-OrgID"]) == (f"Basic {SECRET}", "Team A")


@pytest.mark.parametrize("status", [405, 501])
async def test_a_server_that_rejects_post_is_queried_by_get(status: int) -> None:
    async with api(only_get(respond_with(ONE_SAMPLE), status)) as server:
        assert await query(PrometheusEndpoint(server.address), 'x{a="b&c"}') == RESULT
    assert [request.method for request in server.requests] == ["POST", "GET"]
    assert server.requests[1].form == {"query": 'x{a="b&c"}'}


async def test_other_errors_of_a_post_are_not_retried() -> None:
    async with api(only_get(respond_with(ONE_SAMPLE), 400)) as server:
        assert isinstance(await query(PrometheusEndpoint(server.address)), Failure)
    assert len(server.requests) == 1


async def test_range_queries_and_series_searches_have_their_own_forms() -> None:
    series_response = respond_with('{"status": "success", "data": [{"__name__": "up"}]}')
    async with api(series_response) as server, PrometheusClient(PrometheusEndpoint(server.address)) as client:
        series = await client.series('{job="a"}', start=5.0, end=1e9)
        failure = await client.query_range("up", 0.0, 60.0, 15.0)
    assert series == ((("__name__", "up"),),)
    assert isinstance(failure, Failure)
    assert failure.message.endswith("sends an unexpected response: it is not the result of a query; check read.address")
    assert [(request.path, request.form) for request in server.requests] == [
        ("/api/v1/series", {"match[]": '{job="a"}', "start": "5", "end": "1000000000"}),
        ("/api/v1/query_range", {"query": "up", "start": "0", "end": "60", "step": "15"}),
    ]


def test_user_name_and_password_make_a_basic_header() -> None:
    assert basic_auth("cluster", "tokén") == "Basic Y2x1c3Rlcjp0b2vDqW4="


async def test_a_credential_is_in_no_repr_and_in_no_message_even_if_the_server_echoes_it() -> None:
    async with api(respond_with(f"you sent Basic {SECRET}", 401, "text/plain")) as server:
        endpoint = PrometheusEndpoint(server.address, {"Authorization": f"Basic {SECRET}"})
        failure = await query(endpoint)
    assert isinstance(failure, Failure)
    assert failure.message.endswith("you sent ***); check read.username and read.password_file")
    assert SECRET not in repr(endpoint) + failure.message


async def respond_slowly(_: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def abort(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport
    request.transport.abort()
    return web.Response()


async def send_half(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"status"')
    return await abort(request)


@pytest.mark.parametrize(
    ("behaviour", "reason", "message"),
    [
        (respond_slowly, "timeout", "did not respond within 0.2 s; raise read.timeout if it is only slow"),
        (abort, "unreachable", "broke the connection (Server disconnected); retry, and check its log if this persists"),
        (
            send_half,
            "unreachable",
            "closed the connection in the middle of the response; retry, and check its log if this persists",
        ),
    ],
)
async def test_an_incomplete_response_is_reported_with_a_hint(behaviour: Behaviour, reason: str, message: str) -> None:
    async with api(behaviour) as server:
        failure = await query(PrometheusEndpoint(server.address, timeout=0.2))
    assert isinstance(failure, Failure)
    assert failure.reason == reason
    assert failure.message.startswith(f"{server.address} ")
    assert failure.message.endswith(message)


async def test_a_refused_connection_is_reported_with_a_hint() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        failure = await query(PrometheusEndpoint(f"http://127.0.0.1:{unused.getsockname()[1]}"))
    assert isinstance(failure, Failure)
    assert failure.reason == "unreachable"
    assert failure.message.endswith("; check read.address")
    assert "cannot be reached" in failure.message


@pytest.mark.parametrize(
    ("address", "headers", "reason"),
    [
        ("ftp://127.0.0.1", {}, "address"),
        ("http://", {}, "address"),
        ("http://u:p@127.0.0.1:9", {"Authorization": "Basic a"}, "credential"),
    ],
)
async def test_an_endpoint_that_does_not_make_a_valid_request_is_reported_with_a_hint(
    address: str, headers: dict[str, str], reason: str
) -> None:
    failure = await query(PrometheusEndpoint(address, headers))
    assert isinstance(failure, Failure)
    assert failure.reason == reason


async def test_a_line_break_in_a_credential_is_reported_with_a_hint() -> None:
    async with api(respond_with(ONE_SAMPLE)) as server:
        failure = await query(PrometheusEndpoint(server.address, {"Authorization": "Basic a\nb"}))
    assert isinstance(failure, Failure)
    assert failure.reason == "credential"
    assert "a line break in" in failure.message


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class TestTls:
    @pytest.fixture
    def tls(self, authority: trustme.CA) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("server.example").configure_cert(context)
        return context

    async def test_the_configured_authority_and_server_name_are_trusted(
        self, authority: trustme.CA, tls: ssl.SSLContext, tmp_path: Path
    ) -> None:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        loader = ClientTlsLoader(ClientTlsSection(ca_file=tmp_path / "ca.pem", server_name="server.example"))
        async with api(respond_with(ONE_SAMPLE), tls) as server:
            assert await query(PrometheusEndpoint(server.address, tls=loader)) == RESULT

    async def test_an_untrusted_certificate_is_reported_with_a_hint(self, tls: ssl.SSLContext) -> None:
        async with api(respond_with(ONE_SAMPLE), tls) as server:
            failure = await query(PrometheusEndpoint(server.address, tls=ClientTlsLoader(ClientTlsSection())))
        assert isinstance(failure, Failure)
        assert failure == Failure("tls", f"{server.address} presents an untrusted certificate; check read.tls")

    async def test_a_file_without_a_certificate_is_reported_with_a_hint(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("x")
        failure = await query(
            PrometheusEndpoint(
                "https://127.0.0.1:9", tls=ClientTlsLoader(ClientTlsSection(ca_file=tmp_path / "ca.pem"))
            )
        )
        assert isinstance(failure, Failure)
        assert failure.reason == "tls"
        assert failure.message.endswith("holds no PEM certificate; check read.tls")
