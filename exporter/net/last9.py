"""A client of Last9's API: a refresh token is exchanged for access tokens, which expire.

Each method returns the HTTP response, whatever its status, or a Failure with a hint.
"""

from __future__ import annotations

import asyncio
import json
import time
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from exporter import log
from exporter.metrics import Failure
from exporter.net.errors import error_reason
from exporter.net.http import SessionClient, open_session, read_response
from exporter.net.proxy import environment_proxy
from exporter.net.response import body_text, excerpt, status_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiohttp

    from exporter.net.response import HttpResponse
    from exporter.net.tls import ClientTlsLoader

API_PATH: Final = "/api/v4"
TOKEN_HEADER: Final = "X-LAST9-API-TOKEN"  # noqa: S105 - the name of a header
TIMEOUT: Final = 30.0
"""Seconds of an exchange; that of Last9's own clients."""
RENEWAL_MARGIN: Final = 300.0
"""Seconds before its end at which an access token is renewed, as Last9's own clients do."""
RENEWAL_PAUSE: Final = 60.0
"""Seconds to the next attempt after an early renewal that failed: some attempts fit into RENEWAL_MARGIN."""
_TEMPORARY: Final = frozenset({"busy", "timeout", "unreachable"})
DEFAULT_LIFETIME: Final = 3600.0
"""Seconds for which a token without an end is used: less than the day that the documentation promises."""
MAX_RESPONSE_BYTES: Final = 16 * 1024 * 1024
"""So that a server cannot fill the memory; Last9's own client reads 5 MiB."""
MAX_QUOTED: Final = 200
"""Characters of a response in a message."""


@dataclass(frozen=True, slots=True)
class ApiAccount:
    """Whose token to use, and where: an empty address or organization is that of the token.

    `refresh_token` is called for each exchange, and raises OSError or ValueError; `setting` is named in messages.
    """

    refresh_token: Callable[[], str] = field(repr=False)
    address: str = ""
    organization: str = ""
    setting: str = "last9.refresh_token_file"
    tls: ClientTlsLoader | None = None


@dataclass(frozen=True, slots=True)
class BusyFailure(Failure):
    """A failure that ends by itself; `retry_after` is the server's header Retry-After, "" for none."""

    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """An access token, its end (Unix seconds), and the address of the organization's API."""

    token: str = field(repr=False)
    expires_at: float
    address: str
    """URL to which paths such as /dashboards are added."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the header of each request."""
        return {TOKEN_HEADER: f"Bearer {self.token}"}


class Last9Client(SessionClient):
    """Sends requests with a valid access token; use it with `async with`."""

    def __init__(self, account: ApiAccount) -> None:
        super().__init__()
        self._account = account
        self._lock = asyncio.Lock()
        self._cached: tuple[str, float, ApiAccess] | None = None
        """The refresh token, when to renew, and the access that it was exchanged for."""

    def _open_session(self) -> aiohttp.ClientSession:
        return open_session(timeout=TIMEOUT)

    async def send(self, method: str, path: str, document: object = None) -> HttpResponse | Failure:
        """Send a request, with an access token that is renewed once if the server does not take it."""
        response = await self._send(method, path, document)
        if not isinstance(response, Failure) and response.status == HTTPStatus.UNAUTHORIZED:
            self._cached = None
            return await self._send(method, path, document)
        return response

    async def _send(self, method: str, path: str, document: object) -> HttpResponse | Failure:
        access = await self.access()
        if isinstance(access, Failure):
            return access
        return await self._exchange(method, access.address + path, access.headers, document)

    async def access(self) -> ApiAccess | Failure:
        """Return a valid access token; while one request renews it, others wait for the result."""
        async with self._lock:
            try:
                refresh_token = self._account.refresh_token()
            except (OSError, ValueError) as error:
                return Failure("credential", f"{self._account.setting} cannot be used: {error}")
            if self._cached and self._cached[0] == refresh_token and time.time() < self._cached[1]:
                return self._cached[2]
            access = await self._renew(refresh_token)
            if isinstance(access, Failure):
                access = self._unexpired(refresh_token, access)
            else:
                lifetime = access.expires_at - time.time()
                renew_at = access.expires_at - min(RENEWAL_MARGIN, lifetime / 2)
                self._cached = (refresh_token, renew_at, access)
            return access

    def _unexpired(self, refresh_token: str, failure: Failure) -> ApiAccess | Failure:
        """Return the access until its end if its renewal failed for now; else the failure."""
        if failure.reason not in _TEMPORARY or self._cached is None or self._cached[0] != refresh_token:
            return failure
        _, _, access = self._cached
        if time.time() >= access.expires_at:
            return failure
        self._cached = (refresh_token, time.time() + RENEWAL_PAUSE, access)
        return access

    async def _renew(self, refresh_token: str) -> ApiAccess | Failure:
        log.register_secrets(refresh_token)
        claims = token_claims(refresh_token)
        base = (self._account.address or _audience(claims)).rstrip("/").removesuffix("/api").removesuffix(API_PATH)
        if not base:
            return Failure(
                "address", f"the address of Last9's API is not in {self._account.setting}; set last9.address"
            )
        response = await self._exchange(
            "POST", f"{base}{API_PATH}/oauth/access_token", {}, {"refresh_token": refresh_token}
        )
        if isinstance(response, Failure):
            return response
        if response.status >= HTTPStatus.BAD_REQUEST:
            return response_failure(response, base, self._account.setting)
        answer = _json_object(response)
        token = answer.get("access_token")
        if not isinstance(token, str) or not token.isprintable() or not token:
            return Failure("address", f"{base} sent no access token; check last9.address")
        log.REDACTOR.register(token, rotating=True)
        claims = {**claims, **token_claims(token)}
        organization = self._account.organization or str(claims.get("organization_slug", ""))
        if not organization:
            return Failure("address", f"{self._account.setting} names no organization; set last9.organization")
        ends = map(_unix_seconds, (answer.get("expires_at"), claims.get("exp"), time.time() + DEFAULT_LIFETIME))
        end = next(end for end in ends if end is not None)
        return ApiAccess(token, end, f"{base}{API_PATH}/organizations/{organization}")

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], document: object
    ) -> HttpResponse | Failure:
        parts = urlsplit(url)
        try:
            async with self._session.request(
                method,
                url,
                # Bytes are sent as they are, so that a retry sends the same.
                data=document if isinstance(document, bytes) else None if document is None else json.dumps(document),
                headers={**headers, "Content-Type": "application/json"},
                # A redirect could take the token to another server.
                allow_redirects=False,
                ssl=self._account.tls.load().context if self._account.tls else True,
                proxy=environment_proxy(parts.scheme, parts.hostname or "", parts.port),
            ) as response:
                return await read_response(response, MAX_RESPONSE_BYTES)
        except TimeoutError:
            return Failure("timeout", f"{parts.netloc} does not respond within {TIMEOUT:g} s; check last9.address")
        except Exception as error:  # noqa: BLE001 - whatever the network raises becomes a Failure
            reason = error_reason(error)
            return Failure("unreachable", f"{parts.netloc} cannot be reached ({reason}); check last9.address")


def token_claims(token: str) -> Mapping[str, Any]:
    """Return the claims of a JWT, which are not verified; empty for any other token."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""  # noqa: PLR2004 - header, payload, signature
    try:
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _unix_seconds(end: object) -> float | None:
    """Return a time in Unix seconds, or in the format of RFC 3339; None for anything else."""
    if isinstance(end, int | float):
        return float(end)
    try:
        return datetime.fromisoformat(str(end)).timestamp()
    except (ValueError, OverflowError):
        return None


def _audience(claims: Mapping[str, Any]) -> str:
    """Return the address of the API that a token names, "" for none."""
    audience = claims.get("aud")
    first = audience[0] if isinstance(audience, list) and audience else audience
    if not isinstance(first, str) or not first:
        return ""
    return first if first.startswith(("https://", "http://")) else f"https://{first}"


def json_value(response: HttpResponse) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON in the body of a response, an empty object if it has none."""
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        return {}


def _json_object(response: HttpResponse) -> Mapping[str, Any]:
    document = json_value(response)
    return document if isinstance(document, dict) else {}


def response_failure(response: HttpResponse, server: str, setting: str) -> Failure:
    """Return what a status that is not a success means, with what the server wrote."""
    text = excerpt(log.REDACTOR.redact(body_text(response.body, MAX_QUOTED)), MAX_QUOTED)
    message = f"{server} responds {status_text(response.status)}{f': {text}' if text else ''}"
    if response.status == HTTPStatus.TOO_MANY_REQUESTS or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return BusyFailure("busy", f"{message}; try again later", response.headers.get("retry-after", ""))
    if response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Failure("credential", f"{message}; check {setting} and its scope")
    return Failure("address", f"{message}; check last9.address and last9.organization")
