"""What was sent as credential, and what is wrong with it: the shape of a header, never a part of its value. Pure."""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode, urlsafe_b64decode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_AUTHORIZATION: Final = "authorization"
_KNOWN_SCHEMES: Final = ("basic", "bearer")
PLACEHOLDER: Final = re.compile(r"[$<>{}]|\bxxx+\b", re.IGNORECASE)
_PERCENT_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class CredentialFault:
    """What is wrong with an Authorization header: a name for programs, the rest of a sentence, and what to do."""

    name: str
    text: str
    hint: str


_COPY: Final = "copy the complete value again, with `Basic ` (Last9: Integrations > OpenTelemetry)"
_ENCODE: Final = "encode it without a line break: printf %s 'USER:PASSWORD' | base64 -w0"
_FAULTS: Final = (
    CredentialFault("quoted", "is in quotes", "remove the quotes"),
    CredentialFault("repeated_name", "repeats the name of the header", "write what follows `Authorization: ` alone"),
    CredentialFault("no_scheme", "has no scheme, such as Basic, before its token", "write `Basic ` before it"),
    CredentialFault(
        "percent_encoded",
        "is percent-encoded",
        "write a blank instead of %20; only OTEL_EXPORTER_OTLP_HEADERS is percent-encoded",
    ),
    CredentialFault("placeholder", "looks like a placeholder", f"replace it by its value: {_COPY}"),
    CredentialFault("several_tokens", "has more than a scheme and a token", _COPY),
    CredentialFault("not_base64", "is not base64 of user:password", _ENCODE),
    CredentialFault("no_colon", "is base64 of a text without the colon between user and password", _ENCODE),
    CredentialFault("line_break", "is base64 of a text with a blank or a line break at its start or end", _ENCODE),
    CredentialFault("incomplete", "is base64 without a user or without a password", _ENCODE),
)
FAULTS: Final[Mapping[str, CredentialFault]] = {fault.name: fault for fault in _FAULTS}
"""The faults by name, without that of a token that has expired, whose text has the time."""


def describe_credential(headers: Mapping[str, str], now: float) -> str:
    """Describe the headers that were sent, given by lower-case name, at `now` (Unix seconds)."""
    sent = [f"{name} ({len(value)} characters)" for name, value in headers.items() if name != _AUTHORIZATION]
    if _AUTHORIZATION in headers:
        value = headers[_AUTHORIZATION]
        fault = credential_fault(value, now)
        text = fault.text if fault else "is well-formed, so the server does not accept its user, password or token"
        sent.insert(0, f"{_AUTHORIZATION} ({_shape(value)}), which {text}")
    return f"sent {', '.join(sent)}" if sent else "no credential was sent"


def _shape(value: str) -> str:
    scheme, _, token = value.partition(" ")
    scheme_name = scheme.capitalize() if scheme.lower() in _KNOWN_SCHEMES else "another scheme"
    return f"{scheme_name} and {len(token)} characters" if token else f"{len(value)} characters without a space"


def credential_fault(value: str, now: float) -> CredentialFault | None:
    """Return what is wrong with the value of an Authorization header at `now`, None if nothing can be seen."""
    scheme, _, token = value.partition(" ")
    name = _shape_fault(value) or (_basic_fault(token) if scheme.lower() == "basic" else "")
    if not name and scheme.lower() == "bearer":
        return _expired(token, now)
    return FAULTS[name] if name else None


def _shape_fault(value: str) -> str:
    scheme, _, token = value.partition(" ")
    checks = {
        "quoted": value[:1] in {'"', "'"},
        "repeated_name": scheme.lower().startswith(_AUTHORIZATION),
        # Before the scheme: `Basic%20…` has none, and `${TOKEN}` neither.
        "percent_encoded": _PERCENT_ENCODED.search(value) is not None,
        "placeholder": PLACEHOLDER.search(value) is not None,
        "no_scheme": not token,
        "several_tokens": " " in token.strip(),
    }
    return next((name for name, applies in checks.items() if applies), "")


def _basic_fault(token: str) -> str:
    try:
        plain = b64decode(token, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return "not_base64"
    user, colon, password = plain.partition(":")
    if not colon:
        return "no_colon"
    if plain != plain.strip():
        return "line_break"
    return "" if user and password else "incomplete"


def _expired(token: str, now: float) -> CredentialFault | None:
    """Return whether a JSON web token has expired; other tokens cannot be judged."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""  # noqa: PLR2004 - header, payload, signature
    try:
        expiry = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
        expired_at = datetime.fromtimestamp(float(expiry), UTC)
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return None
    if expired_at.timestamp() >= now:
        return None
    return CredentialFault("expired", f"expired at {expired_at:%Y-%m-%dT%H:%M:%SZ}", "renew the token")
