"""A healthy world on loopback: two controllers, kube-state-metrics, rollout state and an endpoint; a test breaks it."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from exporter.commands.doctor.examine import examine
from exporter.commands.doctor.table import diagnose
from exporter.config import ConfigError, load
from exporter.demo.servers import ARGO_TYPE, KUBE_TYPE
from exporter.demo.simulator.cluster import RESOURCES
from exporter.demo.simulator.scenario import Scenario
from exporter.net.auth import basic_auth
from tests.otlp.backend import Backend

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from exporter.commands.doctor.model import DoctorFinding, Examination
    from exporter.config import LoadedConfig
    from exporter.config.errors import ConfigIssue

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

SECRET = "hush4711"
CREDENTIAL = basic_auth("user", SECRET)
SETTLE = 0.05


@dataclass(frozen=True)
class Pages:
    """The text of every page of a healthy cluster."""

    leader: str
    standby: str
    kube: str
    state: str


def healthy_pages() -> Pages:
    cluster = Scenario(time.time()).cluster
    texts = [(cluster.argo_page(name) or b"").decode() for name in cluster.controllers.by_name]
    leader, standby = sorted(texts, key=lambda text: "rollout_info{" not in text)
    kube = cluster.kube_state_metrics_page(resources=RESOURCES).decode()
    return Pages(leader, standby, kube, cluster.state_page(details=True).decode())


def answer(text: str | bytes = b"", status: int = 200, kind: str = KUBE_TYPE, **headers: str) -> Handler:
    """Return a handler that always sends this; header names are written with _ for -."""
    body = text.encode() if isinstance(text, str) else text
    names = {name.replace("_", "-"): value for name, value in headers.items()}

    async def respond(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers={"Content-Type": kind, **names})

    return respond


def in_turn(*handlers: Handler) -> Handler:
    """Return a handler that answers as each of these, one after another, and then as the last."""
    left = list(handlers)

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request)

    return respond


@asynccontextmanager
async def serve(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve on a free port; yield `host:port`."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def load_valid_part(
    environment: dict[str, str], settings: dict[str, Any]
) -> tuple[LoadedConfig, tuple[ConfigIssue, ...]]:
    """Load settings as the command does: what is valid of them, and the errors."""
    try:
        return load(None, environment, settings), ()
    except ConfigError as error:
        if error.valid_part is None:
            raise
        return error.valid_part, error.issues


@dataclass
class World:
    """What the doctor looks at: handlers by source, the endpoint, and settings on top."""

    pages: Pages
    argo: list[Handler] = field(default_factory=list)
    kube: list[Handler] = field(default_factory=list)
    state: list[Handler] = field(default_factory=list)
    backend: Backend = field(default_factory=Backend)
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, Sequence[str]] = field(default_factory=dict)
    mount_table: Path | None = None

    def __post_init__(self) -> None:
        self.argo = [answer(self.pages.leader, kind=ARGO_TYPE), answer(self.pages.standby, kind=ARGO_TYPE)]
        self.kube = [answer(self.pages.kube)]
        self.state = [answer(self.pages.state)]

    async def resolve(self, host: str) -> Sequence[str]:
        """Resolve a name as the test asks."""
        if host not in self.addresses:
            raise OSError(-2, "Name or service not known")
        return self.addresses[host]

    async def examine(self) -> Examination:
        """Serve everything, and look at it."""
        async with AsyncExitStack() as stack:
            defaults: dict[str, Any] = {"attributes": {"k8s.cluster.name": "c"}, "web.listen": "127.0.0.1:0"}
            sources = {"argo": self.argo, "kube_state_metrics": self.kube, "rollout_state": self.state}
            for name, handlers in sources.items():
                defaults[f"{name}.targets"] = [await stack.enter_async_context(serve(each)) for each in handlers]
            await self.backend.start()
            stack.push_async_callback(self.backend.stop)
            defaults["otlp.endpoint"] = self.backend.url.removesuffix("/v1/metrics")
            defaults["otlp.headers"] = {"authorization": CREDENTIAL}
            loaded, errors = load_valid_part(self.environment, defaults | self.settings)
            options = {"resolver": self.resolve, "mount_table": self.mount_table, "settle": SETTLE}
            return await examine(loaded.settings, loaded.warnings, errors, **options)  # type: ignore[arg-type]

    async def findings(self) -> list[DoctorFinding]:
        """Look, and return what is found."""
        return list(diagnose(await self.examine()))
