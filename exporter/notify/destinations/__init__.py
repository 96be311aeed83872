"""One module for each kind of destination; a new one is a function of the settings, and a row here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.notify.destinations import change_events, grafana, otlp_logs, otlp_traces, webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.config.settings import Settings
    from exporter.notify.model import MessageDestination

DESTINATIONS: Final[tuple[Callable[[Settings], Iterable[MessageDestination]], ...]] = (
    change_events.configured,
    webhook.configured,
    grafana.configured,
    otlp_logs.configured,
    otlp_traces.configured,
)
