"""What a person has of a credential → the header that is sent, or user and password. Errors show nothing of it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credential:
    """User and password of Basic authentication; neither shows in a repr."""

    user: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """Return the value of the header Authorization."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


def credential(text: str) -> Credential:
    """Read `user:password`, its base64, or the whole header `Basic …`, broken lines and white space aside.

    Raises ValueError for what is none of these.
    """
    joined = "".join(text.split())
    words = text.split(None, 1)
    encoded = "".join(words[1].split()) if len(words) > 1 and words[0].lower() == "basic" else ""
    pair = _decoded(encoded) if encoded else _decoded(joined) or text.strip()
    user, colon, password = (pair or "").partition(":")
    if not (user and colon and password) or not f"{user}{password}".isprintable():
        raise ValueError(
            "the credential is neither user:password, nor its base64, nor Basic and that; at Last9 user is the cluster"
            " id, password a read token of that cluster"
        )
    return Credential(user, password)


def _decoded(text: str) -> str | None:
    """Return the pair that base64 holds, None when it holds none."""
    try:
        pair = base64.b64decode(text, validate=True).decode().strip()
    except (binascii.Error, ValueError):
        return None
    return pair if ":" in pair else None
