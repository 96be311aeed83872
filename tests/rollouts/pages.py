"""Pages of a controller and of kube-state-metrics with a few rollouts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.metrics import Failure, ScrapeResult, Source
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import parser_factory
from tests.recorded import ARTICLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.metrics import MetricFamily, MetricsSnapshot

PARSERS: Final = parser_factory(ARTICLE)
GAUGES: Final = ("desired", "updated", "available", "unavailable")


@dataclass(frozen=True, slots=True)
class PageRollout:
    """A rollout on a controller's page; `replicas` are desired, updated, available and unavailable ones."""

    phase: str = "Completed"
    replicas: tuple[int, int, int, int] = (4, 4, 4, 0)
    events: Mapping[str, int] = field(default_factory=dict)
    name: str = "cart"
    namespace: str = "shop"
    strategy: str = "canary"
    router: str = ""

    def lines(self) -> Iterable[str]:
        """Yield its lines on the page."""
        labels = f'name="{self.name}",namespace="{self.namespace}"'
        info = f'phase="{self.phase}",strategy="{self.strategy}",traffic_router="{self.router}"'
        yield f"rollout_info{{{labels},{info}}} 1"
        for gauge, number in zip(GAUGES, self.replicas, strict=True):
            yield f"rollout_info_replicas_{gauge}{{{labels}}} {number}"
        for reason, count in self.events.items():
            yield f'rollout_events_total{{{labels},reason="{reason}",type="Normal"}} {count}'


@dataclass(frozen=True, slots=True)
class WorkQueue:
    """The work queue of rollouts: for how long an item has been in work (seconds), and how many are or were."""

    running: float = 0.0
    in_work: int = 0
    done: int = 100
    slow: int = 0

    def lines(self) -> Iterable[str]:
        """Yield its lines, and one of another queue."""
        labels, worked = 'name="Rollouts"', "workqueue_work_duration_seconds"
        yield f"workqueue_longest_running_processor_seconds{{{labels}}} {self.running}"
        yield 'workqueue_longest_running_processor_seconds{name="AnalysisRuns"} 60'
        yield f"workqueue_adds_total{{{labels}}} {self.done + self.in_work + 2}"
        yield f"workqueue_depth{{{labels}}} 2"
        yield f"# TYPE {worked} histogram"
        yield f'{worked}_bucket{{{labels},le="1"}} {self.done - self.slow}'
        yield f'{worked}_bucket{{{labels},le="+Inf"}} {self.done}'
        yield f"{worked}_sum{{{labels}}} 1"
        yield f"{worked}_count{{{labels}}} {self.done}"


@dataclass(frozen=True, slots=True)
class PageReplicaSet:
    """A ReplicaSet of shop/cart with `pod_count` ready pods; `revision` is None without allow-lists."""

    hash: str
    revision: int | None
    pod_count: int
    created_at: float = 1.0

    def lines(self) -> Iterable[str]:
        """Yield its lines and those of its pods."""
        name = f'namespace="shop",replicaset="cart-{self.hash}"'
        yield f'kube_replicaset_owner{{{name},owner_kind="Rollout",owner_name="cart"}} 1'
        if self.revision is not None:
            yield f'kube_replicaset_annotations{{{name},annotation_rollout_argoproj_io_revision="{self.revision}"}} 1'
        yield f"kube_replicaset_created{{{name}}} {self.created_at}"
        yield f"kube_replicaset_spec_replicas{{{name}}} {self.pod_count}"
        yield f"kube_replicaset_status_replicas{{{name}}} {self.pod_count}"
        for number in range(self.pod_count):
            pod = f'namespace="shop",pod="cart-{self.hash}-{number}",uid="{self.hash}-{number}"'
            yield f'kube_pod_info{{{pod},node="n",created_by_kind="ReplicaSet",created_by_name="cart-{self.hash}"}} 1'
            yield f'kube_pod_status_ready{{{pod},condition="true"}} 1'


def controller_page(
    now: float,
    *rollouts: PageRollout,
    target: str = "a",
    start_time: float = 1.0,
    installation: str = "default",
    work: WorkQueue | None = None,
) -> ScrapeResult:
    """Return a controller's page; without rollouts it is that of a standby."""
    lines = [line for rollout in rollouts for line in rollout.lines()]
    lines += work.lines() if work is not None else []
    return parse_page(
        ScrapeRequest(Source.ARGO, target, now, installation), f"process_start_time_seconds {start_time}", *lines
    )


def kube_page(now: float, *replica_sets: PageReplicaSet) -> ScrapeResult:
    """Return kube-state-metrics' page."""
    return parse_page(
        ScrapeRequest(Source.KUBE_STATE_METRICS, "ksm", now),
        *(line for replica_set in replica_sets for line in replica_set.lines()),
    )


@dataclass(frozen=True, slots=True)
class PageStatus:
    """The rollout state of shop/cart; `rsm`: as resource-state-metrics writes it."""

    stable: str
    current: str
    generation: int = 1
    observed_generation: int | None = None
    aborted: bool = False
    weight: float | None = None
    health: str = "Progressing"
    uid: str = ""
    rsm: bool = False

    def lines(self) -> Iterable[str]:
        """Yield its lines on the page."""
        kind = "group,version,kind" if self.rsm else "customresource_group,customresource_version,customresource_kind"
        values = ("argoproj.io", "v1alpha1", "Rollout")
        labels = ",".join(f'{name}="{value}"' for name, value in zip(kind.split(","), values, strict=True))
        labels += ',name="cart",namespace="shop"'
        hashes = f'stable_hash="{self.stable}",current_hash="{self.current}",uid="{self.uid}"'
        yield f"kube_customresource_rollout_status_info{{{labels},{hashes}}} {self._number(1)}"
        yield f'kube_customresource_rollout_status_phase{{{labels},phase="{self.health}"}} {self._number(1)}'
        observed = self.generation if self.observed_generation is None else self.observed_generation
        gauges = {"generation": self.generation, "observed_generation": observed, "abort": self.aborted}
        for name, value in (gauges | ({"canary_weight": self.weight} if self.weight is not None else {})).items():
            yield f"kube_customresource_rollout_{name}{{{labels}}} {self._number(value)}"

    def _number(self, value: float) -> str:
        return f"{value:.6f}" if self.rsm else f"{value:g}"


def status_page(now: float, *statuses: PageStatus) -> ScrapeResult:
    """Return the page of custom-resource state, without a status that of a kube-state-metrics that has just started."""
    return parse_page(
        ScrapeRequest(Source.ROLLOUT_STATE, "state", now), *(line for status in statuses for line in status.lines())
    )


def failed_scrape(
    now: float, target: str = "a", installation: str = "default", source: Source = Source.ARGO
) -> ScrapeResult:
    """Return the result of a scrape without an answer."""
    return ScrapeResult(
        source, target, now, failure=Failure("refused", "connection refused"), installation=installation
    )


def parse_page(request: ScrapeRequest, *lines: str) -> ScrapeResult:
    """Return the result of a scrape whose body is these lines."""
    parser = PARSERS(request)
    parser.start(200, {})
    parser.feed("".join(f"{line}\n" for line in lines).encode())
    return parser.finish(None, 0.01)


def series_values(families: Iterable[MetricFamily], name: str, rollout: str = "cart") -> dict[tuple[str, ...], float]:
    """Return the values of a rollout's series in one family, by their labels but namespace and name."""
    return {
        tuple(text for label, text in series.labels if label not in ("namespace", "name")): value
        for family in families
        if family.name == name
        for series, value in zip(family.series, family.values, strict=True)
        if series.label("name") in ("", rollout)
    }


def update_results(snapshot: MetricsSnapshot) -> dict[str, float]:
    """Return the completed updates by result."""
    return {
        result: count
        for (result,), count in series_values(snapshot.families, "argo_rollouts_updates_total").items()
        if count
    }
