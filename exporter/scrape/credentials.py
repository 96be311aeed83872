"""Settings and the files they name → the Authorization header of the moment."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING, Final

from exporter.config.secret import SecretFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config.section import BasicAuth
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
