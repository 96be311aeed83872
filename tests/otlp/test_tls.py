"""What holds over TLS and through proxies: a table, tried with real servers over both protocols.

The standard variables (OTEL_EXPORTER_OTLP_CERTIFICATE, CLIENT_KEY and CLIENT_CERTIFICATE) set the same files, see
config/test_environment.py.
"""

from __future__ import annotations

import asyncio
import ssl
import warnings
from base64 import b64decode
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from exporter.config.section import ClientTlsSection
from exporter.net.tls import ClientTlsLoader
from exporter.otlp.result import Accepted, Retryable
from exporter.otlp.transport.credentials import Destination
from exporter.otlp.transport.grpc import GrpcTransport
from exporter.otlp.transport.http import HttpTransport
from exporter.otlp.transport.response import classify

from .certificates import client_tls, replace_file, server_tls, write_client_certificate
from .grpc_backend import GrpcBackend
from .pipeline import build_pipeline
from .raw_server import serve_raw, tunnel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from exporter.otlp.result import RequestResult

    MakeContext = Callable[[trustme.CA], ssl.SSLContext]

NAME = "ingest.test"
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def issue(*names: str, **validity: datetime) -> MakeContext:
    """Return a maker of server contexts with a certificate for these names."""
    return lambda authority: server_tls(authority, *(names or (NAME,)), **validity)


def only(version: ssl.TLSVersion) -> MakeContext:
    def make(authority: trustme.CA) -> ssl.SSLContext:
        context = server_tls(authority, NAME)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of TLS 1.1
            context.minimum_version = context.maximum_version = version
        return context

    return make


def by_another_authority(_: trustme.CA) -> ssl.SSLContext:
    return server_tls(trustme.CA(), NAME)


def by_an_intermediate_authority(authority: trustme.CA) -> ssl.SSLContext:
    return server_tls(authority.create_child_ca(), NAME)


def with_client_certificates(authority: trustme.CA) -> ssl.SSLContext:
    context = server_tls(authority, NAME)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@dataclass(frozen=True)
class Row:
    """A server, the client's further settings in `otlp.tls`, and whether a request is delivered."""

    server: MakeContext
    delivered: bool
    settings: dict[str, Any] = field(default_factory=lambda: {"server_name": NAME})
    over_grpc: bool = True


CERTIFIED = {"server_name": NAME, "cert_file": "cert.pem", "key_file": "key.pem"}
TABLE = {
    "TLS 1.3": Row(only(ssl.TLSVersion.TLSv1_3), delivered=True),
    "TLS 1.2": Row(only(ssl.TLSVersion.TLSv1_2), delivered=True),
    "TLS 1.1": Row(only(ssl.TLSVersion.TLSv1_1), delivered=False),
    "an intermediate authority": Row(by_an_intermediate_authority, delivered=True),
    "the address in the certificate": Row(issue("127.0.0.1"), delivered=True, settings={}),
    "another authority": Row(by_another_authority, delivered=False),
    "another name": Row(issue("other.test"), delivered=False),
    "a name for another host without server_name": Row(issue(), delivered=False, settings={}),
    "an expired certificate": Row(issue(not_before=NOW - 9 * DAY, not_after=NOW - DAY), delivered=False),
    "a certificate of the future": Row(issue(not_before=NOW + DAY, not_after=NOW + 9 * DAY), delivered=False),
    "a client certificate": Row(with_client_certificates, delivered=True, settings=CERTIFIED),
    "no client certificate": Row(with_client_certificates, delivered=False),
    "no verification": Row(
        by_another_authority, delivered=True, settings={"insecure_skip_verify": True}, over_grpc=False
    ),
}


@asynccontextmanager
async def terminate_tls(context: ssl.SSLContext, port: int) -> AsyncIterator[int]:
    """Serve TLS in front of a port of this machine, as a load balancer does; yield the port."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", port)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while block := await source.read(65536):
                sink.write(block)

        try:
            await asyncio.wait(
                [
                    asyncio.ensure_future(copy(reader, target_writer)),
                    asyncio.ensure_future(copy(target_reader, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            target_writer.close()
            writer.close()

    async with serve_raw(*[forward] * 20, tls=context) as server:
        yield server.port


def client(row: Row, authority: trustme.CA, directory: Path) -> ClientTlsLoader:
    ca_file = replace_file(directory / "ca.pem", authority.cert_pem.bytes())
    write_client_certificate(authority, directory)
    files = {key: directory / value if key.endswith("_file") else value for key, value in row.settings.items()}
    return ClientTlsLoader(ClientTlsSection(ca_file=ca_file, **files))


def check(result: RequestResult, row: Row) -> None:
    """Check the result; what does not hold is retried, and its reason names the settings."""
    if row.delivered:
        assert isinstance(result, Accepted)
    else:
        assert isinstance(result, Retryable)
        assert "otlp.tls" in result.message or "broke" in result.message


@pytest.mark.parametrize("name", TABLE)
async def test_the_table_holds_over_http(name: str, tmp_path: Path) -> None:
    row, authority = TABLE[name], trustme.CA()
    async with serve_raw(tls=row.server(authority)) as server:
        destination = Destination(f"https://127.0.0.1:{server.port}/", tls=client(row, authority, tmp_path))
        async with HttpTransport(destination) as transport:
            check(classify(await transport.post(b""), 1, 0), row)


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.over_grpc])
async def test_the_table_holds_over_grpc(name: str, tmp_path: Path) -> None:
    row, authority, backend = TABLE[name], trustme.CA(), GrpcBackend()
    await backend.start()
    context = row.server(authority)
    context.set_alpn_protocols(["h2"])
    async with terminate_tls(context, backend.port) as port:
        destination = Destination(f"127.0.0.1:{port}", tls=client(row, authority, tmp_path), timeout=5)
        async with GrpcTransport(destination) as transport:
            check(classify(await transport.post(b""), 1, 0), row)
    await backend.stop()


async def test_an_expired_certificate_that_is_renewed_costs_nothing_and_needs_no_restart(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = issue(not_before=NOW - 9 * DAY, not_after=NOW - DAY)(authority)

    async def renew() -> None:
        if len(pipeline.clock.sleeps) == 3:
            assert "expired" in pipeline.accounting.state_reason
            authority.issue_cert(NAME).configure_cert(context)

    async with serve_raw(tls=context) as server:
        destination = Destination(f"https://127.0.0.1:{server.port}/", tls=client_tls(authority, tmp_path, NAME))
        async with HttpTransport(destination) as transport:
            pipeline = build_pipeline(transport)
            pipeline.clock.after_sleep = renew
            await pipeline.deliver(1, 2)
    assert pipeline.accounting.requests == {"tls": 3, "200": 1}
    assert (pipeline.accounting.delivered, pipeline.accounting.dropped.total()) == (2, 0)


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY"])
@pytest.mark.parametrize(("credential", "plain"), [("user:pass", "user:pass"), ("us%40er:p%3Ass%2F", "us@er:p:ss/")])
async def test_tls_holds_through_a_proxy_that_gets_its_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, credential: str, plain: str
) -> None:
    authority = trustme.CA()
    async with serve_raw(tls=server_tls(authority, NAME)) as server, tunnel(server.port) as proxy:
        monkeypatch.setenv(variable, f"http://{credential}@127.0.0.1:{proxy.port}")
        destination = Destination(f"https://{NAME}/v1/metrics", tls=client_tls(authority, tmp_path))
        async with HttpTransport(destination) as transport:
            assert isinstance(classify(await transport.post(b""), 1, 0), Accepted)
        wrong = Destination("https://other.test/v1/metrics", tls=client_tls(authority, tmp_path))
        async with HttpTransport(wrong) as transport:
            assert isinstance(classify(await transport.post(b""), 1, 0), Retryable)
    authorization = proxy.connect_requests[0].partition("Proxy-Authorization: Basic ")[2].partition("\r")[0]
    assert b64decode(authorization).decode() == plain


async def test_grpc_over_tls_holds_through_a_proxy_that_gets_its_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, backend = trustme.CA(), GrpcBackend()
    await backend.start()
    context = server_tls(authority, NAME)
    context.set_alpn_protocols(["h2"])
    async with terminate_tls(context, backend.port) as port, tunnel(port) as proxy:
        monkeypatch.setenv("https_proxy", f"http://us%40er:pass@127.0.0.1:{proxy.port}")
        async with GrpcTransport(
            Destination(f"{NAME}:443", tls=client_tls(authority, tmp_path), timeout=5)
        ) as transport:
            assert isinstance(classify(await transport.post(b""), 1, 0), Accepted)
    await backend.stop()
    assert proxy.connect_requests[0].startswith(f"CONNECT {NAME}:443")
    authorization = proxy.connect_requests[0].lower().partition("proxy-authorization: basic ")[2].partition("\r")[0]
    assert authorization
