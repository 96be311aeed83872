"""A gRPC backend: a real server on loopback that replies to each call as a test asks."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped] # it ships no types
from google.protobuf.any_pb2 import Any as Detail
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped] # it ships no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # it ships no types

from .backend import values

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    GrpcReply = Callable[[bytes, Any], Awaitable[bytes]]

SERVICE = "opentelemetry.proto.collector.metrics.v1.MetricsService"


def reply_with(body: bytes = b"") -> GrpcReply:
    async def reply(_: bytes, __: Any) -> bytes:
        return body

    return reply


def fail(code: str, message: str = "", details: bytes = b"") -> GrpcReply:
    """End with a status, its message, and details in a trailer."""

    async def reply(_: bytes, context: Any) -> bytes:
        trailer = (("grpc-status-details-bin", details),) if details else ()
        await context.abort(grpc.StatusCode[code], message, trailer)
        return b""

    return reply


def retry_info(seconds: int, nanos: int = 0) -> bytes:
    info = RetryInfo()
    info.retry_delay.seconds, info.retry_delay.nanos = seconds, nanos
    detail = Detail()
    detail.Pack(info)
    encoded: bytes = Status(code=8, details=[Detail(type_url="other"), detail]).SerializeToString()
    return encoded


async def respond_late(_: bytes, __: Any) -> bytes:
    await asyncio.sleep(30)
    return b""


def refuse_value(bad: float) -> GrpcReply:
    async def reply(body: bytes, context: Any) -> bytes:
        return await fail("INVALID_ARGUMENT", "bad point")(body, context) if bad in values(body) else b""

    return reply


@dataclass
class GrpcBackend:
    """Sends `replies` in turn, then `always`; `accepted_bodies` are the requests that it answered with OK."""

    replies: list[GrpcReply] = field(default_factory=list)
    always: GrpcReply = field(default_factory=reply_with)
    metadata: list[dict[str, str | bytes]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    accepted_bodies: list[bytes] = field(default_factory=list)
    services: tuple[str, ...] = (SERVICE,)
    accepted_by_service: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    port: int = 0
    tls: Any = None
    max_request_bytes: int = 4 * 1024 * 1024
    server: Any = None

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def stored(self) -> list[float]:
        return [value for body in self.accepted_bodies for value in values(body)]

    async def start(self) -> None:
        options = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", self.max_request_bytes))
        self.server = grpc.aio.server(options=options)
        for service in self.services:
            export = grpc.unary_unary_rpc_method_handler(partial(self._export, service))
            self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": export}),))
        address = f"127.0.0.1:{self.port}"
        add = self.server.add_insecure_port
        self.port = self.server.add_secure_port(address, self.tls) if self.tls else add(address)
        await self.server.start()

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop(0)
            self.server = None

    async def _export(self, service: str, body: bytes, context: Any) -> bytes:
        self.bodies.append(body)
        self.peers.append(context.peer())
        self.metadata.append(dict(context.invocation_metadata()))
        reply = self.replies.pop(0) if self.replies else self.always
        response_body = await reply(body, context)
        self.accepted_bodies.append(body)
        self.accepted_by_service[service].append(body)
        return response_body
