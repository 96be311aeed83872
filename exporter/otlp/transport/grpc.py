"""One call of OTLP's Export over gRPC with a ready request; whatever comes of it is a value, never an exception.

Imported only where the protocol is grpc: the library takes 9 MB.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any, Final

import grpc  # type: ignore[import-untyped] # it ships no types

from exporter.otlp.encode.protobuf import unpacked
from exporter.otlp.result import Endless, Outcome, Unfit
from exporter.otlp.transport.credentials import LONGEST_ANSWER, USER_AGENT, Credential, proxy
from exporter.otlp.transport.grpc_status import EXHAUSTED, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from exporter.net.tls import Proof
    from exporter.otlp.transport.credentials import Destination

METHOD: Final = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
OPTIONS: Final = (
    ("grpc.primary_user_agent", USER_AGENT),
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.min_reconnect_backoff_ms", 2500),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", LONGEST_ANSWER),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)
"""No retry but ours; a connection, with its TLS, must come about in 2.5 s, which gRPC calls its least back-off."""

_DETAILS: Final = "grpc-status-details-bin"
_OURS: Final = "CLIENT: "
_KEY: Final = re.compile(r"[0-9a-z_.-]+")
_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_NOT_METADATA: Final = {"content-type", "content-encoding", "user-agent", "host", "te", "connection"}


class GrpcCall:
    """Calls one destination, one request at a time over a kept channel; use it with `async with`.

    A channel that lost its connection is not used again, so that no back-off of the library's is added to ours.
    """

    def __init__(self, destination: Destination) -> None:
        self._to = destination
        self._credential = Credential(destination)
        self._channel: Any = None
        self._shown: Proof | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._hang_up()

    def renewed(self) -> bool:
        """Return whether there is another credential or certificate than the one last used."""
        return self._credential.changed()

    async def post(self, body: bytes) -> Outcome:
        """Send a request, compressed or not: gRPC compresses the message itself (E17)."""
        try:
            metadata = tuple(_metadata(self._credential.headers()))
            await self._connect(self._credential.tls())
        except ValueError as error:
            return Unfit(str(error))
        compression = grpc.Compression.Gzip if self._to.gzip else grpc.Compression.NoCompression
        export = self._channel.unary_unary(METHOD)
        try:
            call = export(_plain(body), timeout=self._to.timeout or None, metadata=metadata, compression=compression)
            return Reply(body=await call)
        except grpc.aio.AioRpcError as error:
            if self._channel.get_state() is not grpc.ChannelConnectivity.READY or _unanswered(error):
                await self._hang_up()
            return _outcome(error)

    async def _connect(self, proof: Proof | None) -> None:
        """Open a channel unless there is one that shows the certificates of now."""
        if self._channel is not None and self._shown is proof:
            return
        await self._hang_up()
        options = [*OPTIONS, *self._proxy(), *self._name()]
        if proof is None:
            self._channel = grpc.aio.insecure_channel(self._to.endpoint, options)
        else:
            tls = grpc.ssl_channel_credentials(proof.roots, proof.key, proof.chain)
            self._channel = grpc.aio.secure_channel(self._to.endpoint, tls, options)
        self._shown = proof

    async def _hang_up(self) -> None:
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close()

    def _proxy(self) -> Iterator[tuple[str, object]]:
        address = proxy("https" if self._to.trust else "http", self._to.endpoint.rpartition(":")[0].strip("[]"))
        yield ("grpc.http_proxy", address) if address else ("grpc.enable_http_proxy", 0)

    def _name(self) -> Iterator[tuple[str, object]]:
        if self._to.trust is not None and self._to.trust.server_name:
            yield "grpc.ssl_target_name_override", self._to.trust.server_name


def _metadata(headers: dict[str, str]) -> Iterator[tuple[str, str | bytes]]:
    """Turn headers into metadata (E13), without those that belong to HTTP. Raises ValueError, without the value."""
    for name, value in headers.items():
        if not _KEY.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"the header {name} is no gRPC metadata: letters, digits and -_. only; see otlp.headers")
        if name not in _NOT_METADATA:
            yield name, value.encode() if name.endswith("-bin") else value


def _plain(body: bytes) -> bytes:
    """Return a body unpacked; one that cannot be goes as it is, for the server to say what it is."""
    try:
        return unpacked(body)
    except (OSError, EOFError, zlib.error):
        return body


def _unanswered(error: Any) -> bool:  # noqa: ANN401 - gRPC ships no types
    return error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def _outcome(error: Any) -> Outcome:  # noqa: ANN401 - gRPC ships no types
    code, message = error.code().name, error.details() or ""
    if code == EXHAUSTED and _OURS in message:
        return Endless(code)
    details = next((value for key, value in error.trailing_metadata() or () if key == _DETAILS), b"")
    return Reply(code, message=message, details=details)
