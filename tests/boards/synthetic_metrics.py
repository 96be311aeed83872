"""What was not recorded, made up for the recorded pods: the kubelet's figures, and those of the service itself.

A canary here is slower and fails more often than what is stable, as one that deserves to be aborted does.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import sin
from typing import TYPE_CHECKING, Final
from zlib import crc32

from tests.timeline import INTERVAL, Timeline, SeriesKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REQUESTS: Final = 60.0
"""Requests a second to each rollout."""
BOUNDS: Final = {"0.05": 0.5, "0.1": 0.8, "0.25": 0.93, "0.5": 0.98, "1.0": 0.995, "+Inf": 1.0}
"""The share of answers within so many seconds, of what is stable."""
SLOW: Final = {"0.05": 0.3, "0.1": 0.55, "0.25": 0.75, "0.5": 0.92, "1.0": 0.98, "+Inf": 1.0}
FAILING: Final = {"stable": 0.002, "canary": 0.06}
CORES: Final = {"stable": 0.11, "canary": 0.19}
MEMORY: Final = {"stable": 180e6, "canary": 230e6}


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that serves: its place, its role, and the requests a second that come to it."""

    namespace: str
    name: str
    rollout: str
    role: str
    load: float

    @property
    def wave(self) -> float:
        """Where this pod stands in the ups and downs of all of them."""
        return crc32(self.name.encode()) % 7


@dataclass(slots=True)
class Meters:
    """Counters that go on from tick to tick."""

    totals: defaultdict[SeriesKey, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, amount: float, name: str, **labels: str) -> None:
        """Count on."""
        self.totals[name, tuple(sorted(labels.items()))] += amount


def beside(played: Timeline) -> Timeline:
    """Return a film with the made-up figures in it."""
    meters = Meters()
    return Timeline(
        played.start, tuple({**tick, **_figures(tick, meters, number)} for number, tick in enumerate(played.ticks))
    )


def _figures(tick: Mapping[SeriesKey, float], meters: Meters, number: int) -> dict[SeriesKey, float]:
    gauges: dict[SeriesKey, float] = {}
    living: set[str] = set()
    for pod in _pods(tick):
        living.add(pod.name)
        sway = 1 + 0.12 * sin(number / 5 + pod.wave)
        _serve(pod, meters, sway)
        place = {"namespace": pod.namespace, "pod": pod.name, "container": "app"}
        cores = CORES.get(pod.role, 0.1) * (0.3 + pod.load / 10) * sway
        meters.add(cores * INTERVAL, "container_cpu_usage_seconds_total", **place)
        memory = MEMORY.get(pod.role, 1e8) * (1 + 0.03 * sin(number / 9 + pod.wave))
        gauges["container_memory_working_set_bytes", tuple(sorted(place.items()))] = memory
    return gauges | {key: total for key, total in meters.totals.items() if _pod_of(key) in {"", *living}}


def _pod_of(key: SeriesKey) -> str:
    labels = dict(key[1])
    return labels.get("pod", labels.get("k8s_pod_name", ""))


def _serve(pod: Pod, meters: Meters, sway: float) -> None:
    """Answer the requests of a tick."""
    answered = pod.load * sway * INTERVAL
    failing = FAILING.get(pod.role, 0.0)
    who = {"service_name": pod.rollout, "k8s_pod_name": pod.name}
    for status, share in (("200", 1 - failing), ("503", failing)):
        meters.add(
            answered * share, "http_server_request_duration_seconds_count", http_response_status_code=status, **who
        )
        spans = {"service_name": pod.rollout, "span_kind": "SPAN_KIND_SERVER", "http_status_code": status}
        meters.add(answered * share, "trace_endpoint_count", **spans)
    for bound, share in (SLOW if pod.role == "canary" else BOUNDS).items():
        meters.add(answered * share, "http_server_request_duration_seconds_bucket", le=bound, **who)


def _pods(tick: Mapping[SeriesKey, float]) -> Iterator[Pod]:
    """Yield the pods of a tick, the requests shared as the canary fraction says."""
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
        load = REQUESTS * (share if canary else 1 - share) / counts[*key, canary]
        yield Pod(info["namespace"], info["pod"], info["name"], info["role"], load)
