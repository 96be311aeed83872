"""The parts that several sections of the configuration share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, SecretStr

from exporter.config.values import FilePath, SecretFilePath  # noqa: TC001 - pydantic reads the annotations


class Section(BaseModel):
    """A section: frozen, and strict about unknown keys; the text under a field is its description."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True, validate_default=True
    )


class ClientTlsSection(Section):
    """How we verify whom we ask, and prove who we are."""

    ca_file: FilePath | None = None
    """PEM file of the authorities to trust; unset: the system's."""
    cert_file: FilePath | None = None
    """PEM file of our client certificate, together with `key_file`; unset: none is shown."""
    key_file: FilePath | None = None
    """PEM file of the key of `cert_file`; both are read again when they change."""
    server_name: str | None = None
    """Name expected in the server's certificate and sent as SNI; unset: the host's name."""
    insecure_skip_verify: bool = False
    """True accepts any certificate: for tests only."""


class ServerTlsSection(Section):
    """The certificate we serve with."""

    cert_file: FilePath | None = None
    """PEM file of the certificate to serve with, together with `key_file`; unset: plain HTTP."""
    key_file: FilePath | None = None
    """PEM file of the key of `cert_file`."""


class BasicAuthSection(Section):
    """A user name and a password."""

    username: str = ""
    """User name of basic authentication; empty: none is used."""
    password: SecretStr | None = None
    """Password; better kept in `password_file`."""
    password_file: SecretFilePath | None = None
    """File that holds the password; read again when it changes."""
