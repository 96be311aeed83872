"""What each gRPC status means: the table of DESIGN §5."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from exporter.otlp.transport.response import ResponseTooLarge, classify
from exporter.otlp.transport.grpc_status import GrpcResponse
from exporter.otlp.result import Accepted, Blocked, Retryable, Permanent, RequestResult

from .grpc_backend import retry_info


def judged(code: str, message: str = "", details: bytes = b"") -> RequestResult:
    return classify(GrpcResponse(code, message=message, details=details), 10, 0)


def partial(rejected: int, message: str) -> bytes:
    told = ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=message)
    return ExportMetricsServiceResponse(partial_success=told).SerializeToString()


@pytest.mark.parametrize(
    "code", ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"]
)
def test_a_temporary_status_is_retried_not_before_the_requested_delay(code: str) -> None:
    verdict = judged(code, "busy")
    assert isinstance(verdict, Retryable)
    assert (verdict.retry_after, verdict.unanswered) == (None, code in {"DEADLINE_EXCEEDED", "UNAVAILABLE"})
    assert verdict.message.startswith(f"{code}: busy")
    asked = judged(code, "busy", retry_info(7, 500_000_000))
    assert isinstance(asked, Retryable)
    assert asked.retry_after == 7.5


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "UNIMPLEMENTED"])
def test_a_wrong_credential_or_address_blocks_and_names_the_setting(code: str) -> None:
    verdict = judged(code, "who are you?")
    assert isinstance(verdict, Blocked)
    assert "; see otlp." in verdict.message


@pytest.mark.parametrize("code", ["UNKNOWN", "ALREADY_EXISTS", "FAILED_PRECONDITION", "INTERNAL", "RESOURCE_EXHAUSTED"])
def test_other_statuses_are_permanent(code: str) -> None:
    assert judged(code, "no") == Permanent(f"grpc_{code.lower()}", f"{code}: no")


def test_invalid_argument_may_be_split() -> None:
    verdict = judged("INVALID_ARGUMENT", "metric has no points")
    assert isinstance(verdict, Permanent)
    assert (verdict.reason, verdict.can_split, verdict.too_large) == ("grpc_invalid_argument", True, False)


@pytest.mark.parametrize(
    "message",
    [
        "SERVER: Received message larger than max (5242880 vs. 4194304)",
        "grpc: received message larger than max (4500000 vs. 4194304)",
        "grpc: received message after decompression larger than max 4194304",
        "request too large",
        "the message exceeds the maximum size",
    ],
)
def test_a_request_that_is_too_large_may_be_split(message: str) -> None:
    verdict = judged("RESOURCE_EXHAUSTED", message)
    assert isinstance(verdict, Permanent)
    assert (verdict.reason, verdict.can_split, verdict.too_large) == ("grpc_resource_exhausted", True, True)
    assert "otlp.request.bytes" in verdict.message


@pytest.mark.parametrize(("details", "after"), [(retry_info(7), 7), (retry_info(0), None), (retry_info(-5), None)])
def test_resource_exhausted_with_a_delay_is_retried(details: bytes, after: float | None) -> None:
    verdict = judged("RESOURCE_EXHAUSTED", "quota", details)
    assert isinstance(verdict, Retryable)
    assert verdict.retry_after == after


@pytest.mark.parametrize("details", [b"\xff\xff", b"", b"\x1a\x02\x0a\x00"])
def test_unreadable_details_have_no_effect(details: bytes) -> None:
    assert isinstance(judged("RESOURCE_EXHAUSTED", "quota", details), Permanent)
    assert judged("ABORTED", "", details) == Retryable("ABORTED")


def test_a_requested_delay_is_limited_to_an_hour() -> None:
    verdict = judged("UNAVAILABLE", "", retry_info(86_400))
    assert isinstance(verdict, Retryable)
    assert verdict.retry_after == 3600


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b"", Accepted(10)),
        (partial(3, "old"), Accepted(7, 3, "old")),
        (partial(0, "careful"), Accepted(10, 0, "careful")),
        (b"\xff\xff", Accepted(10, 0, "OK, with a response that is not OTLP; see otlp.endpoint")),
    ],
)
def test_ok_is_accepted_with_its_partial_success(body: bytes, verdict: RequestResult) -> None:
    assert classify(GrpcResponse(body=body), 10, 0) == verdict


def test_a_response_that_is_too_large_is_permanent() -> None:
    assert isinstance(classify(ResponseTooLarge("RESOURCE_EXHAUSTED"), 10, 0), Permanent)
