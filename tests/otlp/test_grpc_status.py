"""The result of each gRPC status."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from exporter.otlp.result import Accepted, Blocked, Permanent, RequestResult, Retryable, RetryRules
from exporter.otlp.transport.grpc_status import GrpcResponse
from exporter.otlp.transport.response import ResponseTooLarge, classify

from .grpc_backend import retry_info


def classify_status(code: str, message: str = "", details: bytes = b"") -> RequestResult:
    return classify(GrpcResponse(code, message=message, details=details), 10, 0)


def partial(rejected: int, message: str) -> bytes:
    partial_success = ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=message)
    return ExportMetricsServiceResponse(partial_success=partial_success).SerializeToString()


@pytest.mark.parametrize(
    "code", ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"]
)
def test_a_temporary_status_is_retried_not_before_the_requested_delay(code: str) -> None:
    result = classify_status(code, "busy")
    assert isinstance(result, Retryable)
    assert (result.retry_after, result.unanswered) == (None, code in {"DEADLINE_EXCEEDED", "UNAVAILABLE"})
    assert result.message.startswith(f"{code}: busy")
    delayed = classify_status(code, "busy", retry_info(7, 500_000_000))
    assert isinstance(delayed, Retryable)
    assert delayed.retry_after == 7.5


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "UNIMPLEMENTED"])
def test_a_wrong_credential_or_address_blocks_and_names_the_setting(code: str) -> None:
    result = classify_status(code, "who are you?")
    assert isinstance(result, Blocked)
    assert "; see otlp." in result.message


@pytest.mark.parametrize("code", ["UNKNOWN", "INTERNAL"])
def test_trouble_of_the_server_is_retried_unless_the_rules_are_strict_or_without_it(code: str) -> None:
    assert isinstance(classify_status(code, "stream terminated by RST_STREAM"), Retryable)
    for rules in (RetryRules(strict=True), RetryRules(removed=frozenset({code}))):
        assert isinstance(classify(GrpcResponse(code), 10, 0, rules), Permanent)


def test_added_codes_are_retried_but_a_request_that_is_too_large_is_split() -> None:
    rules = RetryRules(added=frozenset({"RESOURCE_EXHAUSTED", "ALREADY_EXISTS"}))
    assert isinstance(classify(GrpcResponse("ALREADY_EXISTS"), 10, 0, rules), Retryable)
    quota = classify(GrpcResponse("RESOURCE_EXHAUSTED", message="quota"), 10, 0, rules)
    assert isinstance(quota, Retryable)
    assert quota.throttled
    assert isinstance(classify(GrpcResponse("RESOURCE_EXHAUSTED", message="too large"), 10, 0, rules), Permanent)


@pytest.mark.parametrize("code", ["ALREADY_EXISTS", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"])
def test_other_statuses_are_permanent(code: str) -> None:
    assert classify_status(code, "no") == Permanent(f"grpc_{code.lower()}", f"{code}: no")


def test_invalid_argument_may_be_split() -> None:
    result = classify_status("INVALID_ARGUMENT", "metric has no points")
    assert isinstance(result, Permanent)
    assert (result.reason, result.can_split, result.too_large) == ("grpc_invalid_argument", True, False)


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
    result = classify_status("RESOURCE_EXHAUSTED", message)
    assert isinstance(result, Permanent)
    assert (result.reason, result.can_split, result.too_large) == ("grpc_resource_exhausted", True, True)
    assert "otlp.request.bytes" in result.message


@pytest.mark.parametrize(
    ("details", "retry_after"), [(retry_info(7), 7), (retry_info(0), None), (retry_info(-5), None)]
)
def test_resource_exhausted_with_a_delay_is_retried(details: bytes, retry_after: float | None) -> None:
    result = classify_status("RESOURCE_EXHAUSTED", "quota", details)
    assert isinstance(result, Retryable)
    assert result.retry_after == retry_after


@pytest.mark.parametrize("details", [b"\xff\xff", b"", b"\x1a\x02\x0a\x00"])
def test_unreadable_details_have_no_effect(details: bytes) -> None:
    assert isinstance(classify_status("RESOURCE_EXHAUSTED", "quota", details), Permanent)
    assert classify_status("ABORTED", "", details) == Retryable("ABORTED")


def test_a_requested_delay_is_limited_to_an_hour() -> None:
    result = classify_status("UNAVAILABLE", "", retry_info(86_400))
    assert isinstance(result, Retryable)
    assert result.retry_after == 3600


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b"", Accepted(10)),
        (partial(3, "old"), Accepted(7, 3, "old")),
        (partial(0, "careful"), Accepted(10, 0, "careful")),
        (b"\xff\xff", Accepted(10, 0, "OK, with a response that is not OTLP; see otlp.endpoint")),
    ],
)
def test_ok_is_accepted_with_its_partial_success(body: bytes, result: RequestResult) -> None:
    assert classify(GrpcResponse(body=body), 10, 0) == result


def test_a_response_that_is_too_large_is_permanent() -> None:
    assert isinstance(classify(ResponseTooLarge("RESOURCE_EXHAUSTED"), 10, 0), Permanent)
