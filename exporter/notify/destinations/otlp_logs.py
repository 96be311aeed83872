"""OTLP log records: one request for each transition, over the protocol and with the credential of the points."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from exporter.notify.model import MessageDestination
from exporter.otlp.encode.protobuf import attributes, nanoseconds
from exporter.otlp.transport.configured import retry_rules, transport
from exporter.otlp.transport.response import classify
from exporter.rollouts.events.model import TransitionType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from exporter.config.settings import Settings
    from exporter.otlp.result import RequestResult, RetryRules
    from exporter.otlp.transport.grpc import GrpcTransport
    from exporter.otlp.transport.http import HttpTransport
    from exporter.rollouts.events.model import ReportedTransition

NAME: Final = "otlp_logs"
EVENT_PREFIX: Final = "argo_rollouts."
_BAD: Final = frozenset({TransitionType.ABORTED, TransitionType.DEGRADED})


def log_request(transition: ReportedTransition, identity: Mapping[str, str]) -> bytes:
    """Return the request with the record of a transition; `identity` is of the resource and of the record."""
    namespace, name = transition.rollout or ("", "")
    step = transition.step
    labels = {
        **identity,
        "k8s.namespace.name": namespace,
        "argo_rollouts.rollout": name,
        "argo_rollouts.rollout.uid": transition.uid,
        "argo_rollouts.transition": transition.type.value,
        "argo_rollouts.revision": transition.revision,
        "argo_rollouts.pod_template_hash": transition.hash,
        "argo_rollouts.cause": transition.cause.value if transition.cause is not None else "",
        "argo_rollouts.step": str(step.index) if step is not None else "",
    }
    moment = nanoseconds(transition.timestamp)
    is_bad = transition.type in _BAD
    record = logs_pb2.LogRecord(
        time_unix_nano=moment,
        observed_time_unix_nano=moment,
        severity_number=logs_pb2.SEVERITY_NUMBER_WARN if is_bad else logs_pb2.SEVERITY_NUMBER_INFO,
        severity_text="WARN" if is_bad else "INFO",
        event_name=f"{EVENT_PREFIX}{transition.type.value}",
        body=AnyValue(string_value=transition.sentence),
        attributes=attributes(labels.items()),
    )
    scope = logs_pb2.ScopeLogs(scope=InstrumentationScope(name="rollouts-exporter"), log_records=[record])
    resource = Resource(attributes=attributes(identity.items()))
    request = ExportLogsServiceRequest(
        resource_logs=[logs_pb2.ResourceLogs(resource=resource, scope_logs=[scope])]
    )  # fmt: skip
    # A retry after an upgrade sends the stored bytes; within a process equal requests are equal bytes.
    return request.SerializeToString(deterministic=True)


def configured(settings: Settings) -> Iterator[MessageDestination]:
    """Yield the destination, if log records are pushed."""
    if settings.otlp.logs and settings.otlp.endpoint is not None:
        identity = settings.identity()
        client = LogsClient(transport(settings, "logs"), retry_rules(settings))
        yield MessageDestination(NAME, lambda transition: (log_request(transition, identity),), client)


class LogsClient:
    """Pushes requests over the transport of the points; use it with `async with`."""

    def __init__(self, transport: HttpTransport | GrpcTransport, rules: RetryRules) -> None:
        self._transport = transport
        self._rules = rules
        self.credentials_changed = transport.credentials_changed

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
