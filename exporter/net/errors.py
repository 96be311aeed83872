"""Exceptions of an HTTP exchange → one kind each; every client has its own messages by kind."""

from __future__ import annotations

import os
import ssl
import zlib
from enum import Enum
from typing import Final

import aiohttp

from exporter.log import REDACTOR

_MAX_REASON: Final = 160
"""Characters of an exception's own text in a message, so that it fits a log line."""


class ResponseTooLargeError(aiohttp.ClientError):
    """The body of a response exceeds the limit."""


class ErrorKind(Enum):
    """What went wrong between a request and its complete response, and the exceptions by which it is recognised.

    The first kind that fits an exception or its cause counts, so a subclass comes before its base class.
    """

    RESPONSE_TOO_LARGE = (ResponseTooLargeError,)
    INVALID_URL = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)
    UNTRUSTED_CERTIFICATE = (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)
    TLS_HANDSHAKE = (aiohttp.ClientSSLError,)
    TLS = (ssl.SSLError,)
    """A TLS error after the handshake, as when the server rejects our certificate in TLS 1.3."""
    PROXY = (aiohttp.ClientHttpProxyError, aiohttp.ClientProxyConnectionError)
    DNS = (aiohttp.ClientConnectorDNSError,)
    REFUSED = (ConnectionRefusedError,)
    CONNECT = (aiohttp.ClientConnectorError,)
    RESET = (ConnectionError,)
    DISCONNECTED = (aiohttp.ServerDisconnectedError,)
    """The server closed the connection before it sent a response."""
    INCOMPLETE = (aiohttp.ClientPayloadError,)
    """The connection ended in the middle of the body."""
    NOT_HTTP = (aiohttp.ClientResponseError,)
    GZIP = (zlib.error,)
    OS_ERROR = (OSError,)
    CLIENT_ERROR = (aiohttp.ClientError,)
    OTHER = (BaseException,)
    # Every exception fits a kind above; these two are recognised by `classify_error` itself.
    TIMEOUT = (TimeoutError,)
    RESET_ON_CONNECT = (aiohttp.ClientConnectorError, ConnectionError)


# No connection was made, so the server has not seen the request.
CONNECT_KINDS: Final = (ErrorKind.REFUSED, ErrorKind.RESET_ON_CONNECT, ErrorKind.CONNECT)


def classify_error(error: BaseException) -> ErrorKind:
    """Return the kind of an exception that aiohttp, the system or zlib raised."""
    if isinstance(error, TimeoutError):  # not as a cause: a handshake that the system gave up is CONNECT
        return ErrorKind.TIMEOUT
    # aiohttp raises its own error from that of the system, which has more detail.
    chain = (error.__cause__, error)
    kind = next(kind for kind in ErrorKind if any(isinstance(link, kind.value) for link in chain))
    if kind is ErrorKind.CONNECT and isinstance(error.__cause__, ConnectionError):
        return ErrorKind.RESET_ON_CONNECT
    return kind


def error_reason(error: BaseException) -> str:
    """Describe an exception in a few words that hold no secret.

    Quoted are only texts of the system, OpenSSL and zlib, and aiohttp's message about a response that is not HTTP:
    other exceptions may show headers.
    """
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        reason = cause.verify_message
    elif isinstance(cause, ssl.SSLError):
        reason = (cause.reason or "").replace("_", " ").lower()
    elif isinstance(cause, OSError) and cause.errno:
        reason = os.strerror(cause.errno) + (f": {cause.filename}" if cause.filename else "")
    elif isinstance(cause, aiohttp.ClientResponseError):
        reason = cause.message
    else:
        reason = str(cause) if isinstance(cause, zlib.error) else ""
    return REDACTOR.redact(" ".join(reason.split()))[:_MAX_REASON].rstrip(".") or type(cause).__name__
