"""Certificate files → whom we trust and how we prove who we are, over TLS; read again when one of them changes."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from exporter.net.files import Reread

if TYPE_CHECKING:
    from pathlib import Path


class TlsFiles(Protocol):
    """Paths of the PEM files of a TLS client, as a section of the settings has them."""

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
class Proof:
    """One reading of the files, for each who wants it his way: Python's TLS a context, gRPC the PEM texts.

    `authorities` are those of `ca_file`; `chain` and `key` are our certificate; None for a file that is not set.
    """

    context: ssl.SSLContext
    authorities: bytes | None = None
    chain: bytes | None = None
    key: bytes | None = field(default=None, repr=False)

    @property
    def roots(self) -> bytes | None:
        """Return whom we trust: without a `ca_file` the system's authorities, where gRPC has a list of its own."""
        known = () if self.authorities else self.context.get_ca_certs(binary_form=True)
        return self.authorities or "".join(map(ssl.DER_cert_to_PEM_cert, known)).encode() or None


class Trust:
    """The TLS of a section of the configuration, as its files are now."""

    def __init__(self, tls: TlsFiles) -> None:
        self.server_name = tls.server_name
        files = (file for file in (tls.ca_file, tls.cert_file, tls.key_file) if file is not None)
        self._proof = Reread(lambda: _proof(tls), *files)

    def context(self) -> ssl.SSLContext:
        """Return the context for the files as they are now. Raises OSError and ValueError, without a secret."""
        return self.proof().context

    def proof(self) -> Proof:
        """Return the same object for as long as the files are the same. Raises OSError and ValueError."""
        return self._proof.now()

    def changed(self) -> bool:
        """Return whether the files are others than they were last."""
        return self._proof.changed()


def _proof(tls: TlsFiles) -> Proof:
    texts = [None if file is None else file.read_bytes() for file in (tls.ca_file, tls.cert_file, tls.key_file)]
    return Proof(_context(tls), *texts)


def _context(tls: TlsFiles) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except ssl.SSLError:
        raise ValueError(f"{tls.ca_file} holds no PEM certificate") from None
    # Python 3.13 turns it on; authorities made by Kubernetes often have no key identifier, and Go's clients take them.
    context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file is not None:
        _show(context, tls.cert_file, tls.key_file)
    return context


def _show(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError:
        raise ValueError(f"{cert} and {key or 'it'} are no PEM certificate and its key") from None


def _no_password() -> str:
    raise ValueError("the private key is encrypted; give one without a password")
