"""The probe: a request of one own metric, which shows whether the endpoint accepts anything at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.metrics import MetricFamily, MetricsSnapshot, Series
from exporter.otlp.delivery.producer import queued_request
from exporter.otlp.encode.encoder import Encoder
from exporter.self_metrics import OwnMetric

if TYPE_CHECKING:
    from exporter.otlp.encode.protobuf import Identity
    from exporter.storage.model import QueuedRequest

_PROBE: Final = OwnMetric.PROBE.value


@dataclass(frozen=True, slots=True)
class ProbeRequests:
    """Makes probes of one exporter, compressed as its other requests.

    A series of its own: a probe must not overtake a queued point of any other.
    """

    identity: Identity
    instance: str
    gzip: bool = True

    def build(self, timestamp: float) -> QueuedRequest:
        """Return a probe for a request at the head of the queue, with the time of its points (Unix seconds).

        Some stores refuse points older than the last one of the same resource, so a probe must not be newer than what
        waits. Repeated for one request, it is the same point with the same value.
        """
        series = Series(_PROBE.name, (("instance", self.instance),))
        family = MetricFamily(_PROBE.name, _PROBE.type, _PROBE.help, [series], [1.0])
        (request,) = Encoder(self.identity).requests(MetricsSnapshot(timestamp, (family,)))
        return queued_request(request, timestamp, gzip=self.gzip)
