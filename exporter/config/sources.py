"""Sections of the scraped sources: targets, intervals, limits and credentials."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - the annotations are read
from dataclasses import dataclass, field
from typing import Any

from exporter.config import values
from exporter.config.model import Section
from exporter.config.section import BasicAuthSection, ClientTlsSection

DEFAULT_TIMEOUT = 10.0
"""Seconds, as in Prometheus."""


@dataclass(frozen=True, slots=True)
class ScrapeLimits(Section):
    """Limits of one response; a scrape that exceeds `body` or `samples` fails."""

    body: values.ByteSize = 64 * values.MIB
    """Maximum size of a response after decompression, in bytes."""
    samples: values.PositiveInt = 1_000_000
    """Maximum number of samples in a response; samples of unused families do not count."""
    addresses: values.PositiveInt = 64
    """Maximum number of addresses that a name may resolve to; further addresses are not scraped, and counted."""


@dataclass(frozen=True, slots=True)
class KubeStateMetricsLimits(ScrapeLimits):
    """Limits of kube-state-metrics, whose responses are large."""

    body: values.ByteSize = 512 * values.MIB
    """Maximum size of a response after decompression, in bytes."""


@dataclass(frozen=True, slots=True)
class ScrapeSource(Section):
    """A kind of component to scrape."""

    targets: values.TargetList = ()
    """Targets to scrape, as host:port or URLs; a name is resolved to all its addresses at each scrape; empty: off."""
    interval: values.Interval = 15.0
    """Interval between scrapes of a target; a multiple of the smallest interval of all sources."""
    timeout: values.PositiveSeconds = DEFAULT_TIMEOUT
    """Timeout of a scrape, at most the interval; unset: 10s, or the interval if that is shorter."""
    path: values.RequestPath = "/metrics"
    """Path and query of the request, for targets that are not URLs with a path."""
    limits: ScrapeLimits = ScrapeLimits()
    tls: ClientTlsSection = ClientTlsSection()
    bearer_token_file: values.SecretFilePath | None = None
    """File with a token to send as `Authorization: Bearer`; reloaded when it changes; unset: no token."""
    basic_auth: BasicAuthSection = BasicAuthSection()
    headers: values.Headers = field(default_factory=dict)
    """Additional HTTP headers; the values are secret."""

    @classmethod
    def implied(cls, written: Mapping[str, Any], parsed: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a timeout that is not longer than the interval."""
        interval = parsed.get("interval", DEFAULT_TIMEOUT)
        return {} if "timeout" in written else {"timeout": min(DEFAULT_TIMEOUT, interval)}

    @property
    def credentials(self) -> tuple[str, ...]:
        """Paths of the settings whose credential is sent; at most one in valid settings."""
        is_set = {
            "bearer_token_file": self.bearer_token_file is not None,
            "basic_auth.username": self.basic_auth.username != "",
            "headers.authorization": "authorization" in self.headers,
        }
        return tuple(path for path, present in is_set.items() if present)


@dataclass(frozen=True, slots=True)
class InstallationSource(ScrapeSource):
    """One installation of Argo Rollouts; leadership and deletion are decided for each installation separately."""

    name: str = "default"
    """Unique name of the installation, the value of the label `installation`."""
    targets: values.TargetList = ()
    """Controllers to scrape, as host:port or URLs; a name is resolved to all its addresses at each scrape;
    unset: argo-rollouts-metrics.argo-rollouts.svc:8090, or 127.0.0.1:8090 in mode sidecar."""


@dataclass(frozen=True, slots=True)
class KubeStateMetricsSource(ScrapeSource):
    """All shards of kube-state-metrics, the source of pods and ReplicaSets."""

    targets: values.TargetList = ("kube-state-metrics.kube-system.svc:8080",)
    """Shards to scrape, as host:port or URLs; a name is resolved to all its addresses at each scrape; empty: off."""
    path: values.RequestPath = "/metrics?resources=pods,replicasets"
    """Path and query of the request, for targets that are not URLs with a path."""
    limits: KubeStateMetricsLimits = KubeStateMetricsLimits()


@dataclass(frozen=True, slots=True)
class RolloutStateSource(ScrapeSource):
    """A kube-state-metrics with the state of Rollout objects (custom-resource state); off without targets."""

    targets: values.TargetList = ()
    """Targets with the state of Rollout objects, as host:port or URLs; empty: off."""
