"""The configuration: what can be set, where it is read from, and everything that can be wrong with it, told at once."""

from exporter.config.env import CONFIG_VARIABLE
from exporter.config.errors import ConfigError, ConfigIssue
from exporter.config.layers import Origin
from exporter.config.load import LoadedConfig, load
from exporter.config.otel import decode_headers
from exporter.config.outputs import Endpoint, OtlpSection, QueueSection, RequestSection, RetrySection, WebSection
from exporter.config.pass_through import PassThroughSelection
from exporter.config.read import Last9Section, ReadSection
from exporter.config.report import EffectiveSetting, SettingReference, as_yaml, effective_settings, settings_reference
from exporter.config.section import BasicAuthSection, ClientTlsSection, ServerTlsSection
from exporter.config.settings import (
    LifecycleSection,
    LogSection,
    MemorySection,
    NamespacesSection,
    SeriesSection,
    Settings,
)
from exporter.config.sources import (
    InstallationSource,
    KubeStateMetricsSource,
    RolloutStateSource,
    ScrapeLimits,
    ScrapeSource,
)
from exporter.net.files import SecretFile

__all__ = [
    "CONFIG_VARIABLE",
    "BasicAuthSection",
    "ClientTlsSection",
    "ConfigError",
    "ConfigIssue",
    "EffectiveSetting",
    "Endpoint",
    "InstallationSource",
    "KubeStateMetricsSource",
    "Last9Section",
    "LifecycleSection",
    "LoadedConfig",
    "LogSection",
    "MemorySection",
    "NamespacesSection",
    "Origin",
    "OtlpSection",
    "PassThroughSelection",
    "QueueSection",
    "ReadSection",
    "RequestSection",
    "RetrySection",
    "RolloutStateSource",
    "ScrapeLimits",
    "ScrapeSource",
    "SecretFile",
    "SeriesSection",
    "ServerTlsSection",
    "SettingReference",
    "Settings",
    "WebSection",
    "as_yaml",
    "decode_headers",
    "effective_settings",
    "load",
    "settings_reference",
]
