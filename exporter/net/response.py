"""An HTTP response as a value, and what error messages quote of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_BYTES_PER_CHARACTER: Final = 8
"""Bytes of a body that are decoded for each character to quote: more than any UTF-8 letter and its markup need."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A complete HTTP response; `headers` are by lower-case name, `body` is decompressed."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    redirects: tuple[int, ...] = ()
    """The statuses of the redirects that were followed to it."""

    @property
    def code(self) -> str:
        """The status as text, as requests are counted by."""
        return str(self.status)

    @property
    def media_type(self) -> str:
        """The media type of Content-Type in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def redirect_host(self) -> str:
        """The host that Location names, "" for none or an unprintable one; the rest of such a URL may be secret."""
        with suppress(ValueError):
            host = urlsplit(self.headers.get("location", "")).hostname or ""
            return host if host.isprintable() else ""
        return ""


def status_text(status: int) -> str:
    """Return a status with its phrase: `404 Not Found`."""
    with suppress(ValueError):
        return f"{status} {HTTPStatus(status).phrase}"
    return str(status)


def excerpt(text: str, max_length: int) -> str:
    """Return a text on one line, without control characters, cut at a length.

    Secrets are for the caller to redact before: a part of one that is left by the cut is not recognised.
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= max_length else f"{line[:max_length]}…"


def body_text(body: bytes, max_length: int) -> str:
    """Decode as much of a body as is needed to quote a number of characters."""
    return body[: _BYTES_PER_CHARACTER * max_length].decode(errors="replace")
