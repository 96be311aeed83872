"""Base class of all sections, and the sections that several others contain."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, SecretStr

from exporter.config.values import FilePath, SecretFilePath  # noqa: TC001 - pydantic reads the annotations


class Section(BaseModel):
    """A frozen section that rejects unknown keys; the text under a field is its description for users."""

    # hide_input_in_errors: the input may be a secret. validate_default: defaults pass the checks of written values.
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True, validate_default=True
    )


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


class ServerTlsSection(Section):
    """TLS of the exporter's own pages."""

    cert_file: FilePath | None = None
    """PEM file with the server certificate, set together with `key_file`; unset: plain HTTP."""
    key_file: FilePath | None = None
    """PEM file with the private key of `cert_file`."""


class BasicAuthSection(Section):
    """User name and password of basic authentication."""

    username: str = ""
    """User name of basic authentication; empty: no basic authentication."""
    password: SecretStr | None = None
    """Password; `password_file` is preferred."""
    password_file: SecretFilePath | None = None
    """File with the password; reloaded when it changes."""
