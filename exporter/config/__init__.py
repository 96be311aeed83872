"""The configuration: what can be set, where it is read from, and everything that can be wrong with it, told at once."""

from exporter.config.env import CONFIG_VARIABLE
from exporter.config.errors import ConfigError, Fault
from exporter.config.layers import Origin
from exporter.config.load import Loaded, load
from exporter.config.otel import decode_headers
from exporter.config.otlp import Endpoint, Otlp, Queue, Request, Retry, Web
from exporter.config.pass_through import PassThrough
from exporter.config.read import Last9, Read
from exporter.config.report import Entry, Row, as_yaml, effective, reference
from exporter.config.section import BasicAuth, ClientTls, ServerTls
from exporter.config.settings import Lifecycle, Log, Memory, Namespaces, SeriesChoice, Settings
from exporter.config.sources import Installation, KubeStateMetrics, Limits, RolloutState, ScrapeSource
from exporter.net.files import SecretFile

__all__ = [
    "CONFIG_VARIABLE",
    "BasicAuth",
    "ClientTls",
    "ConfigError",
    "Endpoint",
    "Entry",
    "Fault",
    "Installation",
    "KubeStateMetrics",
    "Last9",
    "Lifecycle",
    "Limits",
    "Loaded",
    "Log",
    "Memory",
    "Namespaces",
    "Origin",
    "Otlp",
    "PassThrough",
    "Queue",
    "Read",
    "Request",
    "Retry",
    "RolloutState",
    "Row",
    "ScrapeSource",
    "SecretFile",
    "SeriesChoice",
    "ServerTls",
    "Settings",
    "Web",
    "as_yaml",
    "decode_headers",
    "effective",
    "load",
    "reference",
]
