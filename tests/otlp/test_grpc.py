"""OTLP over gRPC against a real server: what is sent, what comes of each status, and what the books say."""

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
from exporter.otlp.transport.response import ResponseTooLarge, TransportOutcome, NotSent, classify
from exporter.otlp.transport.credentials import Destination
from exporter.otlp.transport.grpc import GrpcTransport
from exporter.otlp.transport.grpc_status import GrpcResponse
from exporter.otlp.result import Blocked, Retryable

from .certificates import prove, proving, trusting, written
from .pipeline import build_pipeline
from .grpc_backend import GrpcBackend, answer, dawdle, fail, refuse_value, retry_info
from .rude import rude, says, tunnel

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
async def line(destination: Destination) -> AsyncIterator[Pipeline]:
    async with GrpcTransport(destination) as over:
        yield build_pipeline(over)


async def post(destination: Destination, body: bytes = b"") -> TransportOutcome:
    async with GrpcTransport(destination) as over:
        return await over.post(body)


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
    async with tunnel(backend.port) as wire:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("http_proxy", f"http://127.0.0.1:{wire.port}")
            destination = Destination("ingest.test:4317", gzip=compressed)
            assert await post(destination, gzip.compress(b"a" * 50_000)) == GrpcResponse()
    assert backend.bodies == [b"a" * 50_000]
    assert (wire.carried < 5_000) is compressed
    assert wire.asked[0].startswith("CONNECT ingest.test:4317")


async def test_points_are_delivered_and_counted(backend: GrpcBackend) -> None:
    async with line(Destination(backend.target)) as one:
        await one.deliver(*range(2500))
    assert backend.stored == list(range(2500))
    assert (one.accounting.delivered, one.accounting.requests, one.accounting.state) == (2500, {"OK": 3}, DeliveryState.DELIVERING)


async def test_a_busy_backend_is_retried_with_growing_delays_and_the_same_bytes(backend: GrpcBackend) -> None:
    codes = ["UNAVAILABLE", "CANCELLED", "ABORTED", "OUT_OF_RANGE", "DATA_LOSS"]
    backend.replies = [*(fail(code) for code in codes), fail("RESOURCE_EXHAUSTED", "quota", retry_info(30))]
    async with line(Destination(backend.target)) as one:
        await one.deliver(1)
    assert one.clock.sleeps == [1, 2, 4, 8, 8, 38]
    assert len(set(backend.bodies)) == 1
    assert one.accounting.requests == dict.fromkeys([*codes, "RESOURCE_EXHAUSTED", "OK"], 1)
    assert (one.accounting.retries, one.accounting.delivered) == (6, 1)


@pytest.mark.parametrize("code", ["UNKNOWN", "ALREADY_EXISTS", "FAILED_PRECONDITION", "INTERNAL", "RESOURCE_EXHAUSTED"])
async def test_a_permanent_error_drops_the_request_and_delivery_continues(backend: GrpcBackend, code: str) -> None:
    backend.replies = [fail(code)]
    async with line(Destination(backend.target)) as one:
        await one.enqueue(1, 2)
        await one.deliver(3)
    assert (backend.stored, one.clock.sleeps) == ([3], [])
    assert one.accounting.dropped == {f"grpc_{code.lower()}": 2}


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "UNIMPLEMENTED"])
async def test_a_wrong_credential_blocks_delivery_until_its_file_is_corrected(
    backend: GrpcBackend, tmp_path: Path, code: str
) -> None:
    file = written(tmp_path / "headers", "authorization=Basic%20d3Jvbmc=")
    backend.replies = [fail(code)] * 2

    async def mend() -> None:
        if len(one.clock.sleeps) == 3:
            assert one.accounting.state is DeliveryState.BLOCKED
            written(file, "authorization=Basic%20cmlnaHQ=")

    async with line(Destination(backend.target, headers_file=file)) as one:
        one.clock.after_sleep = mend
        await one.deliver(1)
    assert [metadata["authorization"] for metadata in backend.metadata][1:] == ["Basic d3Jvbmc=", "Basic cmlnaHQ="]
    assert (one.accounting.delivered, one.clock.sleeps) == (1, [1, 1, 1])


async def test_one_bad_point_costs_itself_alone(backend: GrpcBackend) -> None:
    backend.always = refuse_value(77)
    async with line(Destination(backend.target)) as one:
        await one.deliver(*range(1000))
    assert one.accounting.dropped == {"grpc_invalid_argument": 1}
    assert sorted(backend.stored) == [value for value in range(1000) if value != 77]


async def test_a_request_that_is_too_large_is_split(backend: GrpcBackend) -> None:
    await backend.stop()
    backend.most = 10_000
    await backend.start()
    async with line(Destination(backend.target)) as one:
        await one.deliver(*range(500))
    assert sorted(backend.stored) == list(range(500))
    assert one.accounting.requests.keys() == {"RESOURCE_EXHAUSTED", "OK"}
    assert one.accounting.dropped.total() == 0


async def test_partial_success_is_counted_and_not_sent_again(backend: GrpcBackend) -> None:
    told = ExportMetricsPartialSuccess(rejected_data_points=2, error_message="too old")
    backend.always = answer(ExportMetricsServiceResponse(partial_success=told).SerializeToString())
    async with line(Destination(backend.target)) as one:
        await one.deliver(1, 2, 3)
    assert (one.accounting.delivered, one.accounting.rejected, one.accounting.warnings, one.accounting.state_reason) == (1, 2, 1, "too old")


async def test_a_response_is_read_up_to_a_limit(backend: GrpcBackend) -> None:
    backend.always = answer(b"x" * 5_000_000)
    assert await post(Destination(backend.target)) == ResponseTooLarge("RESOURCE_EXHAUSTED")


async def test_a_timeout_is_retried_over_a_new_connection(backend: GrpcBackend) -> None:
    backend.replies = [dawdle]
    async with line(Destination(backend.target, timeout=0.2)) as one:
        await one.deliver(1)
    assert (one.accounting.requests, one.clock.sleeps) == ({"DEADLINE_EXCEEDED": 1, "OK": 1}, [1])


async def test_a_backend_that_returns_is_reached_at_the_next_attempt_without_a_back_off_of_grpc(
    backend: GrpcBackend,
) -> None:
    await backend.stop()
    async with GrpcTransport(Destination(backend.target)) as over:
        for _ in range(6):
            outcome = await over.post(b"")
            verdict = classify(outcome, 1, 0)
            assert isinstance(verdict, Retryable)
            assert "otlp.endpoint" in verdict.message
        await backend.start()
        began = time.monotonic()
        assert await over.post(b"") == GrpcResponse()
        assert time.monotonic() - began < 0.2


async def test_a_server_without_grpc_is_reported_with_the_setting() -> None:
    async with rude(*[says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")] * 3) as server:
        verdict = classify(await post(Destination(f"127.0.0.1:{server.port}")), 1, 0)
    assert isinstance(verdict, Retryable)
    assert "otlp.endpoint" in verdict.message


@pytest.mark.parametrize("headers", [{"x!y": "hush4711"}, {"x": "hush4711\r\ny: z"}, {"x": "hush4711é"}])
async def test_a_header_that_is_no_metadata_is_reported_and_not_sent(backend: GrpcBackend, headers: dict[str, str]) -> None:
    outcome = await post(Destination(backend.target, headers))
    assert isinstance(outcome, NotSent)
    assert "otlp.headers" in outcome.message
    assert "hush4711" not in outcome.message
    assert backend.bodies == []


def credentials(authority: trustme.CA, name: str, *, mutual: bool = False) -> object:
    own = authority.issue_cert(name)
    pair = (own.private_key_pem.bytes(), own.cert_chain_pems[0].bytes())
    return grpc.ssl_server_credentials([pair], authority.cert_pem.bytes(), require_client_auth=mutual)


async def restarted(backend: GrpcBackend, tls: object) -> None:
    await backend.stop()
    backend.tls = tls
    await backend.start()


async def test_tls_verifies_the_name_which_a_setting_overrides(backend: GrpcBackend, tmp_path: Path) -> None:
    authority = trustme.CA()
    await restarted(backend, credentials(authority, "ingest.example"))
    wrong = classify(await post(Destination(backend.target, tls=trusting(authority, tmp_path))), 1, 0)
    assert isinstance(wrong, Retryable)
    assert "otlp.tls" in wrong.message
    right = trusting(authority, tmp_path, "ingest.example")
    assert await post(Destination(backend.target, tls=right)) == GrpcResponse()
    assert isinstance(classify(await post(Destination(backend.target)), 1, 0), Retryable)


async def test_certificates_are_reloaded_when_they_change(backend: GrpcBackend, tmp_path: Path) -> None:
    authority = trustme.CA()
    await restarted(backend, credentials(authority, "ingest.example", mutual=True))
    prove(trustme.CA(), tmp_path)

    async def mend() -> None:
        if len(one.clock.sleeps) == 2:
            prove(authority, tmp_path)

    async with line(Destination(backend.target, tls=proving(authority, tmp_path, "ingest.example"))) as one:
        one.clock.after_sleep = mend
        await one.deliver(1)
        assert one.accounting.requests == {"UNAVAILABLE": 2, "OK": 1}
        (tmp_path / "key.pem").unlink()
        unfit = await one.transport.post(b"")
    assert isinstance(unfit, NotSent)
    assert isinstance(classify(unfit, 1, 0), Blocked)
    assert f"otlp.tls: {tmp_path}/key.pem cannot be read" in unfit.message


async def test_a_connection_is_reused_until_the_certificates_change(backend: GrpcBackend, tmp_path: Path) -> None:
    authority = trustme.CA()
    await restarted(backend, credentials(authority, "ingest.example", mutual=True))
    prove(authority, tmp_path)
    async with GrpcTransport(Destination(backend.target, tls=proving(authority, tmp_path, "ingest.example"))) as over:
        for turn in range(4):
            if turn == 2:
                prove(authority, tmp_path)
                assert over.credentials_changed()
            assert await over.post(b"") == GrpcResponse()
    assert [backend.peers.index(peer) for peer in backend.peers] == [0, 0, 2, 2]


def test_the_library_is_loaded_only_for_its_protocol() -> None:
    script = "import sys, exporter.service.delivery, exporter.service.app; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
