"""Synthetic metrics of recorded pods: CPU and memory of the kubelet, and HTTP metrics of the service.

The canary is slower and fails more often than the stable pods, like one that should be aborted.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import sin
from typing import TYPE_CHECKING, Final
from zlib import crc32

from tests.timeline import INTERVAL, SeriesKey, Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REQUESTS_PER_SECOND: Final = 60.0
"""To each rollout."""
STABLE_LATENCY: Final = {"0.05": 0.5, "0.1": 0.8, "0.25": 0.93, "0.5": 0.98, "1.0": 0.995, "+Inf": 1.0}
"""Share of responses within a number of seconds."""
CANARY_LATENCY: Final = {"0.05": 0.3, "0.1": 0.55, "0.25": 0.75, "0.5": 0.92, "1.0": 0.98, "+Inf": 1.0}
ERROR_SHARE: Final = {"stable": 0.002, "canary": 0.06}
CORES: Final = {"stable": 0.11, "canary": 0.19}
MEMORY: Final = {"stable": 180e6, "canary": 230e6}


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod with its role and request rate."""

    namespace: str
    name: str
    rollout: str
    role: str
    requests_per_second: float

    @property
    def phase_shift(self) -> float:
        """Offset of the pod's oscillation, so that pods differ."""
        return crc32(self.name.encode()) % 7


@dataclass(slots=True)
class Counters:
    """Counters that accumulate over the ticks."""

    totals: defaultdict[SeriesKey, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, amount: float, name: str, **labels: str) -> None:
        """Increase a counter."""
        self.totals[name, tuple(sorted(labels.items()))] += amount


def with_synthetic_metrics(timeline: Timeline) -> Timeline:
    """Return a timeline with synthetic metrics added."""
    counters = Counters()
    return Timeline(
        timeline.start,
        tuple({**tick, **_synthetic_series(tick, counters, number)} for number, tick in enumerate(timeline.ticks)),
    )


def _synthetic_series(tick: Mapping[SeriesKey, float], counters: Counters, number: int) -> dict[SeriesKey, float]:
    gauges: dict[SeriesKey, float] = {}
    pod_names: set[str] = set()
    for pod in _pods(tick):
        pod_names.add(pod.name)
        factor = 1 + 0.12 * sin(number / 5 + pod.phase_shift)
        _count_requests(pod, counters, factor)
        labels = {"namespace": pod.namespace, "pod": pod.name, "container": "app"}
        cores = CORES.get(pod.role, 0.1) * (0.3 + pod.requests_per_second / 10) * factor
        counters.add(cores * INTERVAL, "container_cpu_usage_seconds_total", **labels)
        memory = MEMORY.get(pod.role, 1e8) * (1 + 0.03 * sin(number / 9 + pod.phase_shift))
        gauges["container_memory_working_set_bytes", tuple(sorted(labels.items()))] = memory
    return gauges | {key: total for key, total in counters.totals.items() if _pod_name(key) in {"", *pod_names}}


def _pod_name(key: SeriesKey) -> str:
    labels = dict(key[1])
    return labels.get("pod", labels.get("k8s_pod_name", ""))


def _count_requests(pod: Pod, counters: Counters, factor: float) -> None:
    """Count the requests to a pod in a tick."""
    requests = pod.requests_per_second * factor * INTERVAL
    failing = ERROR_SHARE.get(pod.role, 0.0)
    labels = {"service_name": pod.rollout, "k8s_pod_name": pod.name}
    for status, share in (("200", 1 - failing), ("503", failing)):
        counters.add(
            requests * share, "http_server_request_duration_seconds_count", http_response_status_code=status, **labels
        )
        spans = {"service_name": pod.rollout, "span_kind": "SPAN_KIND_SERVER", "http_status_code": status}
        counters.add(requests * share, "trace_endpoint_count", **spans)
    for bound, share in (CANARY_LATENCY if pod.role == "canary" else STABLE_LATENCY).items():
        counters.add(requests * share, "http_server_request_duration_seconds_bucket", le=bound, **labels)


def _pods(tick: Mapping[SeriesKey, float]) -> Iterator[Pod]:
    """Yield the pods of a tick; requests are split by the canary fraction."""
    infos = [dict(labels) for (name, labels), value in tick.items() if name == "argo_rollouts_pod_info" and value == 1]
    fractions = {
        (dict(labels)["namespace"], dict(labels)["name"]): value
        for (name, labels), value in tick.items()
        if name == "argo_rollouts_canary_fraction"
    }
    counts: defaultdict[tuple[str, str, bool], int] = defaultdict(int)
    for info in infos:
        counts[info["namespace"], info["name"], info["role"] == "canary"] += 1
    for info in infos:
        key, canary = (info["namespace"], info["name"]), info["role"] == "canary"
        share = fractions.get(key, 0.0)
        load = REQUESTS_PER_SECOND * (share if canary else 1 - share) / counts[*key, canary]
        yield Pod(info["namespace"], info["pod"], info["name"], info["role"], load)
