"""The sections that say whom to scrape, how often, and within which limits."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations
from typing import Annotated, Any

from pydantic import Field

from exporter.config.otel import HEADERS_FORMAT, HeaderName, HeaderValue
from exporter.config.section import BasicAuthSection, ClientTlsSection, Section
from exporter.config.values import MIB, ByteSize, PositiveInt, PositiveSeconds, SecretFilePath, TargetList

DEFAULT_TIMEOUT = 10.0


def _default_timeout(fields: dict[str, Any]) -> float:
    interval: float = fields.get("interval", DEFAULT_TIMEOUT)
    return min(DEFAULT_TIMEOUT, interval)


class ScrapeLimits(Section):
    """How much one target may answer before its page counts as broken."""

    body: ByteSize = 64 * MIB
    """Bytes of one page after decompression."""
    samples: PositiveInt = 1_000_000
    """Samples of wanted families on one page; lines that nobody wants are not counted."""
    addresses: PositiveInt = 64
    """Addresses that one name may resolve to; the rest are not asked, and counted."""


class KubeStateMetricsLimits(ScrapeLimits):
    """Limits of kube-state-metrics, whose pages are long."""

    body: ByteSize = 512 * MIB
    """Bytes of one page after decompression."""


class ScrapeSource(Section):
    """A kind of component to scrape."""

    targets: TargetList = ()
    """Whom to ask: host:port or URLs; a name is resolved to all its addresses at each scrape; empty: off."""
    interval: PositiveSeconds = 15.0
    """How often each target is asked; a multiple of the smallest interval of all sources."""
    timeout: PositiveSeconds = Field(default_factory=_default_timeout)
    """How long one scrape may take; at most the interval (unset: 10s, or the interval where that is shorter)."""
    path: str = Field(default="/metrics", pattern=r"^/[!-~]*$")
    """Path and query asked of each target that is no URL with a path of its own."""
    limits: ScrapeLimits = ScrapeLimits()
    """What one page may cost."""
    tls: ClientTlsSection = ClientTlsSection()
    """TLS towards targets that are written as https:// URLs."""
    bearer_token_file: SecretFilePath | None = None
    """File with a token to send as `Authorization: Bearer`; read again when it changes; unset: none."""
    basic_auth: BasicAuthSection = BasicAuthSection()
    """Basic authentication towards the targets."""
    headers: Annotated[Mapping[HeaderName, HeaderValue], HEADERS_FORMAT] = Field(default_factory=dict)
    """Extra HTTP headers; the values are secret."""


class InstallationSource(ScrapeSource):
    """One installation of Argo Rollouts: leadership and deletion are judged inside it."""

    name: str = Field(default="default", min_length=1)
    """Name of the installation, in the label `installation`; unique."""
    targets: TargetList = ()
    """Controllers to ask: host:port or URLs; a name is resolved to all its addresses at each scrape
    (unset: argo-rollouts-metrics.argo-rollouts.svc:8090, in mode sidecar 127.0.0.1:8090)."""


class KubeStateMetricsSource(ScrapeSource):
    """kube-state-metrics, all its shards."""

    targets: TargetList = ("kube-state-metrics.kube-system.svc:8080",)
    """Shards to ask: host:port or URLs; a name is resolved to all its addresses at each scrape; empty: off."""
    interval: PositiveSeconds = 30.0
    """How often each shard is asked; a multiple of the smallest interval of all sources."""
    path: str = Field(default="/metrics?resources=pods,replicasets", pattern=r"^/[!-~]*$")
    """Path and query asked of each target that is no URL with a path of its own."""
    limits: KubeStateMetricsLimits = KubeStateMetricsLimits()
    """What one page may cost."""


class RolloutStateSource(ScrapeSource):
    """A kube-state-metrics that exports the state of Rollout objects (custom-resource state)."""

    targets: TargetList = ()
    """Whom to ask for rollout state: host:port or URLs; empty: off."""
