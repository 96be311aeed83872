"""Bring the dashboards of an organization to those of this version, and remove them."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from exporter.commands.last9.dashboards import (
    Change,
    dashboard_of,
    may_be_ours,
    planned_changes,
    removals,
    shipped_requests,
)
from exporter.metrics import Failure
from exporter.net.files import SecretFile
from exporter.net.last9 import ApiAccount, Last9Client, json_value, response_failure
from exporter.otlp.transport.http_status import retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from exporter.config.settings import Settings
    from exporter.config.values import SecretText
    from exporter.net.response import HttpResponse

PATH: Final = "/dashboards"
TRIES: Final = 3
"""As often as Last9's own clients."""
RETRY_PAUSE: Final = 1.0
"""Seconds before the second try; doubled for the third."""
MAX_PAUSE: Final = 60.0
"""Seconds that a Retry-After may hold up the command."""
NO_ALERTS: Final = (
    "alerts are not in it: Last9 documents no API for them; apply charts/last9 with Terraform (terraform apply)"
)
_MARKS: Final = {"create": "+", "update": "~", "remove": "-", "obsolete": "-", "unchanged": "=", "conflict": "!"}
_HINTS: Final = {
    "conflict": "a dashboard of this name was not created by this command; rename it, and apply again",
    "obsolete": "this version does not have it; `last9 remove` and `last9 apply` delete it",
}


class Last9Error(Exception):
    """The API of Last9 cannot be used; the message has a hint."""


class Last9NotConfiguredError(Last9Error):
    """A setting that the command needs is not set."""


async def diff(settings: Settings) -> tuple[Change, ...]:
    """Return what `apply` would do. Raises Last9Error."""
    async with Last9Client(_account(settings)) as client:
        return await _plan(client, settings)


async def apply(settings: Settings, on_done: Callable[[Change], None]) -> tuple[Change, ...]:
    """Create and update dashboards, and call a function after each; return the plan. Raises Last9Error.

    A dashboard of ours that this version does not have stays: deleting needs a token of another scope.
    """
    async with Last9Client(_account(settings)) as client:
        changes = await _plan(client, settings)
        for change in changes:
            if change.action == "create":
                await _call(client, "POST", f"{PATH}/", change.request)
            elif change.action == "update":
                await _call(client, "PUT", _path_of(change.id), change.request)
            else:
                continue
            on_done(change)
        return changes


async def remove(settings: Settings, on_done: Callable[[Change], None]) -> tuple[Change, ...]:
    """Delete every dashboard that `apply` created. Raises Last9Error."""
    deleter_account = _account(settings, "delete_refresh_token")
    async with Last9Client(_account(settings)) as client, Last9Client(deleter_account) as deleter:
        changes = tuple(removals(await _existing(client, settings)))
        for change in changes:
            await _call(deleter, "DELETE", _path_of(change.id))
            on_done(change)
        return changes


def change_lines(changes: Sequence[Change]) -> Iterator[str]:
    """Yield the lines that show a plan."""
    for change in changes:
        hint = f": {_HINTS[change.action]}" if change.action in _HINTS else ""
        yield f"{_MARKS[change.action]} {change.action} {change.name}{hint}"
        yield from (f"    {difference}" for difference in change.differences)


def _account(settings: Settings, name: str = "refresh_token") -> ApiAccount:
    section = settings.last9
    file: Path | None = getattr(section, f"{name}_file")
    text: SecretText | None = getattr(section, name)
    setting = f"last9.{name}_file" if file or not text else f"last9.{name}"
    if file is None and text is None:
        raise Last9NotConfiguredError(f"{setting} is not set; set it to a file with a refresh token of Last9")
    read = SecretFile(file).read if file else partial(_secret, text)
    return ApiAccount(read, section.address or "", section.organization, setting)


def _secret(text: SecretText | None) -> str:
    return text.text if text else ""


async def _plan(client: Last9Client, settings: Settings) -> tuple[Change, ...]:
    return tuple(planned_changes(shipped_requests(), await _existing(client, settings)))


async def _existing(client: Last9Client, settings: Settings) -> list[Mapping[str, Any]]:
    """Read every dashboard that has a name or a tag of ours."""
    if not settings.last9.region:
        raise Last9NotConfiguredError(
            "last9.region is not set; set it to the region of the cluster, such as ap-south-1"
        )
    entries = await _call(client, "GET", PATH)
    if not isinstance(entries, list):
        raise Last9Error("the API returns no list of dashboards; check last9.address")
    ids = [
        str(dashboard_of(entry).get("id", ""))
        for entry in entries
        if isinstance(entry, dict) and may_be_ours(entry, shipped_requests())
    ]
    query = f"?region={quote(settings.last9.region)}"
    documents = [await _call(client, "GET", _path_of(dashboard_id) + query) for dashboard_id in ids]
    return [document for document in documents if isinstance(document, dict) and document]


def _path_of(dashboard_id: str) -> str:
    return f"{PATH}/{quote(dashboard_id, safe='')}"


async def _call(client: Last9Client, method: str, path: str, document: object = None) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON of a response, {} for a dashboard that is not there. Raises Last9Error.

    A request that creates is not sent again after a failure that may have come after its success: the next `apply`
    finds what was created.
    """
    for attempt in range(TRIES):
        response = await client.send(method, path, document)
        pause = _pause(response, method, attempt)
        if pause is None or attempt == TRIES - 1:
            break
        await asyncio.sleep(pause)
    if isinstance(response, Failure):
        raise Last9Error(response.message)
    if response.status == HTTPStatus.NOT_FOUND and method in {"GET", "DELETE"} and path != PATH:
        return {}
    if response.status >= HTTPStatus.MULTIPLE_CHOICES:
        setting = "last9.delete_refresh_token_file" if method == "DELETE" else "last9.refresh_token_file"
        raise Last9Error(response_failure(response, f"{method} {path.partition('?')[0]}", setting).message)
    return json_value(response)


def _pause(response: HttpResponse | Failure, method: str, attempt: int) -> float | None:
    """Return the seconds to wait before the request is sent again, None if it is not."""
    backoff = RETRY_PAUSE * 2**attempt
    if isinstance(response, Failure):
        # Busy is the exchange of the token, before the request.
        is_unsent = response.reason == "busy"
        return backoff if is_unsent or (method != "POST" and response.reason in {"timeout", "unreachable"}) else None
    if response.status == HTTPStatus.TOO_MANY_REQUESTS or (
        response.status >= HTTPStatus.INTERNAL_SERVER_ERROR and method != "POST"
    ):
        wait = retry_after(response.headers.get("retry-after", ""), time.time()) or backoff
        return min(wait, MAX_PAUSE)
    return None
