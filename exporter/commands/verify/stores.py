"""The store that is read from, as the settings have it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from exporter.net.prometheus_api import ReadEndpoint, basic
from exporter.net.prometheus_response import Cures
from exporter.net.files import SecretFile
from exporter.net.tls import Trust
from exporter.otlp.transport.credentials import proxy

if TYPE_CHECKING:
    from exporter.config.read import ReadSection


def endpoint(read: ReadSection) -> ReadEndpoint:
    """Return the endpoint of a section that has an address. Raises OSError and ValueError for its files."""
    authorization = _authorization(read)
    parts = urlsplit(read.url)
    by_file = "read.authorization_file" if read.authorization_file else "read.username and read.password_file"
    return ReadEndpoint(
        address=read.url,
        headers={"Authorization": authorization} if authorization else {},
        trust=Trust(read.tls) if parts.scheme == "https" else None,
        timeout=read.timeout,
        proxy=proxy(parts.scheme, parts.hostname or ""),
        cures=Cures(address="read.address" if read.address else "read.last9", credential=by_file),
    )


def _authorization(read: ReadSection) -> str:
    if read.authorization_file is not None:
        return SecretFile(read.authorization_file).read()
    if read.password_file is not None:
        return basic(read.user, SecretFile(read.password_file).read())
    return basic(read.user, read.password.get_secret_value()) if read.password is not None else ""
