"""OTLP log records: one request for each transition, over the protocol and with the credential of the points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from exporter.notify.model import MessageDestination
from exporter.notify.otlp import LOGS, SCOPE, OtlpMessageClient, rollout_attributes
from exporter.otlp.encode.protobuf import attributes, nanoseconds
from exporter.rollouts.events.model import TransitionType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.config.settings import Settings
    from exporter.rollouts.events.model import ReportedTransition

EVENT_PREFIX: Final = "argo_rollouts."
_BAD: Final = frozenset({TransitionType.ABORTED, TransitionType.DEGRADED})


def log_request(transition: ReportedTransition, identity: Mapping[str, str]) -> bytes:
    """Return the request with the record of a transition; `identity` is of the resource and of the record."""
    step = transition.step
    labels = {
        **identity,
        **rollout_attributes(transition),
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
    scope = logs_pb2.ScopeLogs(scope=InstrumentationScope(name=SCOPE), log_records=[record])
    resource = Resource(attributes=attributes(identity.items()))
    request = ExportLogsServiceRequest(
        resource_logs=[logs_pb2.ResourceLogs(resource=resource, scope_logs=[scope])]
    )  # fmt: skip
    # A retry after an upgrade sends the stored bytes; within a process equal requests are equal bytes.
    return request.SerializeToString(deterministic=True)


def configured(settings: Settings) -> Iterator[MessageDestination]:
    """Yield the destination, if log records are pushed."""
    if settings.otlp.logs and settings.otlp.endpoint is not None:
        identity, client = settings.identity(), OtlpMessageClient(settings, "logs")
        yield MessageDestination(LOGS, lambda transition: (log_request(transition, identity),), client)
