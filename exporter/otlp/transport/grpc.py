"""OTLP over gRPC: one Export call of an encoded request. Never raises: errors are returned as an outcome.

Imported only if the protocol is grpc: loading the library takes 9 MB of memory.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import grpc  # type: ignore[import-untyped] # it ships no types

from exporter.net.credential_shape import describe_credential
from exporter.net.gzip import GZIP_ERRORS, gunzip_body
from exporter.net.proxy import environment_proxy
from exporter.otlp.transport.credentials import OTLP_USER_AGENT, RequestCredentials
from exporter.otlp.transport.grpc_status import CREDENTIAL_CODES, RESOURCE_EXHAUSTED, GrpcResponse
from exporter.otlp.transport.response import CredentialRefused, NotSent, ResponseTooLarge, TransportOutcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

    from exporter.net.tls import TlsMaterial
    from exporter.otlp.transport.credentials import Destination

METHODS: Final = {
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
}
CHANNEL_OPTIONS: Final = (
    ("grpc.primary_user_agent", OTLP_USER_AGENT),
    ("grpc.enable_retries", 0),  # the sender retries, and counts every attempt
    ("grpc.service_config_disable_resolution", 1),  # no look-up of TXT records
    ("grpc.use_local_subchannel_pool", 1),  # else a new channel could inherit the back-off of the one before
    ("grpc.min_reconnect_backoff_ms", 2500),  # despite its name also the limit to connect, TLS included
    ("grpc.max_send_message_length", -1),  # otlp.request.bytes limits it
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),  # a peer that vanished is noticed within 25 s
)

_DETAILS_KEY: Final = "grpc-status-details-bin"
_CLIENT_SIDE: Final = "CLIENT: "
"""How gRPC marks an error that it raised itself: RESOURCE_EXHAUSTED then means that the response is too large."""
# What gRPC allows; checked here, so that no error of the library shows a value.
_METADATA_KEY: Final = re.compile(r"[0-9a-z_.-]+")
_METADATA_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_HTTP_HEADERS: Final = {"content-type", "content-encoding", "user-agent", "host", "te", "connection"}
"""Headers that gRPC sets itself."""


class GrpcTransport:
    """Calls one destination, one request at a time over a persistent channel; use it with `async with`.

    A channel that lost its connection is closed, since gRPC would add its own back-off to the sender's.
    """

    def __init__(self, destination: Destination, method: str = METHODS["metrics"]) -> None:
        self._destination = destination
        self._method = method
        self._credentials = RequestCredentials(destination)
        self.credentials_changed = self._credentials.changed
        self._channel: Any = None
        self._tls_in_use: TlsMaterial | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close_channel()

    async def post(self, body: bytes) -> TransportOutcome:
        """Send a request, given compressed or not: gRPC compresses the message itself (E17)."""
        try:
            metadata = tuple(_metadata(self._credentials.headers()))
            await self._open_channel(self._credentials.tls_material())
        except ValueError as error:
            return NotSent(str(error))
        compression = grpc.Compression.Gzip if self._destination.gzip else grpc.Compression.NoCompression
        export = self._channel.unary_unary(self._method)
        timeout = self._destination.timeout or None
        try:
            call = export(_decompressed(body), timeout=timeout, metadata=metadata, compression=compression)
            return GrpcResponse(body=await call)
        except grpc.aio.AioRpcError as error:
            is_ready = self._channel.get_state() is grpc.ChannelConnectivity.READY
            # After a timeout the connection may be dead, although its state is still ready.
            if not is_ready or error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                await self._close_channel()
            outcome = _outcome(error)
        if isinstance(outcome, GrpcResponse) and outcome.code in CREDENTIAL_CODES:
            return CredentialRefused(outcome, describe_credential(self._credentials.headers(), time.time()))
        return outcome

    async def _open_channel(self, tls: TlsMaterial | None) -> None:
        """Open a channel unless the present one uses the current certificates."""
        if self._channel is not None and self._tls_in_use is tls:
            return
        await self._close_channel()
        options = list(self._options())
        if tls is None:
            self._channel = grpc.aio.insecure_channel(self._destination.endpoint, options)
        else:
            credentials = grpc.ssl_channel_credentials(tls.root_ca_pem, tls.key_pem, tls.cert_pem)
            self._channel = grpc.aio.secure_channel(self._destination.endpoint, credentials, options)
        self._tls_in_use = tls

    async def _close_channel(self) -> None:
        if self._channel is not None:
            # Cleared first: if the closing is cancelled, the channel is not used again.
            channel, self._channel = self._channel, None
            await channel.close()

    def _options(self) -> Iterator[tuple[str, object]]:
        yield from CHANNEL_OPTIONS
        yield "grpc.max_receive_message_length", self._destination.max_response_bytes
        # Behind the address of a name server, if there is one.
        host, _, port = self._destination.endpoint.rpartition("/")[2].rpartition(":")
        proxy = environment_proxy("https" if self._destination.tls else "http", host.strip("[]"), int(port))
        yield ("grpc.http_proxy", proxy) if proxy else ("grpc.enable_http_proxy", 0)
        if self._destination.tls is not None and self._destination.tls.server_name:
            yield "grpc.ssl_target_name_override", self._destination.tls.server_name


def _metadata(headers: Mapping[str, str]) -> Iterator[tuple[str, str | bytes]]:
    """Turn headers into metadata (E13) without those that HTTP sets. Raises ValueError, which shows no value."""
    for name, value in headers.items():
        if not _METADATA_KEY.fullmatch(name) or not _METADATA_VALUE.fullmatch(value):
            raise ValueError(f"the header {name} is not gRPC metadata: letters, digits and -_. only; see otlp.headers")
        if name not in _HTTP_HEADERS:
            # gRPC takes the values of `-bin` keys as bytes.
            yield name, value.encode() if name.endswith("-bin") else value


def _decompressed(body: bytes) -> bytes:
    """Return a body without its compression; one that is damaged is sent as it is, and the server refuses it."""
    with suppress(*GZIP_ERRORS):
        return gunzip_body(body)
    return body


def _outcome(error: Any) -> TransportOutcome:  # noqa: ANN401 - gRPC ships no types
    code, message = error.code().name, error.details() or ""
    if code == RESOURCE_EXHAUSTED and _CLIENT_SIDE in message:
        return ResponseTooLarge(code)
    details = next((value for key, value in error.trailing_metadata() or () if key == _DETAILS_KEY), b"")
    return GrpcResponse(code, message=message, details=details)
