"""Certificates as files, turned as Kubernetes turns a secret: the new file takes the old one's place."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from exporter.config.section import ClientTlsSection
from exporter.net.tls import ClientTlsLoader

if TYPE_CHECKING:
    from pathlib import Path

    import trustme


def written(file: Path, text: str | bytes) -> Path:
    fresh = file.with_suffix(".fresh")
    fresh.write_bytes(text if isinstance(text, bytes) else text.encode())
    fresh.replace(file)
    return file


def serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """Return the TLS of a server with such a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def trusting(authority: trustme.CA, folder: Path, server_name: str | None = None) -> ClientTlsLoader:
    """Trust an authority, by a file in a folder."""
    ca_file = written(folder / "ca.pem", authority.cert_pem.bytes())
    return ClientTlsLoader(ClientTlsSection(ca_file=ca_file, server_name=server_name))


def proving(authority: trustme.CA, folder: Path, server_name: str | None = None) -> ClientTlsLoader:
    """Trust an authority, and show the certificate in the folder, which `prove` writes."""
    ca_file = written(folder / "ca.pem", authority.cert_pem.bytes())
    cert, key = folder / "cert.pem", folder / "key.pem"
    return ClientTlsLoader(ClientTlsSection(ca_file=ca_file, cert_file=cert, key_file=key, server_name=server_name))


def prove(issuer: trustme.CA, folder: Path) -> None:
    """Write a client certificate of an issuer."""
    mine = issuer.issue_cert("me.test")
    written(folder / "cert.pem", mine.cert_chain_pems[0].bytes())
    written(folder / "key.pem", mine.private_key_pem.bytes())
