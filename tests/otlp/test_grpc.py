"""OTLP over gRPC against a real server: what is sent, the result of each status, and the accounting."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc  # type: ignore[import-untyped] # it ships no types
import pytest
import pytest_asyncio
import trustme
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from exporter.otlp.delivery.accounting import DeliveryState
from exporter.otlp.result import Blocked, Retryable
from exporter.otlp.transport.credentials import Destination
from exporter.otlp.transport.grpc import GrpcTransport
from exporter.otlp.transport.grpc_status import GrpcResponse
from exporter.otlp.transport.response import NotSent, ResponseTooLarge, TransportOutcome, classify

from .certificates import client_tls, mutual_tls, replace_file, write_client_certificate
from .grpc_backend import GrpcBackend, fail, refuse_value, reply_with, respond_late, retry_info
from .pipeline import build_pipeline
from .raw_server import respond, serve_raw, tunnel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from .pipeline import Pipeline


@pytest_asyncio.fixture
async def backend() -> AsyncIterator[GrpcBackend]:
    server = GrpcBackend()
    await server.start()
    yield server
    await server.stop()


@asynccontextmanager
async def grpc_pipeline(destination: Destination) -> AsyncIterator[Pipeline]:
    async with GrpcTransport(destination) as transport:
        yield build_pipeline(transport)


async def post(destination: Destination, body: bytes = b"") -> TransportOutcome:
    async with GrpcTransport(destination) as transport:
        return await transport.post(body)


async def test_a_call_has_the_decompressed_request_and_lower_case_metadata(backend: GrpcBackend) -> None:
    body = random.Random(1).randbytes(3000)
    headers = {"Authorization": "Basic c2VjcmV0", "X-Org": "7", "Content-Type": "text/plain", "X-Raw-Bin": "ab"}
    assert await post(Destination(backend.target, headers), gzip.compress(body)) == GrpcResponse()
    assert backend.bodies == [body]
    (metadata,) = backend.metadata
    assert (metadata["authorization"], metadata["x-org"], metadata["x-raw-bin"]) == ("Basic c2VjcmV0", "7", b"ab")
    assert str(metadata["user-agent"]).startswith("rollouts-exporter/")


@pytest.mark.parametrize("compressed", [True, False])
async def test_the_message_is_compressed_once_or_not_at_all(backend: GrpcBackend, *, compressed: bool) -> None:
    async with tunnel(backend.port) as proxy:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
            destination = Destination("ingest.test:4317", gzip=compressed)
            assert await post(destination, gzip.compress(b"a" * 50_000)) == GrpcResponse()
    assert backend.bodies == [b"a" * 50_000]
    assert (proxy.forwarded_bytes < 5_000) is compressed
    assert proxy.connect_requests[0].startswith("CONNECT ingest.test:4317")


async def test_points_are_delivered_and_counted(backend: GrpcBackend) -> None:
    async with grpc_pipeline(Destination(backend.target)) as pipeline:
        await pipeline.deliver(*range(2500))
    assert backend.stored == list(range(2500))
    assert (pipeline.accounting.delivered, pipeline.accounting.requests, pipeline.accounting.state) == (
        2500,
        {"OK": 3},
        DeliveryState.DELIVERING,
    )


async def test_a_busy_backend_is_retried_with_growing_delays_and_the_same_bytes(backend: GrpcBackend) -> None:
    codes = ["UNAVAILABLE", "CANCELLED", "ABORTED", "OUT_OF_RANGE", "DATA_LOSS"]
    backend.replies = [*(fail(code) for code in codes), fail("RESOURCE_EXHAUSTED", "quota", retry_info(30))]
    async with grpc_pipeline(Destination(backend.target)) as pipeline:
        await pipeline.deliver(1)
    assert pipeline.clock.sleeps == [1, 2, 4, 8, 8, 38]
    assert len(set(backend.bodies)) == 1
    assert pipeline.accounting.requests == dict.fromkeys([*codes, "RESOURCE_EXHAUSTED", "OK"], 1)
    assert (pipeline.accounting.retries, pipeline.accounting.delivered) == (6, 1)


@pytest.mark.parametrize("code", ["ALREADY_EXISTS", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"])
async def test_a_permanent_error_drops_the_request_and_delivery_continues(backend: GrpcBackend, code: str) -> None:
    backend.replies = [fail(code)]
    async with grpc_pipeline(Destination(backend.target)) as pipeline:
        await pipeline.enqueue(1, 2)
        await pipeline.deliver(3)
    assert (backend.stored, pipeline.clock.sleeps) == ([3], [])
    assert pipeline.accounting.dropped == {f"grpc_{code.lower()}": 2}


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "UNIMPLEMENTED"])
async def test_a_wrong_credential_blocks_delivery_until_its_file_is_corrected(
    backend: GrpcBackend, tmp_path: Path, code: str
) -> None:
    file = replace_file(tmp_path / "headers", "authorization=Basic%20d3Jvbmc=")
    backend.replies = [fail(code)] * 2

    async def correct_file() -> None:
        if len(pipeline.clock.sleeps) == 3:
            assert pipeline.accounting.state is DeliveryState.BLOCKED
            replace_file(file, "authorization=Basic%20cmlnaHQ=")

    async with grpc_pipeline(Destination(backend.target, headers_file=file)) as pipeline:
        pipeline.clock.after_sleep = correct_file
        await pipeline.deliver(1)
    assert [metadata["authorization"] for metadata in backend.metadata][1:] == ["Basic d3Jvbmc=", "Basic cmlnaHQ="]
    assert (pipeline.accounting.delivered, pipeline.clock.sleeps) == (1, [1, 1, 1])


async def test_one_bad_point_costs_itself_alone(backend: GrpcBackend) -> None:
    backend.always = refuse_value(77)
    async with grpc_pipeline(Destination(backend.target)) as pipeline:
        await pipeline.deliver(*range(1000))
    assert pipeline.accounting.dropped == {"grpc_invalid_argument": 1}
    assert sorted(backend.stored) == [value for value in range(1000) if value != 77]


async def test_a_request_that_is_too_large_is_split(backend: GrpcBackend) -> None:
    await backend.stop()
    backend.max_request_bytes = 10_000
    await backend.start()
    async with grpc_pipeline(Destination(backend.target)) as pipeline:
        await pipeline.deliver(*range(500))
    assert sorted(backend.stored) == list(range(500))
    assert pipeline.accounting.requests.keys() == {"RESOURCE_EXHAUSTED", "OK"}
    assert pipeline.accounting.dropped.total() == 0


async def test_partial_success_is_counted_and_not_sent_again(backend: GrpcBackend) -> None:
    partial_success = ExportMetricsPartialSuccess(rejected_data_points=2, error_message="too old")
    backend.always = reply_with(ExportMetricsServiceResponse(partial_success=partial_success).SerializeToString())
    async with grpc_pipeline(Destination(backend.target)) as pipeline:
        await pipeline.deliver(1, 2, 3)
    assert (
        pipeline.accounting.delivered,
        pipeline.accounting.rejected,
        pipeline.accounting.warnings,
        pipeline.accounting.state_reason,
    ) == (1, 2, 1, "too old")


async def test_a_response_is_read_up_to_a_limit(backend: GrpcBackend) -> None:
    backend.always = reply_with(b"x" * 5_000_000)
    assert await post(Destination(backend.target)) == ResponseTooLarge("RESOURCE_EXHAUSTED")


async def test_a_timeout_is_retried_over_a_new_connection(backend: GrpcBackend) -> None:
    backend.replies = [respond_late]
    async with grpc_pipeline(Destination(backend.target, timeout=0.2)) as pipeline:
        await pipeline.deliver(1)
    assert (pipeline.accounting.requests, pipeline.clock.sleeps) == ({"DEADLINE_EXCEEDED": 1, "OK": 1}, [1])


async def test_a_backend_that_returns_is_reached_at_the_next_attempt_without_a_back_off_of_grpc(
    backend: GrpcBackend,
) -> None:
    await backend.stop()
    async with GrpcTransport(Destination(backend.target)) as transport:
        for _ in range(6):
            outcome = await transport.post(b"")
            result = classify(outcome, 1, 0)
            assert isinstance(result, Retryable)
            assert "otlp.endpoint" in result.message
        await backend.start()
        started = time.monotonic()
        assert await transport.post(b"") == GrpcResponse()
        assert time.monotonic() - started < 0.2


async def test_a_server_without_grpc_is_reported_with_the_setting() -> None:
    async with serve_raw(*[respond(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")] * 3) as server:
        result = classify(await post(Destination(f"127.0.0.1:{server.port}")), 1, 0)
    assert isinstance(result, Retryable)
    assert "otlp.endpoint" in result.message


@pytest.mark.parametrize("headers", [{"x!y": "hush4711"}, {"x": "hush4711\r\ny: z"}, {"x": "hush4711é"}])
async def test_a_header_that_is_not_metadata_is_reported_and_not_sent(
    backend: GrpcBackend, headers: dict[str, str]
) -> None:
    outcome = await post(Destination(backend.target, headers))
    assert isinstance(outcome, NotSent)
    assert "otlp.headers" in outcome.message
    assert "hush4711" not in outcome.message
    assert backend.bodies == []


def server_credentials(authority: trustme.CA, name: str, *, mutual: bool = False) -> object:
    server_cert = authority.issue_cert(name)
    key_and_cert = (server_cert.private_key_pem.bytes(), server_cert.cert_chain_pems[0].bytes())
    return grpc.ssl_server_credentials([key_and_cert], authority.cert_pem.bytes(), require_client_auth=mutual)


async def restart(backend: GrpcBackend, tls: object) -> None:
    await backend.stop()
    backend.tls = tls
    await backend.start()


async def test_tls_verifies_the_name_which_a_setting_overrides(backend: GrpcBackend, tmp_path: Path) -> None:
    authority = trustme.CA()
    await restart(backend, server_credentials(authority, "ingest.example"))
    rejected = classify(await post(Destination(backend.target, tls=client_tls(authority, tmp_path))), 1, 0)
    assert isinstance(rejected, Retryable)
    assert "otlp.tls" in rejected.message
    verified = client_tls(authority, tmp_path, "ingest.example")
    assert await post(Destination(backend.target, tls=verified)) == GrpcResponse()
    assert isinstance(classify(await post(Destination(backend.target)), 1, 0), Retryable)


async def test_certificates_are_reloaded_when_they_change(backend: GrpcBackend, tmp_path: Path) -> None:
    authority = trustme.CA()
    await restart(backend, server_credentials(authority, "ingest.example", mutual=True))
    write_client_certificate(trustme.CA(), tmp_path)

    async def correct_file() -> None:
        if len(pipeline.clock.sleeps) == 2:
            write_client_certificate(authority, tmp_path)

    async with grpc_pipeline(
        Destination(backend.target, tls=mutual_tls(authority, tmp_path, "ingest.example"))
    ) as pipeline:
        pipeline.clock.after_sleep = correct_file
        await pipeline.deliver(1)
        assert pipeline.accounting.requests == {"UNAVAILABLE": 2, "OK": 1}
        (tmp_path / "key.pem").unlink()
        outcome = await pipeline.transport.post(b"")
    assert isinstance(outcome, NotSent)
    assert isinstance(classify(outcome, 1, 0), Blocked)
    assert f"otlp.tls: {tmp_path}/key.pem cannot be read" in outcome.message


async def test_a_connection_is_reused_until_the_certificates_change(backend: GrpcBackend, tmp_path: Path) -> None:
    authority = trustme.CA()
    await restart(backend, server_credentials(authority, "ingest.example", mutual=True))
    write_client_certificate(authority, tmp_path)
    async with GrpcTransport(
        Destination(backend.target, tls=mutual_tls(authority, tmp_path, "ingest.example"))
    ) as transport:
        for attempt in range(4):
            if attempt == 2:
                write_client_certificate(authority, tmp_path)
                assert transport.credentials_changed()
            assert await transport.post(b"") == GrpcResponse()
    assert [backend.peers.index(peer) for peer in backend.peers] == [0, 0, 2, 2]


def test_the_library_is_loaded_only_for_its_protocol() -> None:
    script = "import sys, exporter.service.delivery, exporter.service.app; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
