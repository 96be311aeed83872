"""What a refused credential is said to be: its shape and its fault, never a part of it."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING

import pytest

from exporter.net.credential_shape import describe_credential
from exporter.otlp.transport.credentials import Destination
from exporter.otlp.transport.grpc import GrpcTransport
from exporter.otlp.transport.http import HttpTransport
from exporter.otlp.transport.response import classify
from tests.otlp.backend import Backend, status
from tests.otlp.grpc_backend import GrpcBackend, fail

if TYPE_CHECKING:
    from exporter.otlp.transport.response import TransportOutcome

NOW = 1_795_446_000.0
SECRET = "hush4711"
BASIC = b64encode(f"user:{SECRET}".encode()).decode()


def token(**claims: object) -> str:
    """Return a JSON web token without a valid signature."""
    parts: tuple[dict[str, object], ...] = ({"alg": "none"}, claims, {})
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


CASES = {
    f"Basic {BASIC}": "is well-formed",
    f"Bearer {SECRET}": "is well-formed",
    f"Bearer {token(exp=NOW + 60)}": "is well-formed",
    f"Bearer {token(exp=NOW - 60)}": "expired at 2026-11-23T",
    f"Bearer {token(exp='never')}": "is well-formed",
    BASIC: "has no scheme",
    f"Basic user:{SECRET}": "is not base64 of user:password",
    f"Basic {b64encode(SECRET.encode()).decode()}": "without the colon",
    f"Basic {b64encode(f'user:{SECRET}'.encode() + bytes([10])).decode()}": "a line break at its start or end",
    f"Basic {b64encode(f':{SECRET}'.encode()).decode()}": "without a user",
    f'"Basic {BASIC}"': "is in quotes",
    f"Authorization: Basic {BASIC}": "repeats the name of the header",
    f"Basic%20{BASIC} x": "percent-encoded",
    "Bearer ${LAST9_TOKEN}": "placeholder",
    f"Basic Basic {BASIC}": "more than a scheme and a token",
    f"Custom {SECRET}": "is well-formed",
    f"Bearer {SECRET}.{SECRET}.{SECRET}": "is well-formed",
}


@pytest.mark.parametrize("value", CASES)
def test_the_fault_of_an_authorization_is_named_and_its_value_is_not_shown(value: str) -> None:
    text = describe_credential({"authorization": value}, NOW)
    assert CASES[value] in text
    assert not any(secret in text for secret in (SECRET, BASIC, "LAST9", "user:h", value.rpartition(" ")[2]))


def test_other_headers_are_named_with_their_length_and_a_missing_credential_is_reported() -> None:
    assert describe_credential({"x-api-key": SECRET}, NOW) == "sent x-api-key (8 characters)"
    assert describe_credential({}, NOW) == "no credential was sent"


def reason(outcome: TransportOutcome) -> str:
    result = classify(outcome, 1, NOW)
    assert hasattr(result, "message")
    return str(result.message)


@pytest.mark.parametrize("code", [401, 403])
async def test_over_http_the_reason_has_the_shape_of_what_was_sent(backend: Backend, code: int) -> None:
    backend.default_reply = status(code, b"who are you?")
    for headers, shape in (
        ({}, "no credential was sent"),
        ({"Authorization": f"Bearer {SECRET}"}, "Bearer and 8 char"),
    ):
        async with HttpTransport(Destination(backend.url, headers)) as transport:
            text = reason(await transport.post(b""))
        assert text.startswith(f"{code} ")
        assert "who are you?; see otlp.headers" in text
        assert shape in text


async def test_over_grpc_the_reason_has_the_shape_of_what_was_sent() -> None:
    backend = GrpcBackend(always=fail("UNAUTHENTICATED", "who are you?"))
    await backend.start()
    async with GrpcTransport(Destination(backend.target, {"Authorization": f"Basic user:{SECRET}"})) as transport:
        text = reason(await transport.post(b""))
    await backend.stop()
    assert text.startswith("UNAUTHENTICATED: who are you?; see otlp.headers")
    assert "not base64 of user:password" in text
    assert SECRET not in text
