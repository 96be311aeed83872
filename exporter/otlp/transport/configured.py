"""The transport and the retry rules of the settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from exporter.net.tls import ClientTlsLoader
from exporter.otlp.result import RetryRules
from exporter.otlp.transport.credentials import Destination
from exporter.otlp.transport.http import HttpTransport

if TYPE_CHECKING:
    from exporter.config.settings import Settings
    from exporter.otlp.transport.grpc import GrpcTransport

Signal = Literal["metrics", "logs", "traces"]


def retry_rules(settings: Settings) -> RetryRules:
    """Return which statuses are retried, according to `otlp.retry`."""
    retry = settings.otlp.retry
    removed = frozenset(code.removeprefix("-") for code in retry.codes if code.startswith("-"))
    return RetryRules(retry.strict, frozenset(retry.codes) - {f"-{code}" for code in removed}, removed)


def transport(settings: Settings, signal: Signal = "metrics") -> HttpTransport | GrpcTransport:
    """Return the HTTP or gRPC transport of a signal to the endpoint; an asynchronous context manager."""
    otlp = settings.otlp
    target, tls = otlp.grpc_target
    use_grpc = otlp.protocol == "grpc"
    destination = Destination(
        endpoint=target if use_grpc else otlp.url if signal == "metrics" else otlp.url_of(signal),
        headers={name: value.text for name, value in otlp.headers.items()},
        headers_file=otlp.headers_file,
        authorization_file=otlp.authorization_file,
        timeout=otlp.timeout,
        tls=ClientTlsLoader(otlp.tls) if tls else None,
        gzip=otlp.compression == "gzip",
        max_response_bytes=otlp.response.bytes,
    )
    if not use_grpc:
        return HttpTransport(destination)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's C core logs to standard error, past our log
    from exporter.otlp.transport.grpc import METHODS, GrpcTransport  # noqa: PLC0415 - loading grpc takes 9 MB, so only if it is used

    return GrpcTransport(destination, METHODS[signal])
