"""The sections that several others contain."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.config.model import Section
from exporter.config.values import FilePath, SecretFilePath, SecretText  # noqa: TC001 - the annotations are read


@dataclass(frozen=True, slots=True)
class ClientTlsSection(Section):
    """TLS of requests over https://: how to verify the server, and the client certificate."""

    ca_file: FilePath | None = None
    """PEM file with the certificate authorities to trust; unset: those of the system."""
    cert_file: FilePath | None = None
    """PEM file with the client certificate, set together with `key_file`; unset: no client certificate."""
    key_file: FilePath | None = None
    """PEM file with the private key of `cert_file`. Both files are reloaded when they change."""
    server_name: str | None = None
    """Name expected in the server's certificate and sent as SNI; unset: the host name of the address."""
    insecure_skip_verify: bool = False
    """Whether to accept any server certificate; for tests only."""


@dataclass(frozen=True, slots=True)
class ServerTlsSection(Section):
    """TLS of the exporter's own pages."""

    cert_file: FilePath | None = None
    """PEM file with the server certificate, set together with `key_file`; unset: plain HTTP."""
    key_file: FilePath | None = None
    """PEM file with the private key of `cert_file`."""


@dataclass(frozen=True, slots=True)
class BasicAuthSection(Section):
    """User name and password of basic authentication."""

    username: str = ""
    """User name of basic authentication; empty: no basic authentication."""
    password: SecretText | None = None
    """Password; `password_file` is preferred."""
    password_file: SecretFilePath | None = None
    """File with the password; reloaded when it changes."""
