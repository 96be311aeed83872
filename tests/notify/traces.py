"""The traces of two recordings, as text.

    python -m tests.notify.traces [--write]

prints them, or writes them into golden_traces/, where a test compares them.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from exporter.notify.destinations.otlp_traces import trace_request
from exporter.notify.model import time_text
from tests.golden_texts import print_or_write
from tests.recorded import EXPLAINED_ARCHIVES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from tests.recorded import Recordings

GOLDEN_FOLDER: Final = Path(__file__).parent / "golden_traces"
NAMES: Final = ("analysis-1.10.2", "person-1.10.2")
IDENTITY: Final = {"k8s.cluster.name": "prod-1", "service.name": "rollouts-exporter"}
_SECOND: Final = 1_000_000_000
_OMITTED: Final = (
    "cicd.pipeline.name",
    "cicd.pipeline.run.id",
    "cicd.pipeline.task.name",
    "k8s.",
    "argo_rollouts.rollout",
)
_PREFIX: Final = re.compile(r"(argo_rollouts|cicd\.pipeline(\.task)?)\.")


@cache
def trace_bodies(recordings: Recordings, name: str) -> Sequence[bytes]:
    """Return the requests of a recording, in order."""
    return [
        body
        for _, _, tracker in recordings.play(name, "full")
        for transition in tracker.status.transitions
        for body in trace_request(transition, IDENTITY, "prod-1")
    ]


def spans_of(body: bytes) -> list[Span]:
    """Return the spans of a request."""
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    return list(resource.scope_spans[0].spans)


def labels_of(span: Span) -> dict[str, str]:
    """Return the attributes of a span."""
    return {attribute.key: attribute.value.string_value for attribute in span.attributes}


def trace_text(recordings: Recordings, name: str) -> str:
    """Return a line for each span: its start, its seconds, its name and what its attributes tell apart."""
    return "".join(f"{_line(span)}\n" for body in trace_bodies(recordings, name) for span in spans_of(body))


def _line(span: Span) -> str:
    seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / _SECOND
    labels = {key: value for key, value in labels_of(span).items() if not key.startswith(_OMITTED)}
    short = {_PREFIX.sub("", key): value for key, value in labels.items()}
    words = " ".join(f"{key}={value}" for key, value in short.items())
    error = f" ERROR: {span.status.message}" if span.status.code == Status.STATUS_CODE_ERROR else ""
    start = time_text(span.start_time_unix_nano / _SECOND)[11:]
    indent = "  " if span.parent_span_id else f"{span.trace_id.hex()[:8]} "
    return f"{indent}{start} {seconds:.3f}s {span.name} {words}{error}".rstrip()


if __name__ == "__main__":
    print_or_write(__doc__, GOLDEN_FOLDER, trace_text, EXPLAINED_ARCHIVES, NAMES)
