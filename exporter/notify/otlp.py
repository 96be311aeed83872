"""OTLP of destinations: the client of a signal, and the attributes of what a transition is about."""

from __future__ import annotations

import time
from base64 import b64decode
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporter.otlp.transport.configured import retry_rules, transport
from exporter.otlp.transport.response import classify

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from exporter.config.settings import Settings
    from exporter.otlp.result import RequestResult
    from exporter.otlp.transport.configured import Signal
    from exporter.rollouts.events.model import ReportedTransition

SCOPE: Final = "rollouts-exporter"
LOGS, TRACES = "otlp_logs", "otlp_traces"
"""The names of the destinations."""
REQUESTS: Final[dict[str, type[ExportLogsServiceRequest | ExportTraceServiceRequest]]] = {
    LOGS: ExportLogsServiceRequest,
    TRACES: ExportTraceServiceRequest,
}
_IDENTIFIERS: Final = frozenset({"traceId", "spanId", "parentSpanId"})


def rollout_attributes(transition: ReportedTransition) -> Mapping[str, str]:
    """Return the attributes of the rollout and the revision of a transition; "" if unknown."""
    namespace, name = transition.rollout or ("", "")
    return {
        "k8s.namespace.name": namespace,
        "argo_rollouts.rollout": name,
        "argo_rollouts.rollout.uid": transition.uid,
        "argo_rollouts.transition": transition.type.value,
        "argo_rollouts.revision": transition.revision,
        "argo_rollouts.pod_template_hash": transition.hash,
        "argo_rollouts.cause": transition.cause.value if transition.cause is not None else "",
    }


def readable_request(destination: str, body: bytes) -> object:
    """Return a request as OTLP's JSON, for people; its size if it is of another version."""
    try:
        request = REQUESTS[destination]()
        request.ParseFromString(body)
    except (KeyError, DecodeError):
        return f"{len(body)} bytes of OTLP"
    return _with_hexadecimal_ids(json_format.MessageToDict(request))


def _with_hexadecimal_ids(document: Any) -> Any:  # noqa: ANN401 - JSON
    """Return JSON with identifiers as OTLP has them; protobuf's own JSON has base64."""
    if isinstance(document, list):
        return [_with_hexadecimal_ids(part) for part in document]
    if not isinstance(document, dict):
        return document
    return {
        key: b64decode(value).hex() if key in _IDENTIFIERS else _with_hexadecimal_ids(value)
        for key, value in document.items()
    }


class OtlpMessageClient:
    """Pushes requests of a signal over the transport of the points; use it with `async with`."""

    def __init__(self, settings: Settings, signal: Signal) -> None:
        self._transport = transport(settings, signal)
        self._rules = retry_rules(settings)
        self.credentials_changed = self._transport.credentials_changed

    async def post(self, body: bytes) -> RequestResult:
        """Push a request; never raises. The answer has the same wire format as that for points."""
        return classify(await self._transport.post(body), 1, time.time(), self._rules)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)
