"""Certificate files, replaced atomically, as Kubernetes replaces the files of a Secret."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from exporter.config.section import ClientTlsSection
from exporter.net.tls import ClientTlsLoader

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    import trustme


def replace_file(file: Path, text: str | bytes) -> Path:
    new_file = file.with_suffix(".new")
    new_file.write_bytes(text if isinstance(text, bytes) else text.encode())
    new_file.replace(file)
    return file


def server_tls(authority: trustme.CA, *names: str, **validity: datetime) -> ssl.SSLContext:
    """Return the TLS context of a server with a certificate for these names, valid as `issue_cert` takes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **validity).configure_cert(context)  # type: ignore[arg-type]
    return context


def client_tls(ca: trustme.CA, directory: Path, server_name: str | None = None) -> ClientTlsLoader:
    """Return client TLS that trusts a CA."""
    ca_file = replace_file(directory / "ca.pem", ca.cert_pem.bytes())
    return ClientTlsLoader(ClientTlsSection(ca_file=ca_file, server_name=server_name))


def mutual_tls(ca: trustme.CA, directory: Path, server_name: str | None = None) -> ClientTlsLoader:
    """Return client TLS that trusts a CA and sends the certificate that `write_client_certificate` writes."""
    ca_file = replace_file(directory / "ca.pem", ca.cert_pem.bytes())
    cert, key = directory / "cert.pem", directory / "key.pem"
    return ClientTlsLoader(ClientTlsSection(ca_file=ca_file, cert_file=cert, key_file=key, server_name=server_name))


def write_client_certificate(ca: trustme.CA, directory: Path) -> None:
    """Write a client certificate issued by a CA."""
    certificate = ca.issue_cert("me.test")
    replace_file(directory / "cert.pem", certificate.cert_chain_pems[0].bytes())
    replace_file(directory / "key.pem", certificate.private_key_pem.bytes())
