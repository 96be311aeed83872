"""A look at the OTLP endpoint with the exporter's own transport: a request without points, so nothing is stored."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from exporter.commands.doctor.model import ExaminedDelivery
from exporter.config.outputs import Endpoint, OtlpSection
from exporter.config.values import bracketed, split_address
from exporter.net.gzip import gzip_body
from exporter.net.proxy import environment_proxy
from exporter.net.response import HttpResponse
from exporter.otlp.encode.protobuf import attributes
from exporter.otlp.transport.configured import retry_rules, transport
from exporter.otlp.transport.grpc_status import GrpcResponse
from exporter.otlp.transport.response import BrokenResponse, CredentialRefused, NoResponse, UnreadableResponse, classify

if TYPE_CHECKING:
    from exporter.config.settings import Settings
    from exporter.otlp.transport.response import TransportOutcome

TIMEOUT: Final = 10.0
_OTHER_TIMEOUT: Final = 3.0
_UNANSWERED: Final = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "UNKNOWN", "INTERNAL", "UNIMPLEMENTED"}
"""Statuses that gRPC itself makes of an answer that is not gRPC."""
_Protocol = Literal["http/protobuf", "grpc"]


async def examine_endpoint(settings: Settings) -> ExaminedDelivery | None:
    """Send a request without points; if no answer is of the protocol, try the other one without credential."""
    endpoint = settings.otlp.endpoint
    if endpoint is None:
        return None
    limited = replace(settings, otlp=replace(settings.otlp, timeout=min(settings.otlp.timeout or TIMEOUT, TIMEOUT)))
    outcome = await _send(limited)
    result = classify(outcome, 1, time.time(), retry_rules(settings))
    proxy = _proxy(settings.otlp)
    examined = ExaminedDelivery(str(endpoint), settings.otlp.protocol, outcome, result, time.time(), proxy)
    if proxy:
        return replace(examined, is_reachable_directly=await _connects(settings.otlp))
    return replace(examined, spoken=await _spoken(settings)) if _is_doubtful(outcome) else examined


async def _send(settings: Settings) -> TransportOutcome:
    message = ExportMetricsServiceRequest()
    message.resource_metrics.add().resource.attributes.extend(attributes(settings.identity().items()))
    body = message.SerializeToString()
    async with transport(settings) as sender:
        return await sender.post(gzip_body(body) if settings.otlp.compression == "gzip" else body)


def _is_doubtful(outcome: TransportOutcome) -> bool:
    """Return whether nothing shows that the endpoint speaks the protocol."""
    match outcome:
        case GrpcResponse(code):
            return code in _UNANSWERED
        case NoResponse(code=code):
            return code != "dns"
        case HttpResponse():
            return is_plain_text_on_tls_port(outcome)
        case _:
            return isinstance(outcome, UnreadableResponse)


def is_plain_text_on_tls_port(response: HttpResponse) -> bool:
    """Return whether a server for TLS refuses plain text: Go's and nginx' mention it in the body of a 400."""
    return response.status == 400 and b"HTTPS" in response.body  # noqa: PLR2004 - Bad Request


async def _spoken(settings: Settings) -> tuple[str, str] | None:
    """Return the protocol and the address that answer, of all that differ from the settings; None if none does."""
    target, use_tls = settings.otlp.grpc_target
    host = target.rpartition("/")[2]
    same, other = ("https", "http") if use_tls else ("http", "https")
    protocols: tuple[_Protocol, _Protocol] = ("http/protobuf", "grpc")
    configured = settings.otlp.protocol
    candidates = [
        (p, s) for s in (same, other) for p in sorted(protocols, key=configured.__eq__) if (p, s) != (configured, same)
    ]
    answers = await asyncio.gather(*(_answers(settings, p, f"{s}://{host}") for p, s in candidates))
    spoken = (candidate for candidate, answer in zip(candidates, answers, strict=True) if answer)
    return next(((protocol, f"{scheme}://{host}") for protocol, scheme in spoken), None)


async def _answers(settings: Settings, protocol: _Protocol, address: str) -> bool:
    """Return whether an address answers in a protocol, to a request without credential: who listens is not certain."""
    otlp = replace(settings.otlp, endpoint=Endpoint(address), protocol=protocol, timeout=_OTHER_TIMEOUT)
    without_credential = replace(otlp, headers={}, headers_file=None, authorization_file=None)
    outcome = await _send(replace(settings, otlp=without_credential))
    if isinstance(outcome, CredentialRefused):
        return True
    if isinstance(outcome, GrpcResponse):
        return outcome.code not in _UNANSWERED
    return isinstance(outcome, BrokenResponse) or (
        isinstance(outcome, HttpResponse) and not is_plain_text_on_tls_port(outcome)
    )


def _proxy(otlp: OtlpSection) -> str:
    """Return the address of the proxy of the environment for the endpoint, "" for none."""
    target, use_tls = otlp.grpc_target
    parts = split_address(target.rpartition("/")[2])
    proxy = environment_proxy("https" if use_tls else "http", parts.hostname or "", parts.port)
    with suppress(ValueError):
        address = urlsplit(proxy or "")
        return f"{bracketed(address.hostname)}:{address.port or 80}" if address.hostname else ""
    return ""


async def _connects(otlp: OtlpSection) -> bool:
    """Return whether the endpoint accepts a connection past the proxy."""
    parts = split_address(otlp.grpc_target[0].rpartition("/")[2])
    with suppress(OSError):
        async with asyncio.timeout(_OTHER_TIMEOUT):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.close()
        return True
    return False
