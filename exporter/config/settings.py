"""The settings: one frozen model of all sections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from exporter.config import values
from exporter.config.model import Section
from exporter.config.notify import GrafanaSection, WebhookSection
from exporter.config.outputs import Last9ApiSection, OtlpSection, ReadSection, ShadowGateSection, WebSection
from exporter.config.pass_through import (
    PRESET_SELECTIONS,
    NamePatterns,
    NamePatternsSetting,
    PassThroughSelection,
    PassThroughSetting,
)
from exporter.config.sources import InstallationSource, KubeStateMetricsSource, RolloutStateSource, ScrapeSource
from exporter.metrics import Source

SERVICE_NAME = "rollouts-exporter"
CLUSTER_ATTRIBUTES = ("k8s.cluster.name", "cluster")
"""Attributes that name the cluster; a push needs one of them."""
ENVIRONMENT_ATTRIBUTES = ("deployment.environment.name", "deployment.environment")
"""The name of today's semantic conventions, and the one that Last9's pages use: what sets one sets both."""
OMITTED = "none"
"""Value that omits an attribute on purpose."""
DEFAULT_CONTROLLER_TARGETS = {"deployment": "argo-rollouts-metrics.argo-rollouts.svc:8090", "sidecar": "127.0.0.1:8090"}
"""Default target of a single installation, by mode."""
DEFAULT_ROLE_VALUES: dict[str, Literal["stable", "canary", "preview"]] = {
    "canary": "canary",
    "stable": "stable",
    "preview": "preview",
    "active": "stable",
}
"""Role of a pod by label value; `active` is what blue-green examples call the stable pods."""


def _check_labels(attributes: Mapping[str, str]) -> None:
    """Raise if two keys become the same label."""
    labels: dict[str, str] = {}
    for key in attributes:
        # Stores make a label name of a key so. Of two keys with one label they lose one, or join both values.
        other = labels.setdefault("".join(c if c.isalnum() else "_" for c in key), key)
        if other != key:
            raise values.SettingError(f"{other} and {key} become the same label", "keep one of them")


_ROLES_FORMAT = values.ValueFormat(
    "mapping of values to stable, canary or preview",
    parse=values.choice_format("stable", "canary", "preview").parse,
    parse_pairs=values.parse_attributes,
)
RoleValues = Annotated[Mapping[str, Literal["stable", "canary", "preview"]], _ROLES_FORMAT]
_ATTRIBUTES_FORMAT = values.ValueFormat(
    "attributes",
    check=_check_labels,
    parse_pairs=values.parse_attributes,
    check_key=values.text_format(r"^[!-~]+$").parse,
)
Attributes = Annotated[Mapping[str, str], _ATTRIBUTES_FORMAT]


@dataclass(frozen=True, slots=True)
class NamespacesSection(Section):
    """Namespaces whose rollouts are exported."""

    include: values.GlobList = ()
    """Namespaces to export, as globs (* and ?); empty: all."""
    exclude: values.GlobList = ()
    """Namespaces to omit, as globs; overrides `include`; empty: none."""

    def allows(self, namespace: str) -> bool:
        """Return whether rollouts of a namespace are exported."""
        included = not self.include or values.matches_any(namespace, self.include)
        return included and not values.matches_any(namespace, self.exclude)


@dataclass(frozen=True, slots=True)
class SeriesSection(Section):
    """Series to export."""

    derive: bool = True
    """Whether to export the derived series; false: only families that pass through."""
    preset: Literal["lean", "standard", "full", "article"] = "standard"
    """Which derived series and controller families are exported: lean, for alerts and overviews, about 20 series a
    rollout; standard, what the dashboards and alerts use, 45 at most; full, everything; article, what Last9's article
    queries, and all that repeats it."""
    drop: NamePatternsSetting = NamePatterns()
    """Families not to export, whatever selects them: regular expressions that match complete names. Own metrics of the
    exporter stay. Empty: none."""
    pass_through: PassThroughSetting | None = None
    """Controller families to export unchanged: a preset, or a list of regular expressions that match complete names;
    none: derived series only; unset: those of `preset`. Of rollout_events_total, standard passes warnings and what
    happened to a rollout."""
    keep_names: NamePatternsSetting = NamePatterns()
    """Counters to push as gauges, so that a store keeps their names instead of appending `_total` (those that pass
    through and do not end in it, such as `rollout_reconcile_error`): regular expressions that match complete names. A
    store then does not recognise them as counters. Empty: none."""
    optional: values.GlobList = ()
    """Derived series to export besides those of `preset`, as globs of their names; `*`: all; empty: none."""
    labels: values.StringList = ()
    """Labels of Rollout objects (team, tier) to export in argo_rollouts_labels, from rollout state; empty: none."""
    limit: values.PositiveInt = 1_000_000
    """Maximum number of series; further series are omitted, and counted."""

    def is_requested(self, name: str) -> bool:
        """Return whether a derived family is exported whatever the preset is."""
        return values.matches_any(name, self.optional)

    @property
    def selection(self) -> PassThroughSelection:
        """What passes through: `pass_through`, else that of the preset."""
        return self.pass_through or PRESET_SELECTIONS[self.preset]

    def passes_through(self, family: str) -> bool:
        """Return whether a family of a page is exported unchanged."""
        return self.selection.matches(family) and not self.drop.matches(family)


@dataclass(frozen=True, slots=True)
class LifecycleSection(Section):
    """Timing of deletions, phases and info series, and the roles of pods."""

    grace: values.NonNegativeSeconds = 60.0
    """How long an object must be absent before it counts as deleted; longer than a failover (15 to 20 s)."""
    ended_info: values.NonNegativeSeconds = 300.0
    """How long an info series is exported as 0 after a label changed, before it goes stale; 0: stale at once."""
    hold_down: values.NonNegativeSeconds = 20.0
    """How long a phase without an event must last to count: scaling changes the phase of a paused rollout for
    milliseconds, and a scrape may catch it; 0: every scraped phase counts."""
    role_label: values.StringList = ("role",)
    """Keys of the pod label that ephemeral metadata (canaryMetadata, stableMetadata) sets; empty: not used."""
    role_values: RoleValues = field(default_factory=dict)
    """Role (stable, canary, preview) of each value of that label; added to the defaults."""
    traffic_router: values.ObjectGlobList = ()
    """Rollouts with a traffic router although their label traffic_router is empty (Gateway API, plugins),
    as namespace/name globs; empty: none."""
    commit_time: str = ""
    """Annotation of the Rollout, or label of its pods, with the commit's time (RFC 3339 or Unix seconds), for the lead
    time; kube-state-metrics has to export it of ReplicaSets. Empty: no lead time."""

    def __post_init__(self) -> None:
        """Add the default roles, which hold for the values that are not written."""
        object.__setattr__(self, "role_values", {**DEFAULT_ROLE_VALUES, **self.role_values})

    def has_traffic_router(self, namespace: str, name: str) -> bool:
        """Return whether `traffic_router` matches a rollout."""
        return values.matches_any(f"{namespace}/{name}", self.traffic_router)


@dataclass(frozen=True, slots=True)
class StorageSection(Section):
    """What outlives the process, in one database: queued requests, their counts, the state of rollouts, the history."""

    directory: values.DirectoryPath | None = None
    """Directory of the database, not shared with another exporter; unset: everything is in memory and ends with the
    process, and whether an update is in progress is unknown for the first minutes of the next one."""
    max_bytes: values.ByteSize = 64 * values.MIB
    """Maximum size of the queue, in bytes of compressed requests; the oldest request is dropped first, and counted."""
    max_age: values.PositiveSeconds = 86_400.0
    """Maximum age of a queued request; older ones are dropped."""
    fsync: Literal["always", "interval", "never"] = "interval"
    """When commits are synced to disk. A crash of the process loses none of them; a crash of the machine loses nothing
    with always, at most the last second with interval, and with never what the system had not written yet, usually the
    last 30 seconds."""
    history: values.PositiveSeconds = 7 * 86_400.0
    """How long transitions are kept."""
    history_bytes: values.ByteSize = 16 * values.MIB
    """Maximum size of the history; the oldest transitions are deleted first."""
    patience: values.PositiveSeconds = 2.0
    """How long a cycle, a delivered request and a shutdown wait for a commit. If the disk hangs longer, they continue
    in memory: a kill then loses the queued requests and the state of these cycles, and requests whose delivery is not
    committed are sent again."""
    reserve: values.ByteSize = 32 * values.MIB
    """Bytes of the file system that stay free; below that, requests are queued in memory."""


@dataclass(frozen=True, slots=True)
class LogSection(Section):
    """The exporter's log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum level of log events."""
    format: Literal["text", "json"] = "text"
    """Format of an event: a line of text, or a JSON object."""


@dataclass(frozen=True, slots=True)
class Settings(Section):
    """All settings; `Settings()` has the defaults. The docstring of a section describes its field."""

    mode: Literal["deployment", "sidecar"] = "deployment"
    """deployment: one exporter per cluster; sidecar: one per controller pod, exporting while that one leads."""
    argo: tuple[InstallationSource, ...] = ()
    """Controllers of Argo Rollouts: a mapping, or a list of mappings with one per installation."""
    kube_state_metrics: KubeStateMetricsSource = KubeStateMetricsSource()
    rollout_state: RolloutStateSource = RolloutStateSource()
    otlp: OtlpSection = OtlpSection()
    read: ReadSection = ReadSection()
    last9: Last9ApiSection = Last9ApiSection()
    webhooks: tuple[WebhookSection, ...] = ()
    """Webhooks: a mapping, or a list of mappings; empty: none."""
    grafana: GrafanaSection = GrafanaSection()
    gates: tuple[ShadowGateSection, ...] = ()
    """Shadow gates: evaluated beside real updates, with the store of `read`, and only reported; a mapping, or a list of
    mappings; empty: off."""
    web: WebSection = WebSection()
    attributes: Attributes = field(default_factory=dict)
    """Identity attributes of the resource and of every data point, such as k8s.cluster.name (or cluster) and
    deployment.environment, which is sent as deployment.environment.name, too; the value none omits an attribute;
    service.name is rollouts-exporter by default."""
    namespaces: NamespacesSection = NamespacesSection()
    series: SeriesSection = SeriesSection()
    lifecycle: LifecycleSection = LifecycleSection()
    storage: StorageSection = StorageSection()
    log: LogSection = LogSection()

    def __post_init__(self) -> None:
        """Add an installation if there is none, and the name of the service."""
        default = InstallationSource(targets=(DEFAULT_CONTROLLER_TARGETS[self.mode],))
        object.__setattr__(self, "argo", self.argo or (default,))
        object.__setattr__(self, "attributes", {"service.name": SERVICE_NAME, **self.attributes})

    @classmethod
    def implied(cls, written: Mapping[str, Any], parsed: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a single installation whose targets are not written with the target of the mode."""
        argo = written.get("argo")
        trees = [argo] if isinstance(argo, Mapping) else argo
        if not trees or len(trees) > 1 or "targets" in trees[0]:
            return {}
        target = DEFAULT_CONTROLLER_TARGETS[parsed.get("mode", "deployment")]
        return {"argo": (replace(parsed["argo"][0], targets=(target,)),)}

    def sources(self) -> tuple[tuple[Source, ScrapeSource], ...]:
        """Return the sections of all sources with targets, and their kinds."""
        sections: tuple[tuple[Source, ScrapeSource], ...] = (
            *((Source.ARGO, installation) for installation in self.argo),
            (Source.KUBE_STATE_METRICS, self.kube_state_metrics),
            (Source.ROLLOUT_STATE, self.rollout_state),
        )
        return tuple((kind, section) for kind, section in sections if section.targets)

    @property
    def tick_seconds(self) -> float:
        """Smallest interval of all sources, in seconds; every cycle starts at a multiple of it."""
        return min(section.interval for _, section in self.sources())

    def identity(self) -> dict[str, str]:
        """Return the attributes of the resource and of every point, sorted by key, without omitted ones."""
        attributes = dict(self.attributes)
        for key, other in (ENVIRONMENT_ATTRIBUTES, ENVIRONMENT_ATTRIBUTES[::-1]):
            attributes.setdefault(key, attributes.get(other, OMITTED))
        return {key: value for key, value in sorted(attributes.items()) if value not in {"", OMITTED}}


def cluster_name(identity: Mapping[str, str]) -> str:
    """Return the name of the cluster in what `Settings.identity` returns, "" without one; either attribute has it."""
    return next((identity[key] for key in CLUSTER_ATTRIBUTES if identity.get(key)), "")
