"""Names that never come back, cycle after cycle: `python -m tests.churn --cycles 2000` prints the memory.

Rollouts, pods, namespaces, addresses and families are new at each cycle, while their number is the same. The stages are
those of the running exporter: parser and cache, tracker, encoder, own metrics.
"""

from __future__ import annotations

import argparse
import gc
import tracemalloc
from typing import TYPE_CHECKING, Final

from exporter.config.settings import Settings
from exporter.metrics import Source
from exporter.otlp.encode.encoder import Encoder
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.response import ScrapeRequest
from exporter.self_metrics import SelfMetrics
from exporter.service.cycle import TargetStateLogger
from exporter.service.wiring import identity, parser_factory, tracking_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLLOUTS: Final = 5
LIFETIME: Final = 4
"""Cycles for which a rollout lives, in which it is updated once."""
START: Final = 1_700_000_000.0
TICK_SECONDS: Final = 15.0
EVICTION_TICKS: Final = 40
LARGE_BLOCK: Final = 512 * 1024
GAUGES: Final = ("desired", "updated", "available", "unavailable")


def controller_page(cycle: int) -> Iterator[str]:
    """Yield the lines of the controller's page at a cycle."""
    yield "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1"
    yield f"# TYPE unknown_{cycle} gauge\n# TYPE rollout_extra_{cycle} gauge\nrollout_extra_{cycle} 1"
    rows = [(born, number) for born in range(cycle - LIFETIME + 1, cycle + 1) for number in range(ROLLOUTS)]
    yield "# TYPE rollout_info gauge"
    for born, number in rows:
        phase = "Progressing" if cycle == born + 1 else "Completed"
        labels = f'name="r{born}-{number}",namespace="n{born}"'
        yield f'rollout_info{{{labels},phase="{phase}",strategy="canary",traffic_router=""}} 1'
    for gauge in GAUGES:
        yield f"# TYPE rollout_info_replicas_{gauge} gauge"
        for born, number in rows:
            labels, pods = f'name="r{born}-{number}",namespace="n{born}"', 2 * (gauge != "unavailable")
            yield f"rollout_info_replicas_{gauge}{{{labels}}} {pods}"
    yield "# TYPE rollout_events_total counter"
    for born, number in rows:
        labels = f'name="r{born}-{number}",namespace="n{born}"'
        for reason, first in (("NewReplicaSetCreated", 1), ("RolloutUpdated", 1), ("RolloutCompleted", 2)):
            yield f'rollout_events_total{{{labels},reason="{reason}",type="Normal"}} {1 + (cycle >= born + first)}'


def kube_page(cycle: int) -> Iterator[str]:
    """Yield the lines of kube-state-metrics' page at a cycle."""
    owners, pods = [], []
    for born in range(cycle - LIFETIME + 1, cycle + 1):
        for number in range(ROLLOUTS):
            name, namespace = f"r{born}-{number}", f"n{born}"
            replica_set = f'namespace="{namespace}",replicaset="{name}-abc{cycle}"'
            owners.append(f'kube_replicaset_owner{{{replica_set},owner_kind="Rollout",owner_name="{name}"}} 1')
            labels = f'namespace="{namespace}",pod="{name}-p{cycle}",uid="{cycle}-{born}-{number}",node="node{cycle}"'
            owner = f'created_by_kind="ReplicaSet",created_by_name="{name}-abc{cycle}"'
            pods.append(f"kube_pod_info{{{labels},{owner}}} 1")
    yield "\n".join(["# TYPE kube_pod_info gauge", *pods, "# TYPE kube_replicaset_owner gauge", *owners])


class ChurningExporter:
    """The stages of the exporter, fed with pages whose names are new at each cycle."""

    def __init__(self) -> None:
        settings = Settings.parse({"series": {"pass_through": ["rollout_.*", "kube_pod_info"]}})
        self._cache = ScrapeCache(settings.series.passes_through)
        self._parsers = parser_factory(settings, self._cache)
        self._tracker = RolloutTracker(tracking_policy(settings))
        self._encoder = Encoder(identity(settings))
        self._self_metrics = SelfMetrics("churn", START)
        self._target_log = TargetStateLogger(self._self_metrics)

    def run(self, cycle: int) -> int:
        """Run a cycle; return the number of encoded bytes."""
        now = START + cycle * TICK_SECONDS
        # A controller keeps its address for a while, or none would ever be established.
        pages = (
            (Source.ARGO, f"10.0.0.{cycle // 100}:8090", controller_page(cycle)),
            (Source.KUBE_STATE_METRICS, f"10.1.0.{cycle}:8080", kube_page(cycle)),
        )
        results = []
        for source, target, lines in pages:
            parser = self._parsers(ScrapeRequest(source, target, now))
            parser.start(200, {})
            parser.feed("".join(f"{line}\n" for line in lines).encode())
            results.append(parser.finish(None, 0.1))
        assert not [result.failure for result in results if result.failure]
        self._target_log.record(results)
        snapshot = self._tracker.process(now, results)
        if cycle % EVICTION_TICKS == 0:
            self._cache.evict({(result.source, result.installation, result.target) for result in results})
        self._self_metrics.families()
        return sum(len(request.body) for request in self._encoder.requests(snapshot))

    @property
    def tracker(self) -> RolloutTracker:
        """The tracker."""
        return self._tracker


def measure(cycles: int, every: int) -> list[tuple[int, float]]:
    """Return the memory in KiB after each `every` cycles; what the first cycles allocate counts, too."""
    exporter = ChurningExporter()
    points = []
    tracemalloc.start()
    try:
        for cycle in range(1, cycles + 1):
            exporter.run(cycle)
            if cycle % every == 0:
                gc.collect()
                # Not the interpreter's table of interned strings, a large block that it resizes now and then.
                traces = tracemalloc.take_snapshot().traces
                points.append((cycle, sum(trace.size for trace in traces if trace.size < LARGE_BLOCK) / 1024))
    finally:
        tracemalloc.stop()
    return points


def main() -> None:
    """Print the memory as the cycles go by."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=2000)
    parser.add_argument("--every", type=int, default=80, help="cycles between two measurements")
    options = parser.parse_args()
    for cycle, kib in measure(options.cycles, options.every):
        print(f"{cycle:6} cycles {kib:10.0f} KiB")


if __name__ == "__main__":
    main()
