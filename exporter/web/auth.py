"""Basic authentication for all paths except the probes."""

from __future__ import annotations

import hmac
from base64 import b64encode
from typing import TYPE_CHECKING, Final

from aiohttp import web

from exporter.net.auth import password_reader

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from exporter.config.section import BasicAuthSection

# The kubelet cannot send a credential from a Secret, so probes are open.
PROBE_PATHS: Final = frozenset({"/healthz", "/readyz"})
CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="rollouts-exporter", charset="UTF-8"'}


def basic_auth_middleware(settings: BasicAuthSection) -> Middleware | None:
    """Return a middleware that requires user name and password, except for the probes; None without a user name."""
    if not settings.username:
        return None
    password = password_reader(settings)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in PROBE_PATHS:
            return await handler(request)
        try:
            expected = f"{settings.username}:{password()}"
        except (OSError, ValueError):
            # Not 401: the client's password may be right.
            return web.Response(status=503, text="web.basic_auth.password_file cannot be read\n")
        if credentials_match(request.headers.get("Authorization", ""), expected):
            return await handler(request)
        return web.Response(status=401, text="user name and password required (web.basic_auth)\n", headers=CHALLENGE)

    return middleware


def credentials_match(authorization: str, expected: str) -> bool:
    """Return whether a basic Authorization header has the `expected` "name:password"; compares in constant time."""
    scheme, _, token = authorization.partition(" ")
    # aiohttp decodes the bytes of a header like this; any bytes must be comparable.
    sent = token.strip().encode("utf-8", "surrogateescape")
    return hmac.compare_digest(sent, b64encode(expected.encode())) and scheme.lower() == "basic"
