"""What the settings mean to the rooms: the rules of the domain, a reader for each answer, who the points are from."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from exporter.config.settings import Namespaces
from exporter.otlp.encode.protobuf import Identity
from exporter.rollouts.inputs import controller, kube_state_metrics, rollout_state
from exporter.rollouts.policy import TrackingPolicy
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.response import Asked, PageReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.config.settings import Settings

_HUMP: Final = re.compile(r"([a-z0-9])([A-Z])")
_ODD: Final = re.compile(r"[^a-zA-Z0-9_]")
_NEEDED: Final = controller.WANTED | kube_state_metrics.WANTED | rollout_state.WANTED
_RELAYED: Final = frozenset({
    "kube_pod_info",
    "kube_replicaset_owner",
    "kube_replicaset_status_replicas",
    "process_start_time_seconds",
    "rollout_info",
    "workqueue_adds_total",
})  # fmt: skip # what tells leaders from standbys, and the pods of rollouts from others


def rules(settings: Settings) -> TrackingPolicy:
    """Return what the settings decide about the domain."""
    lifecycle, series = settings.lifecycle, settings.series
    return TrackingPolicy(
        grace=lifecycle.grace,
        ended_info=lifecycle.ended_info,
        hold_down=lifecycle.hold_down,
        roles=_roles(lifecycle.role_label, lifecycle.role_values),
        named_router=lambda key: lifecycle.routed(*key),
        watched=settings.namespaces.allows if settings.namespaces != Namespaces() else None,
        passes=cache(series.pass_through.wants),
        derive=series.derive,
        sidecar=settings.mode == "sidecar",
        most_series=series.limit,
    )


def _roles(labels: tuple[str, ...], values: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    """Spell pod labels as kube-state-metrics does (facts/kube-state-metrics.md 1)."""
    return {"label_" + _ODD.sub("_", _HUMP.sub(r"\1_\2", label)).lower(): values for label in labels}


def page_readers(settings: Settings, interner: ScrapeCache | None = None) -> Callable[[Asked], PageReader]:
    """Return what opens a reader for each answer; all of them share their series."""
    passes = settings.series.pass_through.wants
    needed = _NEEDED if settings.series.derive else _RELAYED

    @cache
    def wanted(family: str) -> bool:
        return family in needed or passes(family)

    interner = interner or ScrapeCache(passes)
    return lambda asked: PageReader(asked, interner, wanted)


def identity(settings: Settings) -> Identity:
    """Return who the points are from: the same attributes on the resource and on every point (DESIGN 5)."""
    attributes = tuple(settings.identity().items())
    return Identity(attributes, attributes)
