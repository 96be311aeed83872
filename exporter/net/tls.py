"""TLS of a client: certificate files → an SSLContext or PEM bytes, loaded again when a file changes."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from exporter.net.files import ReloadingFile

if TYPE_CHECKING:
    from pathlib import Path

_STRICT: Final = ssl.VerifyFlags.VERIFY_X509_STRICT
"""Python 3.13 sets this flag. Authorities made by Kubernetes often have no key identifier; Go's clients accept them."""


class TlsFiles(Protocol):
    """Paths of the PEM files of a TLS client; a section of the settings fits."""

    @property
    def ca_file(self) -> Path | None:
        """Authorities to trust; None for the system's."""

    @property
    def cert_file(self) -> Path | None:
        """Client certificate; None for no client certificate."""

    @property
    def key_file(self) -> Path | None:
        """Private key of `cert_file`."""

    @property
    def server_name(self) -> str | None:
        """Name to verify and to send as SNI; None for the host's name."""

    @property
    def insecure_skip_verify(self) -> bool:
        """Whether any server certificate is accepted."""


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """TLS files loaded once: an `SSLContext` for aiohttp, PEM bytes for gRPC; None for a file that is not set."""

    context: ssl.SSLContext
    ca_pem: bytes | None = None
    cert_pem: bytes | None = None
    key_pem: bytes | None = field(default=None, repr=False)

    @property
    def root_ca_pem(self) -> bytes | None:
        """Authorities to trust: without a `ca_file` the system's, where gRPC would use a list that it ships."""
        system_roots = () if self.ca_pem else self.context.get_ca_certs(binary_form=True)
        return self.ca_pem or "".join(map(ssl.DER_cert_to_PEM_cert, system_roots)).encode() or None


class ClientTlsLoader(ReloadingFile[TlsMaterial]):
    """The TLS of one client, as its files are now; `load` raises OSError and ValueError, whose text has no secret."""

    def __init__(self, tls: TlsFiles) -> None:
        self.server_name = tls.server_name
        super().__init__(lambda: _load_material(tls), tls.ca_file, tls.cert_file, tls.key_file)


def _load_material(tls: TlsFiles) -> TlsMaterial:
    # The files are read before OpenSSL reads them, whose error for a missing file does not name it.
    texts = [None if file is None else file.read_bytes() for file in (tls.ca_file, tls.cert_file, tls.key_file)]
    return TlsMaterial(_create_context(tls), *texts)


class _LazyContext(ssl.SSLContext):
    """A context that reads the system's authorities with its first connection."""

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:  # noqa: ANN401 - as SSLContext
        if not self.cert_store_stats()["x509"]:
            self.load_default_certs()
        return super().wrap_bio(*arguments, **options)


def lazy_system_context() -> ssl.SSLContext:
    """Return a context that trusts the system's authorities, and reads them only if it is used."""
    return _LazyContext(ssl.PROTOCOL_TLS_CLIENT)


@cache
def _system_context() -> ssl.SSLContext:
    """Return the context of all clients without TLS files: the system's authorities take 2 MB."""
    context = ssl.create_default_context()
    context.verify_flags &= ~_STRICT
    return context


def _create_context(tls: TlsFiles) -> ssl.SSLContext:
    if not (tls.ca_file or tls.cert_file or tls.insecure_skip_verify):
        return _system_context()
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except ssl.SSLError:
        raise ValueError(f"{tls.ca_file} holds no PEM certificate") from None
    context.verify_flags &= ~_STRICT
    if tls.insecure_skip_verify:
        context.check_hostname = False  # first: while it is set, ssl refuses CERT_NONE
        context.verify_mode = ssl.CERT_NONE
    try:
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file, password=reject_encrypted_key)
    except ssl.SSLError:
        key = tls.key_file or "the key in it"
        raise ValueError(f"{tls.cert_file} and {key} are not a PEM certificate and its key") from None
    return context


def reject_encrypted_key() -> str:
    """Raise ValueError: OpenSSL calls this for the password of an encrypted key, instead of asking on the terminal."""
    raise ValueError("the private key is encrypted; use one without a password")
