"""The `web` section of the configuration → a listening socket and the certificate to serve with."""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.config.delivery import Web
    from exporter.config.section import ServerTls


class ListenError(Exception):
    """Nothing can be served; the message names the setting."""


def listening(settings: Web) -> socket.socket:
    """Return a socket that listens; without a host one for IPv4 and IPv6, so that port 0 is one port.

    Raises ListenError.
    """
    try:
        return _bound(*settings.address)
    except (OSError, OverflowError, UnicodeError) as error:
        cure = "set web.listen to an address of this machine with a free port"
        raise ListenError(f"web.listen: cannot listen on {settings.listen}: {_reason(error)}; {cure}") from error


def certificate(settings: ServerTls) -> ssl.SSLContext | None:
    """Return the context to serve TLS with, None for plain HTTP. Raises ListenError."""
    if settings.cert_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file, password=_no_password)
    except (OSError, ValueError) as error:
        cure = "set web.tls.cert_file and web.tls.key_file to PEM files of a certificate and its key"
        raise ListenError(f"web.tls: cannot serve with {settings.cert_file}: {_reason(error)}; {cure}") from error
    return context


def _bound(host: str | None, port: int) -> socket.socket:
    if host:
        family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((host, port), family=family)
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _reason(error: Exception) -> str:
    """Say what was wrong in the system's words, without the address that Python repeats."""
    if isinstance(error, ssl.SSLError | socket.gaierror) or not isinstance(error, OSError) or error.errno is None:
        return str(error)
    return os.strerror(error.errno)


def _no_password() -> str:
    raise ValueError("the private key is encrypted; give one without a password")
