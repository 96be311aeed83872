"""A rollout whose pages lag behind each other: its stages, and a tracker that gets a page of each at every tick."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from exporter.config.settings import Settings
from exporter.rollouts.tracker import RolloutTracker
from exporter.service.wiring import tracking_policy
from tests.rollouts.pages import (
    PageReplicaSet,
    PageRollout,
    PageStatus,
    WorkQueue,
    controller_page,
    kube_page,
    series_values,
    status_page,
)

if TYPE_CHECKING:
    from exporter.metrics import MetricsSnapshot

POLICY: Final = tracking_policy(Settings())
FIRST_DEPLOY: Final = {"RolloutUpdated": 1, "RolloutCompleted": 1, "NewReplicaSetCreated": 1}
SETTLED: Final = PageRollout(events=FIRST_DEPLOY)
PAUSED: Final = PageRollout(
    "Paused", (4, 1, 4, 0), {"RolloutUpdated": 2, "RolloutCompleted": 1, "NewReplicaSetCreated": 2, "RolloutPaused": 1}
)
OLD: Final = PageReplicaSet("old", 1, 3)
NEW: Final = PageReplicaSet("new", 2, 1, created_at=2.0)

Page = PageRollout | PageStatus | WorkQueue | tuple[PageReplicaSet, ...]


def changed(
    page: PageRollout, phase: str = "", replicas: tuple[int, int, int, int] | None = None, **new_events: int
) -> PageRollout:
    """Return a later page of a rollout, with its counters grown by `new_events`."""
    counts = {**page.events, **{reason: page.events.get(reason, 0) + count for reason, count in new_events.items()}}
    return replace(page, phase=phase or page.phase, replicas=replicas or page.replicas, events=counts)


ROUTED: Final = PageRollout(replicas=(10, 10, 10, 0), events=FIRST_DEPLOY, router="Nginx")
APPLIED: Final = changed(ROUTED, "Progressing", (10, 0, 10, 0), RolloutUpdated=1, NewReplicaSetCreated=1)


class Watch:
    """Gives pages to a tracker, 15 s apart."""

    def __init__(self) -> None:
        self.tracker, self.now, self.start_time = RolloutTracker(POLICY), 0.0, 1.0

    def see(self, *pages: Page) -> MetricsSnapshot:
        """Return what is exported after the next tick."""
        self.now += 15
        rollouts = [page for page in pages if isinstance(page, PageRollout)]
        work = next((page for page in pages if isinstance(page, WorkQueue)), None)
        results = [controller_page(self.now, *rollouts, start_time=self.start_time, work=work)]
        results += [kube_page(self.now, *page) for page in pages if isinstance(page, tuple)]
        results += [status_page(self.now, page) for page in pages if isinstance(page, PageStatus)]
        return self.tracker.process(self.now, results)

    def see_all(self, *ticks: tuple[Page, ...]) -> MetricsSnapshot:
        """Return what is exported after the last of some ticks."""
        for pages in ticks:
            snapshot = self.see(*pages)
        return snapshot

    def restart_controller(self) -> None:
        """Let the next pages be those of another process."""
        self.start_time = self.now


def in_progress(snapshot: MetricsSnapshot, kind: str = "canary") -> float | None:
    return series_values(snapshot.families, "argo_rollouts_update_in_progress").get((kind,))


def fraction(snapshot: MetricsSnapshot) -> float | None:
    return series_values(snapshot.families, "argo_rollouts_canary_fraction").get(())


def pods_by_role(snapshot: MetricsSnapshot) -> dict[str, float]:
    pods = series_values(snapshot.families, "argo_rollouts_pods")
    return {role: count for (role,), count in pods.items() if count}
