"""The whole configuration as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from exporter.config.otel import ATTRIBUTES_FORMAT, parse_attributes
from exporter.config.outputs import OtlpSection, WebSection
from exporter.config.pass_through import PassThroughSetting, parse_pass_through
from exporter.config.read import ReadSection
from exporter.config.section import Section
from exporter.config.sources import InstallationSource, KubeStateMetricsSource, RolloutStateSource, ScrapeSource
from exporter.config.values import (
    DirectoryPath,
    GlobList,
    NonNegativeSeconds,
    ObjectGlobList,
    PositiveInt,
    StringList,
    ValueFormat,
    lowercase,
    value_error,
)
from exporter.metrics import Source

SERVICE_NAME = "rollouts-exporter"
CLUSTER_ATTRIBUTES = ("k8s.cluster.name", "cluster")
"""Attributes that name the cluster; pushing needs one of them."""
OMITTED = "none"
"""Value of an attribute that is left out on purpose."""
DEFAULT_CONTROLLER_TARGETS = {"deployment": "argo-rollouts-metrics.argo-rollouts.svc:8090", "sidecar": "127.0.0.1:8090"}
"""Where the controller is by default, by mode."""
DEFAULT_ROLE_VALUES: dict[str, Literal["stable", "canary", "preview"]] = {
    "canary": "canary",
    "stable": "stable",
    "preview": "preview",
    "active": "stable",
}


def _with_service_name(attributes: Mapping[str, str]) -> dict[str, str]:
    """Add the default service name, and refuse two keys that become one label."""
    labels: dict[str, str] = {}
    for key in attributes:
        other = labels.setdefault("".join(c if c.isalnum() else "_" for c in key), key)
        if other != key:
            raise value_error(f"{other} and {key} become the same label", "keep one of them")
    return {"service.name": SERVICE_NAME, **attributes}


def _with_default_roles(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**DEFAULT_ROLE_VALUES, **values}


ROLES_FORMAT = ValueFormat("mapping of values to stable, canary or preview", dict, parse_attributes)
AttributeKey = Annotated[str, Field(pattern=r"^[!-~]+$")]
ConfiguredRole = Annotated[Literal["stable", "canary", "preview"], BeforeValidator(lowercase)]


class NamespacesSection(Section):
    """Which namespaces are spoken of."""

    include: GlobList = ()
    """Namespaces to speak of, as globs (* and ?); empty: all."""
    exclude: GlobList = ()
    """Namespaces never to speak of, as globs; it wins over `include`; empty: none."""

    def allows(self, namespace: str) -> bool:
        """Say whether this namespace is spoken of."""
        included = not self.include or any(fnmatchcase(namespace, glob) for glob in self.include)
        return included and not any(fnmatchcase(namespace, glob) for glob in self.exclude)


class SeriesSection(Section):
    """Which series are made."""

    derive: bool = True
    """Make the derived series; false: only pass families through."""
    pass_through: PassThroughSetting = parse_pass_through("article")
    """Families that pass through unchanged: a preset, or a list of regular expressions for whole family names;
    none: derived series only."""
    limit: PositiveInt = 1_000_000
    """Series at most; what is beyond is left out, and counted."""


class LifecycleSection(Section):
    """How the life of a rollout is judged."""

    grace: NonNegativeSeconds = 60.0
    """How long something must be absent before it counts as deleted; longer than a failover (15 to 20 s)."""
    ended_info: NonNegativeSeconds = 300.0
    """How long an info series whose label changed is sent as 0 before it is ended; 0: ended at once."""
    hold_down: NonNegativeSeconds = 20.0
    """How long a phase must last to count when no event tells of it: scaling flickers a paused rollout for
    milliseconds, and one scrape may see it; 0: every phase seen counts."""
    role_label: StringList = ("role",)
    """Keys of the pod label that ephemeral metadata (canaryMetadata, stableMetadata) sets; empty: not used."""
    role_values: Annotated[Mapping[str, ConfiguredRole], AfterValidator(_with_default_roles), ROLES_FORMAT] = Field(
        default_factory=dict
    )
    """Role (stable, canary, preview) that each value of that label stands for; added to the defaults."""
    traffic_router: ObjectGlobList = ()
    """Rollouts that have a traffic router though their label traffic_router is empty (Gateway API, plugins),
    as namespace/name globs; empty: none."""

    def has_traffic_router(self, namespace: str, name: str) -> bool:
        """Say whether the configuration gives this rollout a traffic router."""
        return any(fnmatchcase(f"{namespace}/{name}", glob) for glob in self.traffic_router)


class MemorySection(Section):
    """What outlives a restart."""

    directory: DirectoryPath | None = None
    """Directory for what must outlive a restart; unset: nothing does, and the first minutes are unknown."""


class LogSection(Section):
    """Our own log, on standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(lowercase)] = "info"
    """Least level that is logged."""
    format: Annotated[Literal["text", "json"], BeforeValidator(lowercase)] = "text"
    """One line of text, or one JSON object, for each event."""


class Settings(Section):
    """All settings; `Settings()` is what no configuration at all means."""

    mode: Annotated[Literal["deployment", "sidecar"], BeforeValidator(lowercase)] = "deployment"
    """deployment: one exporter for a cluster; sidecar: one beside each controller, speaking while that one leads."""
    argo: tuple[InstallationSource, ...] = ()
    """Controllers of Argo Rollouts: one mapping, or a list of them, one for each installation."""
    kube_state_metrics: KubeStateMetricsSource = KubeStateMetricsSource()
    """Pods and ReplicaSets."""
    rollout_state: RolloutStateSource = RolloutStateSource()
    """State of the Rollout objects themselves; off unless it has targets."""
    otlp: OtlpSection = OtlpSection()
    """Pushing over OTLP; off unless it has an endpoint."""
    read: ReadSection = ReadSection()
    """Reading back what was pushed; off unless it has an address."""
    web: WebSection = WebSection()
    """Our own pages."""
    attributes: Annotated[Mapping[AttributeKey, str], AfterValidator(_with_service_name), ATTRIBUTES_FORMAT] = Field(
        default_factory=dict
    )
    """Identity, on the resource and on every point: k8s.cluster.name (or cluster), deployment.environment and such;
    the value none leaves an attribute out; service.name is rollouts-exporter by default."""
    namespaces: NamespacesSection = NamespacesSection()
    """Which namespaces are spoken of."""
    series: SeriesSection = SeriesSection()
    """Which series are made."""
    lifecycle: LifecycleSection = LifecycleSection()
    """How the life of a rollout is judged."""
    memory: MemorySection = MemorySection()
    """What outlives a restart."""
    log: LogSection = LogSection()
    """Our own log."""

    @field_validator("argo", mode="before")
    @classmethod
    def _as_installation_list(cls, value: object, info: ValidationInfo) -> object:
        """Take one mapping as a list of one, and give a lone installation its default target."""
        many = [value] if isinstance(value, Mapping) else value or [{}]
        if not isinstance(many, list | tuple) or len(many) != 1 or not isinstance(many[0], Mapping):
            return many
        return [{"targets": (DEFAULT_CONTROLLER_TARGETS[info.data.get("mode", "deployment")],), **many[0]}]

    def sources(self) -> tuple[tuple[Source, ScrapeSource], ...]:
        """Return every source that has targets, with its kind."""
        sections: tuple[tuple[Source, ScrapeSource], ...] = (
            *((Source.ARGO, installation) for installation in self.argo),
            (Source.KUBE_STATE_METRICS, self.kube_state_metrics),
            (Source.ROLLOUT_STATE, self.rollout_state),
        )
        return tuple((kind, section) for kind, section in sections if section.targets)

    @property
    def tick(self) -> float:
        """The smallest interval of all sources, in seconds: every cycle begins at a multiple of it."""
        return min(section.interval for _, section in self.sources())

    def identity(self) -> dict[str, str]:
        """Return the attributes of the resource and of every point, by key, without those that are none."""
        return {key: value for key, value in sorted(self.attributes.items()) if value not in {"", OMITTED}}
