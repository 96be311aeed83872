"""Authorization headers from user names, passwords and token files. Errors show nothing of a secret."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from exporter.net.files import SecretFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")


class Password(Protocol):
    """A password that no output shows."""

    @property
    def text(self) -> str:
        """The password itself."""


class BasicCredential(Protocol):
    """A user name and a password or the file that holds it; a section of the settings fits."""

    @property
    def username(self) -> str:
        """User name; "" for no authentication."""

    @property
    def password(self) -> Password | None:
        """Password, if `password_file` is None."""

    @property
    def password_file(self) -> Path | None:
        """File that holds the password."""


def basic_auth(username: str, password: str) -> str:
    """Return the Authorization header of basic authentication."""
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"


def password_reader(credential: BasicCredential) -> Callable[[], str]:
    """Return a function that returns the current password. It raises OSError and ValueError for its file."""
    if credential.password_file is not None:
        return SecretFile(credential.password_file).read
    password = credential.password.text if credential.password is not None else ""
    return lambda: password


def authorization(bearer_token_file: Path | None, basic: BasicCredential) -> Callable[[], str] | None:
    """Return a function that returns the current Authorization header, None if there is no credential.

    It raises OSError, and ValueError for a secret that no header can hold: empty, or with control characters.
    """
    if bearer_token_file is not None:
        token = SecretFile(bearer_token_file)
        return lambda: f"Bearer {_read_line(token)}"
    if not basic.username:
        return None
    file = basic.password_file
    password = password_reader(basic) if file is None else partial(_read_line, SecretFile(file))
    return lambda: basic_auth(basic.username, password())


def _read_line(file: SecretFile) -> str:
    text = file.read()
    if not text:
        raise ValueError(f"{file.path} is empty")
    if _CONTROL_CHARACTER.search(text):
        raise ValueError(f"{file.path} has more than one line, or control characters")
    return text
