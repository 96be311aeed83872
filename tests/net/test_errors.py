"""The kind of each exception, with or without a cause, and the messages by kind."""

from __future__ import annotations

import errno
import ssl
import zlib
from typing import TYPE_CHECKING, cast

import aiohttp
import pytest

from exporter.net.errors import ErrorKind, ResponseTooLargeError, classify_error, error_reason

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey

KEY = cast("ConnectionKey", None)


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def connector_error(cause: OSError, error_type: type[aiohttp.ClientConnectorError]) -> BaseException:
    return caused(error_type(KEY, cause), cause)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), ErrorKind.TIMEOUT),
        (ResponseTooLargeError(), ErrorKind.RESPONSE_TOO_LARGE),
        (aiohttp.InvalidURL("x"), ErrorKind.INVALID_URL),
        (connector_error(ssl.SSLCertVerificationError(), aiohttp.ClientSSLError), ErrorKind.UNTRUSTED_CERTIFICATE),
        (connector_error(ssl.SSLError(), aiohttp.ClientSSLError), ErrorKind.TLS_HANDSHAKE),
        (caused(aiohttp.ClientOSError(), ssl.SSLError()), ErrorKind.TLS),
        (connector_error(ConnectionRefusedError(), aiohttp.ClientProxyConnectionError), ErrorKind.PROXY),
        (connector_error(OSError(), aiohttp.ClientConnectorDNSError), ErrorKind.DNS),
        (connector_error(ConnectionRefusedError(), aiohttp.ClientConnectorError), ErrorKind.REFUSED),
        (connector_error(ConnectionResetError(), aiohttp.ClientConnectorError), ErrorKind.RESET_ON_CONNECT),
        (connector_error(TimeoutError(errno.ETIMEDOUT, ""), aiohttp.ClientConnectorError), ErrorKind.CONNECT),
        (ConnectionResetError(), ErrorKind.RESET),
        (aiohttp.ServerDisconnectedError(), ErrorKind.DISCONNECTED),
        (aiohttp.ClientPayloadError(), ErrorKind.INCOMPLETE),
        (zlib.error(), ErrorKind.GZIP),
        (aiohttp.ClientOSError(), ErrorKind.OS_ERROR),
        (aiohttp.ClientError(), ErrorKind.CLIENT_ERROR),
        (ValueError(), ErrorKind.OTHER),
    ],
)
def test_each_exception_has_one_kind(error: BaseException, kind: ErrorKind) -> None:
    assert classify_error(error) is kind


def test_a_reason_quotes_only_texts_without_secrets() -> None:
    refused = connector_error(ConnectionRefusedError(errno.ECONNREFUSED, "hush"), aiohttp.ClientConnectorError)
    assert error_reason(refused) == "Connection refused"
    assert error_reason(FileNotFoundError(errno.ENOENT, "hush", "/file")) == "No such file or directory: /file"
    assert error_reason(zlib.error("Error -3")) == "Error -3"
    assert error_reason(ValueError("hush")) == "ValueError"
