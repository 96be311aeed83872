"""A stand-in of Last9's API, from its documentation and its own clients: access tokens that expire, and dashboards."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

Json = dict[str, Any]

ORGANIZATION: Final = "acme"
WRITE_TOKEN, DELETE_TOKEN = "write-refresh-token", "delete-refresh-token"
SERVER_FIELDS: Final = {"created_at": 1_780_000_000, "created_by": "9b2f", "readonly": False}


def jwt(**claims: object) -> str:
    """Return a token with claims; its signature is not one."""
    parts = ({"alg": "none"}, claims)
    return ".".join((*(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), "sig"))


@dataclass
class Last9Api:
    """The dashboards of an organization, and the faults to simulate.

    `faults` are statuses of the next requests, one each: None for a success; 0 closes the connection after the request
    took effect.
    """

    lifetime: float = 86_400.0
    faults: list[int | None] = field(default_factory=list)
    retry_after: str = "0"
    dashboards: dict[str, Json] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    exchanges: int = 0
    address: str = ""
    events: list[bytes] = field(default_factory=list)
    """The bodies of all change events that were accepted, repeated ones as well."""
    valid: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Scope and end of each access token."""
    _ids: Any = field(default_factory=lambda: count(1))

    def add(self, name: str, *tags: str) -> str:
        """Add a dashboard of somebody; return its id."""
        dashboard_id = f"other-{next(self._ids)}"
        dashboard = {"id": dashboard_id, "name": name, "panels": [], "variables": []}
        self.dashboards[dashboard_id] = {"dashboard": dashboard, "metadata": {"_category": "custom", "tags": [*tags]}}
        return dashboard_id

    async def exchange(self, request: web.Request) -> web.Response:
        refresh_token = (await request.json()).get("refresh_token")
        scope = {WRITE_TOKEN: "write", DELETE_TOKEN: "delete"}.get(refresh_token)
        if scope is None:
            return web.json_response({"error": f"invalid refresh token {refresh_token}"}, status=401)
        self.exchanges += 1
        token, end = jwt(organization_slug=ORGANIZATION, n=self.exchanges), time.time() + self.lifetime
        self.valid[token] = (scope, end)
        return web.json_response({"access_token": token, "expires_at": int(end), "type": "Bearer"})

    def refusal(self, request: web.Request, scope: str) -> web.Response | None:
        token = request.headers.get("X-LAST9-API-TOKEN", "").removeprefix("Bearer ")
        allowed, end = self.valid.get(token, ("", 0.0))
        if time.time() >= end:
            return web.json_response({"error": "token expired"}, status=401)
        return None if allowed == scope else web.json_response({"error": "scope"}, status=403)

    async def list_all(self, request: web.Request) -> web.Response:
        listed = [
            {"id": key, "name": each["dashboard"]["name"], "metadata": each["metadata"]}
            for key, each in self.dashboards.items()
        ]
        return self.refusal(request, "write") or web.json_response(listed)

    async def get(self, request: web.Request) -> web.Response:
        if "region" not in request.query:
            return web.json_response({"error": "region is required"}, status=400)
        document = self.dashboards.get(request.match_info["id"])
        refused = self.refusal(request, "write")
        return refused or (web.json_response(document) if document else web.Response(status=404))

    async def create(self, request: web.Request) -> web.Response:
        if refused := self.refusal(request, "write"):
            return refused
        return web.json_response(self._store(f"id-{next(self._ids)}", await request.json()))

    async def update(self, request: web.Request) -> web.Response:
        key = request.match_info["id"]
        if refused := self.refusal(request, "write"):
            return refused
        if key not in self.dashboards:
            return web.Response(status=404)
        return web.json_response(self._store(key, await request.json()))

    async def delete(self, request: web.Request) -> web.Response:
        if refused := self.refusal(request, "delete"):
            return refused
        return web.Response(status=204 if self.dashboards.pop(request.match_info["id"], None) else 404)

    def _store(self, key: str, document: Json) -> Json:
        dashboard = document["dashboard"]
        panels = [self._panel(panel) for panel in dashboard["panels"]]
        stored = {**dashboard, **SERVER_FIELDS, "id": key, "panels": panels}
        self.dashboards[key] = {"dashboard": stored, "metadata": document["metadata"]}
        return self.dashboards[key]

    def _panel(self, panel: Json) -> Json:
        """Return a panel as the API returns it: with an id, without empty values, without what version 0 drops."""
        dropped_keys = () if panel.get("version") else ("telemetry", "query_type")
        queries = [
            {name: value for name, value in query.items() if value not in ("", None) and name not in dropped_keys}
            for query in panel["queries"]
        ]
        return {"id": f"panel-{next(self._ids)}", "datasource_id": "", **panel, "queries": queries}

    async def change_event(self, request: web.Request) -> web.Response:
        if refused := self.refusal(request, "write"):
            return refused
        self.events.append(await request.read())
        return web.json_response({})

    async def fault(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path.partition('/organizations/acme')[2] or request.path}")
        status = self.faults.pop(0) if self.faults else None
        if status:
            return web.Response(status=status, headers={"Retry-After": self.retry_after}, text="try again")
        response: web.StreamResponse = await handler(request)
        if status == 0 and request.transport:
            request.transport.abort()
        return response


@asynccontextmanager
async def serve(api: Last9Api) -> AsyncIterator[Last9Api]:
    """Serve the stand-in on loopback."""

    @web.middleware
    async def fault(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        return await api.fault(request, handler)

    async def accept(_: web.Request) -> web.Response:
        return web.Response()

    base = f"/api/v4/organizations/{ORGANIZATION}/dashboards"
    application = web.Application(middlewares=[fault])
    application.add_routes([
        web.post("/api/v4/oauth/access_token", api.exchange),
        web.put(f"/api/v4/organizations/{ORGANIZATION}/change_events", api.change_event),
        web.post("/{other:hook|api/annotations|v1/logs}", accept),
        web.get(base, api.list_all),
        web.post(f"{base}/", api.create),
        web.get(f"{base}/{{id}}", api.get),
        web.put(f"{base}/{{id}}", api.update),
        web.delete(f"{base}/{{id}}", api.delete),
    ])  # fmt: skip # a table
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield api
    finally:
        await runner.cleanup()
