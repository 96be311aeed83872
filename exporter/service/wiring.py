"""Settings → what the packages take: policy of the tracker, parser of a response, identity of points, store to read."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from exporter import log
from exporter.config.settings import NamespacesSection
from exporter.net.auth import basic_auth, password_reader
from exporter.net.files import SecretFile
from exporter.net.prometheus_api import PrometheusEndpoint
from exporter.net.prometheus_response import Hints
from exporter.net.proxy import environment_proxy
from exporter.net.tls import ClientTlsLoader
from exporter.rollouts.inputs import controller, kube_state_metrics, rollout_state
from exporter.rollouts.model import TrackingPolicy
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.response import ResponseParser, ScrapeRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.config.outputs import ReadSection
    from exporter.config.settings import Settings
    from exporter.otlp.encode.protobuf import Identity

ParserFactory = Callable[[ScrapeRequest], ResponseParser]

_CACHED_NAMES: Final = 4096
"""Families of all sources together, several times over: a controller has some 80, kube-state-metrics a few hundred."""
_CACHED_NAME_LENGTH: Final = 200
_REQUIRED_TO_DERIVE: Final = (
    controller.REQUIRED_FAMILIES | kube_state_metrics.REQUIRED_FAMILIES | rollout_state.REQUIRED_FAMILIES
)
_REQUIRED_TO_PASS_THROUGH: Final = frozenset({
    "kube_pod_info",
    "kube_replicaset_owner",
    "kube_replicaset_status_replicas",
    "process_start_time_seconds",
    "rollout_info",
    "workqueue_adds_total",
})  # fmt: skip # with series.derive off: just enough to find the leader and the pods that belong to rollouts


def tracking_policy(settings: Settings) -> TrackingPolicy:
    """Return the tracker's policy according to the settings."""
    lifecycle, series = settings.lifecycle, settings.series
    return TrackingPolicy(
        grace=lifecycle.grace,
        ended_info=lifecycle.ended_info,
        hold_down=lifecycle.hold_down,
        role_labels=_role_labels(lifecycle.role_label, lifecycle.role_values),
        has_router=lambda key: lifecycle.has_traffic_router(*key),
        namespace_allowed=settings.namespaces.allows if settings.namespaces != NamespacesSection() else None,
        passes_through=cached_by_name(series.passes_through),
        passes_event=None if series.selection.passes_all_events else series.selection.matches_event,
        derive=series.derive,
        sidecar=settings.mode == "sidecar",
        series_limit=series.limit,
        preset=series.preset,
        is_requested=series.is_requested,
        drops=cached_by_name(series.drop.matches),
        labels=tuple(f"label_{kube_state_metrics.exposed_label(label)}" for label in series.labels),
        commit_time=_commit_names(lifecycle.commit_time),
    )


def _role_labels(labels: tuple[str, ...], values: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    return {f"label_{kube_state_metrics.exposed_label(label)}": values for label in labels}


def _commit_names(key: str) -> tuple[str, ...]:
    return (
        (f"annotation_{kube_state_metrics.exposed_label(key)}", f"label_{kube_state_metrics.exposed_label(key)}")
        if key
        else ()
    )


def parser_factory(settings: Settings, scrape_cache: ScrapeCache | None = None) -> ParserFactory:
    """Return a function that makes a parser for each scrape request; all parsers share one scrape cache."""
    is_selected = family_selection(settings)
    scrape_cache = scrape_cache or ScrapeCache(settings.series.passes_through)
    return lambda request: ResponseParser(request, scrape_cache, is_selected, log.REDACTOR.redact)


def family_selection(settings: Settings) -> Callable[[str], bool]:
    """Return whether a family is parsed: a derived series needs it, or it passes through."""
    passes_through = settings.series.passes_through
    required = _REQUIRED_TO_DERIVE if settings.series.derive else _REQUIRED_TO_PASS_THROUGH
    if settings.lifecycle.commit_time:
        required |= {kube_state_metrics.COMMIT_FAMILY}
    return cached_by_name(lambda family: family in required or passes_through(family))


def cached_by_name(matches: Callable[[str], bool]) -> Callable[[str], bool]:
    """Return a function that remembers some of its results: it is called for each family of each page.

    Not all of them, since a page may show ever new names, each as long as a line.
    """
    cached = lru_cache(_CACHED_NAMES)(matches)
    return lambda name: cached(name) if len(name) <= _CACHED_NAME_LENGTH else matches(name)


def identity(settings: Settings) -> Identity:
    """Return the identity of the points: the same attributes on the resource and on every point.

    Stores differ in which resource attributes they turn into labels; all of them keep a point's attributes.
    """
    from exporter.otlp.encode.protobuf import Identity  # noqa: PLC0415 - OTLP's messages are loaded only if needed

    attributes = tuple(settings.identity().items())
    return Identity(attributes, attributes)


def read_endpoint(read: ReadSection) -> PrometheusEndpoint:
    """Return the store of the section `read`, which has an address. Raises OSError and ValueError for its files."""
    authorization = _authorization(read)
    parts = urlsplit(read.url)
    by_file = "read.authorization_file" if read.authorization_file else "read.username and read.password_file"
    return PrometheusEndpoint(
        address=read.url,
        headers={"Authorization": authorization} if authorization else {},
        tls=ClientTlsLoader(read.tls) if parts.scheme == "https" else None,
        timeout=read.timeout,
        proxy=environment_proxy(parts.scheme, parts.hostname or "", parts.port),
        hints=Hints(address="read.address" if read.address else "read.last9", credential=by_file),
    )


def _authorization(read: ReadSection) -> str:
    if read.authorization_file is not None:
        return SecretFile(read.authorization_file).read()
    if read.password_file is None and read.password is None:
        return ""
    return basic_auth(read.user, password_reader(read)())
