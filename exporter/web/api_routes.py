"""/api/rollouts with filters, /api/status and /api/openapi.json; a wrong parameter is an error, unlike on the pages."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from aiohttp import web

from exporter.web.model import FleetQuery, SortKey, Urgency
from exporter.web.openapi import MAX_LIMIT, ROLLOUT_MEMBERS, document
from exporter.web.page_routes import SharedPages
from exporter.web.pages.query import MAX_TEXT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from exporter.web.shared_page import SharedPage

    Send = Callable[[web.Request, SharedPage, Mapping[str, str]], Awaitable[web.StreamResponse]]

Word = TypeVar("Word", bound=StrEnum)
JSON_TYPE: Final = "application/json; charset=utf-8"
DEFAULT_LIMIT: Final = 100
MAX_OFFSET: Final = 1_000_000
"""More than any fleet has."""


@dataclass(frozen=True, slots=True)
class RolloutsQuery:
    """Which rollouts a client asks for: those of `fleet` from `offset` on, at most `limit`; no `fields` means all."""

    fleet: FleetQuery = field(default_factory=FleetQuery)
    offset: int = 0
    limit: int = DEFAULT_LIMIT
    fields: tuple[str, ...] = ()


class ApiProvider(Protocol):
    """Returns JSON values at the moment of a call."""

    async def matching_rollouts(self, query: RolloutsQuery) -> Mapping[str, object]:
        """Return the rollouts that pass a query, and how many there are."""

    async def status(self) -> Mapping[str, object]:
        """Return the state of the exporter itself."""


class ApiRoutes:
    """Answers that are computed once a second at most, for all who ask the same."""

    def __init__(self, provider: ApiProvider, version: Callable[[], object], send: Send) -> None:
        self._provider = provider
        self._shared = SharedPages(version)
        self._send = send

    async def rollouts(self, request: web.Request) -> web.StreamResponse:
        """Send the rollouts that pass the query."""
        try:
            query = rollouts_query(request.query)
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        return await self._answer(request, query, lambda: self._provider.matching_rollouts(query))

    async def status(self, request: web.Request) -> web.StreamResponse:
        """Send the state of the exporter."""
        return await self._answer(request, "status", self._provider.status)

    async def openapi(self, _: web.Request) -> web.Response:
        """Send the description of the API."""
        return web.json_response(document())

    async def _answer(
        self, request: web.Request, key: object, read: Callable[[], Awaitable[Mapping[str, object]]]
    ) -> web.StreamResponse:
        async def render() -> Iterable[bytes]:
            return (json.dumps(await read(), allow_nan=False).encode(),)

        return await self._send(request, self._shared.get(key, render), {"Content-Type": JSON_TYPE})


def rollouts_query(parameters: Mapping[str, str]) -> RolloutsQuery:
    """Parse the query of /api/rollouts. Raises ValueError with a message for the client."""
    state = parameters.get("state", "")
    return RolloutsQuery(
        FleetQuery(
            text=_text(parameters, "q"),
            namespace=_text(parameters, "namespace"),
            urgency=_word(Urgency, "state", state) if state else None,
            sort=_word(SortKey, "sort", parameters.get("sort") or SortKey.NAME.value),
        ),
        offset=_number(parameters, "offset", 0, (0, MAX_OFFSET)),
        limit=_number(parameters, "limit", DEFAULT_LIMIT, (1, MAX_LIMIT)),
        fields=_fields(parameters.get("fields", "")),
    )


def _text(parameters: Mapping[str, str], name: str) -> str:
    text = parameters.get(name, "")
    if len(text) > MAX_TEXT:
        raise ValueError(f"{name} has to have at most {MAX_TEXT} characters")
    return text


def _word(words: type[Word], name: str, text: str) -> Word:
    try:
        return words(text)
    except ValueError:
        raise ValueError(f"{name} has to be {', '.join(word.value for word in words)}") from None


def _number(parameters: Mapping[str, str], name: str, default: int, bounds: tuple[int, int]) -> int:
    text, (lowest, highest) = parameters.get(name, str(default)), bounds
    # Python's int() takes underlines, spaces, and digits of other scripts.
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(highest))
    if not is_number or not lowest <= int(text) <= highest:
        raise ValueError(f"{name} has to be a number from {lowest} to {highest}")
    return int(text)


def _fields(text: str) -> tuple[str, ...]:
    names = dict.fromkeys(filter(None, text.split(",")))
    if not ROLLOUT_MEMBERS.keys() >= names.keys():
        raise ValueError(f"fields has to be a list of {', '.join(ROLLOUT_MEMBERS)}, with commas in between")
    return tuple(names)
