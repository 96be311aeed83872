"""HTTP of destinations: one request with a body, and what its response means."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp
from yarl import URL

from exporter import log
from exporter.net.errors import ResponseTooLargeError, error_reason
from exporter.net.files import ReloadingFile, SecretFile
from exporter.net.http import SessionClient, open_session, read_response
from exporter.net.proxy import environment_proxy
from exporter.net.response import body_text, status_text
from exporter.otlp.result import MAX_MESSAGE_LENGTH, Accepted, Blocked, Permanent, Retryable, redacted_excerpt
from exporter.otlp.transport.http_status import is_success, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from exporter.config.values import SecretText
    from exporter.net.response import HttpResponse
    from exporter.net.tls import ClientTlsLoader
    from exporter.otlp.result import RequestResult

_RETRYABLE: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_BLOCKING: Final = frozenset({401, 403, 404, 407, 410})
"""A credential or an address that a person has to correct; a redirect is one, too."""
_MAX_RESPONSE_BYTES: Final = 64 * 1024
"""Nothing of a response is needed but its status, and some words for the log."""


class ReloadedSecret:
    """A secret of the settings: a file, read again when it changes, or a text; `read` returns it, "" for none.

    `read` raises OSError and ValueError.
    """

    def __init__(self, file: Path | None, text: SecretText | None) -> None:
        value = text.text if text is not None else ""
        reloading = ReloadingFile(lambda: _redacted(SecretFile(file).read() if file is not None else value), file)
        self.read: Callable[[], str] = reloading.load
        self.changed = reloading.changed


def _redacted(secret: str) -> str:
    """Return a secret after its registration: no log shows it from now on."""
    if len(secret) >= log.MIN_SECRET_LENGTH:
        log.REDACTOR.register(secret, rotating=True)
    return secret


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """Where to post, with which headers of a body, and the settings that a message names.

    `url` and `headers` raise OSError and ValueError; `changed` returns whether a file that they read has changed.
    """

    url: Callable[[], str]
    headers: Callable[[bytes], Mapping[str, str]]
    changed: Callable[[], bool]
    address_setting: str
    credential_setting: str
    timeout: float
    tls: ClientTlsLoader | None = None


class HttpMessageClient(SessionClient):
    """Posts bodies to one target; use it with `async with`."""

    def __init__(self, target: HttpTarget) -> None:
        super().__init__()
        self._target = target
        self.credentials_changed = target.changed

    def _open_session(self) -> aiohttp.ClientSession:
        return open_session(timeout=self._target.timeout)

    async def post(self, body: bytes) -> RequestResult:
        """Send a body; never raises."""
        target = self._target
        try:
            url = URL(target.url())
        except (OSError, ValueError) as error:
            return Blocked(f"{target.address_setting} cannot be used: {error}", unsent=True)
        try:
            headers = target.headers(body)
            tls = target.tls.load().context if target.tls is not None else True
        except (OSError, ValueError) as error:
            return Blocked(f"{target.credential_setting} cannot be used: {error}", unsent=True)
        try:
            async with self._session.post(
                url,
                data=body,
                headers=headers,
                allow_redirects=False,  # the credential would go with it
                ssl=tls,
                server_hostname=target.tls.server_name if target.tls is not None else None,
                proxy=environment_proxy(url.scheme, url.host or "", url.port),
            ) as response:
                answer = await read_response(response, _MAX_RESPONSE_BYTES)
        except ResponseTooLargeError:
            return Accepted(1) if is_success(response.status) else Retryable("its response is too large")
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, UnicodeError):  # of a host name that is too long
            return Blocked(f"{target.address_setting} is no URL", unsent=True)
        except (aiohttp.ClientError, OSError) as error:
            return Retryable(f"no response ({error_reason(error)}); see {target.address_setting}", unanswered=True)
        return classify_message(answer, time.time(), target.address_setting, target.credential_setting)


def classify_message(
    response: HttpResponse, now: float, address_setting: str, credential_setting: str
) -> RequestResult:
    """Return what the response to a message means; `now` (Unix seconds) is for dates in Retry-After."""
    status = response.status
    if is_success(status):
        return Accepted(1)
    text = redacted_excerpt(body_text(response.body, MAX_MESSAGE_LENGTH))
    message = f"{status_text(status)}{f': {text}' if text else ''}"
    if status in _RETRYABLE or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        wait = retry_after(response.headers.get("retry-after", ""), now)
        return Retryable(message, wait, throttled=status == HTTPStatus.TOO_MANY_REQUESTS)
    if status in _BLOCKING or status < HTTPStatus.BAD_REQUEST:
        setting = credential_setting if status in {401, 403} else address_setting
        return Blocked(f"{message}; see {setting}")
    return Permanent(f"http_{status}", message)
