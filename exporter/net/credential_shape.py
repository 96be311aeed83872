"""What was sent as credential, and what is wrong with it: the shape of a header, never a part of its value. Pure."""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode, urlsafe_b64decode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_AUTHORIZATION: Final = "authorization"
_KNOWN_SCHEMES: Final = ("basic", "bearer")
_PLACEHOLDER: Final = re.compile(r"[$<>{}]|%[0-9A-Fa-f]{2}|\bxxx+\b", re.IGNORECASE)


def describe_credential(headers: Mapping[str, str], now: float) -> str:
    """Describe the headers that were sent, given by lower-case name, at `now` (Unix seconds)."""
    sent = [f"{name} ({len(value)} characters)" for name, value in headers.items() if name != _AUTHORIZATION]
    if _AUTHORIZATION in headers:
        value = headers[_AUTHORIZATION]
        problem = _problem(value, now) or "is well-formed, so the server does not accept its user, password or token"
        sent.insert(0, f"{_AUTHORIZATION} ({_shape(value)}), which {problem}")
    return f"sent {', '.join(sent)}" if sent else "no credential was sent"


def _shape(value: str) -> str:
    scheme, _, token = value.partition(" ")
    scheme_name = scheme.capitalize() if scheme.lower() in _KNOWN_SCHEMES else "another scheme"
    return f"{scheme_name} and {len(token)} characters" if token else f"{len(value)} characters without a space"


def _problem(value: str, now: float) -> str:
    """Return what is wrong with the value of an Authorization header, "" if nothing can be seen."""
    scheme, _, token = value.partition(" ")
    if value[:1] in {'"', "'"}:
        return "is in quotes"
    if scheme.lower().startswith(_AUTHORIZATION):
        return "repeats the name of the header"
    if not token:
        return "has no scheme, such as Basic, before its token"
    if _PLACEHOLDER.search(value):
        return "looks like a placeholder or is percent-encoded"
    if " " in token.strip():
        return "has more than a scheme and a token"
    if scheme.lower() == "basic":
        return _basic_problem(token)
    return _bearer_problem(token, now) if scheme.lower() == "bearer" else ""


def _basic_problem(token: str) -> str:
    try:
        plain = b64decode(token, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return "is not base64 of user:password"
    user, colon, password = plain.partition(":")
    if not colon:
        return "is base64 of a text without the colon between user and password"
    if plain != plain.strip():
        return "is base64 of a text with a blank or a line break at its start or end"
    return "" if user and password else "is base64 without a user or without a password"


def _bearer_problem(token: str, now: float) -> str:
    """Return whether a JSON web token has expired; other tokens cannot be judged."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""  # noqa: PLR2004 - header, payload, signature
    try:
        expiry = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
        expired_at = datetime.fromtimestamp(float(expiry), UTC)
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return ""
    return f"expired at {expired_at:%Y-%m-%dT%H:%M:%SZ}" if expired_at.timestamp() < now else ""
