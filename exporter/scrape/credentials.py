"""Files → what proves who we are and whom we trust; read again whenever one of them changes."""

from __future__ import annotations

import re
import ssl
from base64 import b64encode
from typing import TYPE_CHECKING, Final

from exporter.config.secret import SecretFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporter.config.section import BasicAuth, ClientTls
    from exporter.config.sources import ScrapeSource

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def authorization(section: ScrapeSource) -> Callable[[], str] | None:
    """Return what tells the Authorization header of the moment, None when a section has no credential.

    What is returned raises OSError and ValueError, which show nothing of the secret.
    """
    if section.bearer_token_file is not None:
        token = SecretFile(section.bearer_token_file)
        return lambda: f"Bearer {_one_line(token)}"
    return _basic(section.basic_auth) if section.basic_auth.username else None


def _basic(basic: BasicAuth) -> Callable[[], str]:
    if basic.password_file is not None:
        file = SecretFile(basic.password_file)
        return lambda: _encoded(basic.username, _one_line(file))
    password = basic.password.get_secret_value() if basic.password else ""
    return lambda: _encoded(basic.username, password)


def _encoded(username: str, password: str) -> str:
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"


def _one_line(file: SecretFile) -> str:
    text = file.read()
    if not text:
        raise ValueError(f"{file.path} is empty")
    if _CONTROL.search(text):
        raise ValueError(f"{file.path} has more than one line, or control characters")
    return text


class Trust:
    """The TLS context of a section, made again when one of its files changes."""

    def __init__(self, tls: ClientTls) -> None:
        self._tls = tls
        self._made: tuple[object, ssl.SSLContext] | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context for the files as they are now. Raises OSError and ValueError."""
        files = [file for file in (self._tls.ca_file, self._tls.cert_file, self._tls.key_file) if file is not None]
        stamp = [(now.st_ino, now.st_mtime_ns, now.st_size) for now in (file.stat() for file in files)]
        if self._made is None or self._made[0] != stamp:
            self._made = (stamp, _context(self._tls))
        return self._made[1]


def _context(tls: ClientTls) -> ssl.SSLContext:
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
