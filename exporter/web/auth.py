"""Who may read: basic authentication for all but the probes."""

from __future__ import annotations

import hmac
from base64 import b64encode
from typing import TYPE_CHECKING, Final

from aiohttp import web

from exporter.net.files import SecretFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler, Middleware

    from exporter.config.section import BasicAuth

PROBES: Final = frozenset({"/healthz", "/readyz"})
CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="rollouts-exporter", charset="UTF-8"'}


def admission(settings: BasicAuth) -> Middleware | None:
    """Return what lets in probes and who proves name and password; None when nobody needs to."""
    if not settings.username:
        return None
    password = _password(settings)

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in PROBES:
            return await handler(request)
        try:
            wanted = f"{settings.username}:{password()}"
        except (OSError, ValueError):
            return web.Response(status=503, text="web.basic_auth.password_file cannot be read\n")
        if proves(request.headers.get("Authorization", ""), wanted):
            return await handler(request)
        return web.Response(status=401, text="user name and password needed (web.basic_auth)\n", headers=CHALLENGE)

    return admit


def proves(authorization: str, wanted: str) -> bool:
    """Tell whether an Authorization header says `wanted` (name:password), in a time that tells nothing of it."""
    scheme, _, token = authorization.partition(" ")
    return hmac.compare_digest(_bytes(token.strip()), b64encode(wanted.encode())) and scheme.lower() == "basic"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _password(settings: BasicAuth) -> Callable[[], str]:
    """Return a reading of the password, from its file anew whenever that changes."""
    if settings.password_file is not None:
        return SecretFile(settings.password_file).read
    return settings.password.get_secret_value if settings.password is not None else str
