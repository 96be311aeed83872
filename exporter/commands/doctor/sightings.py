"""What pages show, read by the exporter's own readers: controllers with their roles, and rollouts by source. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.metrics import Source
from exporter.rollouts.inputs import kube_state_metrics, rollout_state
from exporter.rollouts.inputs.controller import ControllerPageReader
from exporter.rollouts.inputs.kube_state_metrics import WorkloadIndex
from exporter.rollouts.inputs.leadership import ControllerRole, ScrapedController, elect_leaders
from exporter.rollouts.inputs.rollout_state import RolloutStatusReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.commands.doctor.model import ExaminedPage
    from exporter.config.settings import Settings
    from exporter.metrics import ScrapeResult
    from exporter.rollouts.model import RolloutKey

_OWN_METRICS: Final = "kube_state_metrics_"
"""Of kube-state-metrics about itself, on its telemetry port (8081)."""
_INVALID: Final = "InvalidSpec"
VERSION_FAMILY: Final = "argo_rollouts_controller_info"
PROCESS_FAMILIES: Final = frozenset({"process_start_time_seconds", "rollout_info"})
FAMILIES: Final = frozenset({VERSION_FAMILY, "kube_replicaset_labels", "rollout_info_replicas_updated"})
"""Families that only the doctor reads."""


def results(pages: Iterable[ExaminedPage], source: Source, *, failed: bool = False) -> list[ScrapeResult]:
    """Return the results of a source: those that succeeded, or with `failed` the others."""
    return [page.result for page in pages if page.result.source is source and bool(page.result.failure) is failed]


def controllers(pages: Iterable[ExaminedPage]) -> list[ScrapedController]:
    """Return all controllers with their roles; of pages that are no controller's, none."""
    return elect_leaders((page.result for page in pages if is_controller(page) or page.result.failure), ())


def is_controller(page: ExaminedPage) -> bool:
    """Return whether a page is that of an Argo Rollouts controller: every one has its version or work queues."""
    names = page.families
    return page.result.failure is None and bool(names & {VERSION_FAMILY, "workqueue_adds_total", "rollout_info"})


def shows_objects(page: ExaminedPage) -> bool:
    """Return whether a page has metrics of objects, as kube-state-metrics has on its main port alone."""
    return any(name.startswith("kube_") and not name.startswith(_OWN_METRICS) for name in page.families)


def version(result: ScrapeResult) -> str:
    """Return the version of a controller, "" if its page does not show it."""
    return next((dict(series.labels).get("version", "") for series, _ in result.samples(VERSION_FAMILY)), "")


def rollouts(settings: Settings, pages: Iterable[ExaminedPage]) -> Mapping[Source, frozenset[RolloutKey]]:
    """Return the rollouts that each source shows, without those of namespaces that are not exported.

    A source of which a page is missing or incomplete is absent, since it would seem not to show some.
    """
    pages = tuple(pages)
    by_source: dict[Source, Iterable[RolloutKey]] = {}
    scraped = {source: results(pages, source) for source in Source}
    broken = {page.result.source for page in pages if page.result.failure is not None}
    led, installations = _led_installations(pages)
    if led and led == installations:
        leaders = [c.result for c in controllers(pages) if c.role is ControllerRole.LEADER]
        by_source[Source.ARGO] = {key for leader in leaders for key in ControllerPageReader().read(leader)}
    kube, state = scraped[Source.KUBE_STATE_METRICS], scraped[Source.ROLLOUT_STATE]
    if kube and Source.KUBE_STATE_METRICS not in broken and any(map(kube_state_metrics.is_complete_page, kube)):
        workloads = WorkloadIndex({}).read(kube, 0.0)
        by_source[Source.KUBE_STATE_METRICS] = {key for key, workload in workloads.items() if workload.replica_sets}
    if state and Source.ROLLOUT_STATE not in broken and any(map(rollout_state.is_complete_page, state)):
        by_source[Source.ROLLOUT_STATE] = RolloutStatusReader().read(state, 0.0)
    allows = settings.namespaces.allows
    return {source: frozenset(key for key in keys if allows(key[0])) for source, keys in by_source.items()}


def invalid_rollouts(pages: Iterable[ExaminedPage]) -> frozenset[RolloutKey]:
    """Return the rollouts whose spec is invalid by the page of a controller: they may have no ReplicaSets."""
    views = (ControllerPageReader().read(result) for result in results(pages, Source.ARGO))
    return frozenset(key for page_views in views for key, view in page_views.items() if view.phase == _INVALID)


def _led_installations(pages: Iterable[ExaminedPage]) -> tuple[set[str], set[str]]:
    scraped = controllers(pages)
    led = {c.result.installation for c in scraped if c.role is ControllerRole.LEADER}
    return led, {c.result.installation for c in scraped}


def needs_time(settings: Settings, pages: Iterable[ExaminedPage]) -> bool:
    """Return whether a second look may show something else: a component has just started, or two sources differ."""
    pages = tuple(pages)
    kube, state = results(pages, Source.KUBE_STATE_METRICS), results(pages, Source.ROLLOUT_STATE)
    if not all(map(kube_state_metrics.is_complete_page, kube)) or not all(map(rollout_state.is_complete_page, state)):
        return True
    led, installations = _led_installations(pages)
    if led != installations:
        return True
    return len(set(rollouts(settings, pages).values())) > 1
