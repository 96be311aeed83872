from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
from base64 import b64encode
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import trustme

from exporter.config.outputs import WebSection
from exporter.metrics import MetricFamily, MetricType, Series, family_from_samples
from exporter.web.server import DataSources, ListenError, serve
from tests.web.page_provider import FixedPages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from exporter.web.api_routes import RolloutsQuery

PAGES = ["/", "/rollouts/shop/checkout", "/delivery", "/targets", "/gates", "/configuration"]
API = ["/api/rollouts", "/api/rollouts?limit=1", "/api/status", "/api/openapi.json"]
PATHS = [*PAGES, "/style.css", "/script.js", "/favicon.svg", "/metrics", *API, "/healthz", "/readyz"]
PHASE = family_from_samples(
    "argo_rollouts_phase", MetricType.GAUGE, "The phase.", [(Series("argo_rollouts_phase", (("name", "a"),)), 1)]
)
PAGE = b'# HELP argo_rollouts_phase The phase.\n# TYPE argo_rollouts_phase gauge\nargo_rollouts_phase{name="a"} 1\n'


class FixedApi:
    """Returns an answer without rollouts."""

    async def matching_rollouts(self, _: RolloutsQuery) -> Mapping[str, object]:
        return {"rollouts": []}

    async def status(self) -> Mapping[str, object]:
        return {"version": "1"}


QUIET = DataSources(
    families=lambda: [PHASE],
    rollouts=lambda: {"rollouts": [{"name": "a", "fraction": None}]},
    liveness_errors=lambda: (),
    readiness_errors=lambda: (),
    pages=FixedPages(),
    api=FixedApi(),
)
AUTH = {"username": "ann", "password": "pä:ss"}


@asynccontextmanager
async def client(data_sources: DataSources = QUIET, **web: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve on a free loopback port; yield a client session whose URLs are paths."""
    async with (
        serve(WebSection.parse({"listen": "127.0.0.1:0", **web}), data_sources) as port,
        aiohttp.ClientSession(
            f"http{'s' if 'tls' in web else ''}://127.0.0.1:{port}", auto_decompress=False
        ) as session,
    ):
        yield session


def basic(login: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{login}:{password}'.encode()).decode()}"}


async def test_metrics_are_text_format_0_0_4_whatever_the_client_accepts() -> None:
    request_headers = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "identity"}
    async with client() as session, session.get("/metrics", headers=request_headers) as answer:
        assert answer.status == 200
        assert answer.headers.getall("Content-Type") == ["text/plain; version=0.0.4; charset=utf-8"]
        assert "Content-Encoding" not in answer.headers
        assert await answer.read() == PAGE


@pytest.mark.parametrize(
    ("accepted", "gzipped"),
    [("gzip", True), ("deflate, GZIP;q=0.5", True), ("gzip;q=0", False), ("gzip; q=0.0", False), ("br, *;q=0", False)],
)
async def test_metrics_are_gzipped_if_the_client_accepts_it(accepted: str, gzipped: bool) -> None:  # noqa: FBT001 a table's column
    async with client() as session, session.get("/metrics", headers={"Accept-Encoding": accepted}) as answer:
        body = await answer.read()
        assert (answer.headers.get("Content-Encoding") == "gzip") is gzipped
        assert (gzip.decompress(body) if gzipped else body) == PAGE


async def test_a_large_page_arrives_completely() -> None:
    series = [Series("big", (("n", str(n)),)) for n in range(50_000)]
    big = MetricFamily("big", MetricType.GAUGE, "", series, [0.5] * len(series))
    data_sources = replace(QUIET, families=lambda: [big])
    async with client(data_sources) as session, session.get("/metrics", headers={"Accept-Encoding": "gzip"}) as answer:
        lines = gzip.decompress(await answer.read()).decode().splitlines()
    assert lines[1:] == [f'big{{n="{n}"}} 0.5' for n in range(50_000)]


@pytest.mark.parametrize("path", PATHS)
async def test_head_answers_as_get_without_a_body(path: str) -> None:
    async with client() as session, session.head(path) as head, session.get(path) as got:
        assert (head.status, head.headers["Content-Type"]) == (got.status, got.headers["Content-Type"])
        assert await head.read() == b""
        assert await got.read() != b""


@pytest.mark.parametrize("path", [*PATHS, "/nowhere"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_only_get_and_head_are_allowed(method: str, path: str) -> None:
    async with client() as session, session.request(method, path, data=b"x") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD")


async def test_an_unknown_path_lists_the_available_ones() -> None:
    async with client() as session, session.get("/metric") as answer:
        assert answer.status == 404
        assert (
            "/, /manual, /metrics, /api/openapi.json, /api/rollouts, /api/events, /healthz, /readyz"
            in await answer.text()
        )


async def test_rollouts_are_json() -> None:
    async with client() as session, session.get("/api/rollouts") as answer:
        assert answer.content_type == "application/json"
        assert json.loads(await answer.read()) == QUIET.rollouts()


@pytest.mark.parametrize(("path", "reasons"), [("/healthz", "liveness_errors"), ("/readyz", "readiness_errors")])
async def test_a_probe_fails_with_its_reasons_and_no_other(path: str, reasons: str) -> None:
    overrides: dict[str, Any] = {reasons: lambda: ("no cycle for 95 s", "argo: no target answers")}
    failing = replace(QUIET, **overrides)
    async with client(failing) as session:
        for probe in ("/healthz", "/readyz"):
            async with session.get(probe) as answer:
                expected = (503, "no cycle for 95 s\nargo: no target answers\n") if probe == path else (200, "ok\n")
                assert (answer.status, await answer.text()) == expected


@pytest.mark.parametrize("path", [*PATHS, "/nowhere"])
async def test_every_response_has_security_headers_and_no_version(path: str) -> None:
    async with client() as session, session.get(path) as answer:
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Server"] == "rollouts-exporter"


async def test_an_internal_error_is_a_500_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> list[MetricFamily]:
        raise ValueError("internal message")

    async with client(replace(QUIET, families=fail)) as session, session.get("/metrics") as answer:
        assert answer.status == 500
        assert "internal message" not in await answer.text()
    assert "internal message" in caplog.text


@pytest.mark.parametrize("path", PATHS)
async def test_all_but_the_probes_need_the_password(path: str) -> None:
    async with client(basic_auth=AUTH) as session, session.get(path) as answer:
        open_to_all = path in {"/healthz", "/readyz"}
        assert answer.status == (200 if open_to_all else 401)
        assert ("WWW-Authenticate" in answer.headers) is not open_to_all


@pytest.mark.parametrize(
    ("login", "password", "status"),
    [("ann", "pä:ss", 200), ("ann", "", 401), ("bob", "pä:ss", 401), ("", "", 401), ("ann", "pä:sss", 401)],
)
async def test_only_the_correct_name_and_password_are_accepted(login: str, password: str, status: int) -> None:
    async with client(basic_auth=AUTH) as session, session.get("/metrics", headers=basic(login, password)) as answer:
        assert answer.status == status


@pytest.mark.parametrize("header", ["", "Basic", "Basic *", "Bearer YW5uOnDDpDpzcw==", "Basic \xff"])
async def test_another_authorization_scheme_is_rejected(header: str) -> None:
    async with client(basic_auth=AUTH) as session, session.get("/", headers={"Authorization": header}) as answer:
        assert answer.status == 401


async def test_an_authorization_header_that_is_not_text_is_rejected() -> None:
    async with serve(WebSection.parse({"listen": "127.0.0.1:0", "basic_auth": AUTH}), QUIET) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic \xff\xfe\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
        writer.close()


async def test_a_changed_password_file_takes_effect_at_once(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    async with client(basic_auth={"username": "ann", "password_file": str(file)}) as session:
        for text, password, status in [("first", "first", 200), ("second", "first", 401), ("second", "second", 200)]:
            file.write_text(text)
            async with session.get("/", headers=basic("ann", password)) as answer:
                assert answer.status == status
        file.unlink()
        async with session.get("/", headers=basic("ann", "second")) as answer:
            assert (answer.status, await answer.text()) == (503, "web.basic_auth.password_file cannot be read\n")


async def test_tls_is_served_with_the_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    pem = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with client(tls={"cert_file": str(pem), "key_file": str(pem)}) as session:
        async with session.get("/healthz", ssl=trust) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get("/healthz")


async def test_a_bad_certificate_is_a_listen_error_that_names_the_setting(tmp_path: Path) -> None:
    pem = tmp_path / "server.pem"
    pem.write_text("no certificate")
    with pytest.raises(ListenError, match=r"web\.tls: cannot serve with .*server\.pem: .*; set web\.tls\.cert_file"):
        async with client(tls={"cert_file": str(pem), "key_file": str(pem)}):
            pass


async def test_a_port_in_use_is_a_listen_error_that_names_the_setting() -> None:
    async with serve(WebSection(listen="127.0.0.1:0"), QUIET) as port:
        with pytest.raises(ListenError) as caught:
            async with serve(WebSection(listen=f"127.0.0.1:{port}"), QUIET):
                pass
    assert str(caught.value) == (
        f"web.listen: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "set web.listen to an address of this machine with a free port"
    )


@pytest.mark.parametrize("listen", ["192.0.2.1:0", "no-such-host.invalid:0", f"{'a' * 70}.b:0"])
async def test_an_address_without_an_interface_is_a_listen_error(listen: str) -> None:
    with pytest.raises(ListenError, match=r"web\.listen: cannot listen on .*; set web\.listen"):
        async with serve(WebSection(listen=listen), QUIET):
            pass


@pytest.mark.parametrize(
    ("listen", "hosts"), [(":0", ["127.0.0.1", "::1"]), ("[::1]:0", ["::1"]), ("localhost:0", ["localhost"])]
)
async def test_it_listens_on_the_configured_address(listen: str, hosts: list[str]) -> None:
    async with serve(WebSection(listen=listen), QUIET) as port:
        for host in hosts:
            socket.create_connection((host, port), timeout=2).close()


async def test_afterwards_idle_connections_are_closed_and_the_port_is_free() -> None:
    async with serve(WebSection(listen="127.0.0.1:0"), QUIET) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200 ")
    assert await asyncio.wait_for(reader.read(), 2) == b""
    writer.close()
    async with serve(WebSection(listen=f"127.0.0.1:{port}"), QUIET) as again:
        assert again == port


async def test_oversized_headers_are_rejected() -> None:
    async with client() as session, session.get("/healthz", headers={"X": "y" * 20_000}) as answer:
        assert answer.status == 400
