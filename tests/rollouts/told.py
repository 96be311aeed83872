"""Pages as short tables: what a controller and kube-state-metrics say of a few rollouts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.config.settings import Settings
from exporter.metrics import Failure, ScrapeResult, Source
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import parser_factory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.metrics import MetricFamily, MetricsSnapshot

READERS: Final = parser_factory(Settings())
GAUGES: Final = ("desired", "updated", "available", "unavailable")


@dataclass(frozen=True, slots=True)
class Told:
    """What a controller's page says of one rollout; `replicas` are desired, updated, available, unavailable."""

    phase: str = "Completed"
    replicas: tuple[int, int, int, int] = (4, 4, 4, 0)
    events: Mapping[str, int] = field(default_factory=dict)
    name: str = "cart"
    namespace: str = "shop"
    strategy: str = "canary"
    router: str = ""

    def lines(self) -> Iterable[str]:
        """Write it as a controller does."""
        who = f'name="{self.name}",namespace="{self.namespace}"'
        how = f'phase="{self.phase}",strategy="{self.strategy}",traffic_router="{self.router}"'
        yield f"rollout_info{{{who},{how}}} 1"
        for gauge, number in zip(GAUGES, self.replicas, strict=True):
            yield f"rollout_info_replicas_{gauge}{{{who}}} {number}"
        for reason, count in self.events.items():
            yield f'rollout_events_total{{{who},reason="{reason}",type="Normal"}} {count}'


@dataclass(frozen=True, slots=True)
class Set:
    """A ReplicaSet of shop/cart with so many ready pods."""

    hash: str
    revision: int
    pods: int
    created: float = 1.0

    def lines(self) -> Iterable[str]:
        """Write it as kube-state-metrics does, its pods with it."""
        name = f'namespace="shop",replicaset="cart-{self.hash}"'
        yield f'kube_replicaset_owner{{{name},owner_kind="Rollout",owner_name="cart"}} 1'
        yield f'kube_replicaset_annotations{{{name},annotation_rollout_argoproj_io_revision="{self.revision}"}} 1'
        yield f"kube_replicaset_created{{{name}}} {self.created}"
        yield f"kube_replicaset_spec_replicas{{{name}}} {self.pods}"
        yield f"kube_replicaset_status_replicas{{{name}}} {self.pods}"
        for number in range(self.pods):
            pod = f'namespace="shop",pod="cart-{self.hash}-{number}",uid="{self.hash}-{number}"'
            yield f'kube_pod_info{{{pod},node="n",created_by_kind="ReplicaSet",created_by_name="cart-{self.hash}"}} 1'
            yield f'kube_pod_status_ready{{{pod},condition="true"}} 1'


def controller(
    at: float, *rollouts: Told, target: str = "a", start: float = 1.0, home: str = "default"
) -> ScrapeResult:
    """A controller's page; without rollouts that of a standby. `home` is its installation."""
    lines = [line for one in rollouts for line in one.lines()]
    return read(ScrapeRequest(Source.ARGO, target, at, home), f"process_start_time_seconds {start}", *lines)


def kube(at: float, *sets: Set) -> ScrapeResult:
    """kube-state-metrics' page."""
    return read(ScrapeRequest(Source.KUBE_STATE_METRICS, "ksm", at), *(line for one in sets for line in one.lines()))


def dead(at: float, target: str = "a", home: str = "default", source: Source = Source.ARGO) -> ScrapeResult:
    """A target that did not answer."""
    return ScrapeResult(source, target, at, failure=Failure("refused", "nobody listens"), installation=home)


def read(asked: ScrapeRequest, *lines: str) -> ScrapeResult:
    """Read lines as the answer of a target."""
    reader = READERS(asked)
    reader.start(200, {})
    reader.feed("".join(f"{line}\n" for line in lines).encode())
    return reader.finish(None, 0.01)


def named(families: Iterable[MetricFamily], name: str, rollout: str = "cart") -> dict[tuple[str, ...], float]:
    """Return what a family says of a rollout, by the values of its labels without namespace and name."""
    return {
        tuple(text for label, text in series.labels if label not in ("namespace", "name")): value
        for family in families
        if family.name == name
        for series, value in zip(family.series, family.values, strict=True)
        if series.label("name") in ("", rollout)
    }


def results(cycle: MetricsSnapshot) -> dict[str, float]:
    """Return how many updates ended how."""
    return {result: n for (result,), n in named(cycle.families, "argo_rollouts_updates_total").items() if n}
