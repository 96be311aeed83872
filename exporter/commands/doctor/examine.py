"""Gather all that the checks look at, once and concurrently; nothing in the world is changed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from exporter.commands.api_client import ExporterAddress, ExporterUnreachableError, fetch_json, fetch_lines
from exporter.commands.doctor.directory import examine_directory
from exporter.commands.doctor.endpoint import examine_endpoint
from exporter.commands.doctor.model import Examination
from exporter.commands.doctor.pages import SETTLE_SECONDS, ExaminedTargets, examine_targets
from exporter.config.section import ClientTlsSection
from exporter.config.values import bracketed
from exporter.metrics import Source

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from exporter.config.errors import ConfigIssue
    from exporter.config.outputs import WebSection
    from exporter.config.settings import Settings
    from exporter.scrape.targets import Resolver

EVENTS: Final = 200
"""Of the last transitions, for an archive."""
OWN_METRICS: Final = "rollouts_exporter_"
_SOURCES: Final = {source.value: source for source in Source}


async def examine(
    settings: Settings,
    warnings: tuple[ConfigIssue, ...] = (),
    errors: tuple[ConfigIssue, ...] = (),
    *,
    resolver: Resolver | None = None,
    mount_table: Path | None = None,
    settle: float = SETTLE_SECONDS,
) -> Examination:
    """Look at targets, endpoint, storage and a running exporter, but not at what the sections with errors configure."""
    unusable = {issue.section for issue in errors}
    settings = _without(settings, unusable)
    targets, delivery, storage, (metrics, events) = await asyncio.gather(
        examine_targets(settings, resolver, settle) if _SOURCES.keys().isdisjoint(unusable) else _no_targets(),
        examine_endpoint(settings),
        examine_directory(settings, mount_table),
        _running_exporter(settings.web),
    )
    return Examination(
        settings=settings,
        errors=errors,
        warnings=warnings,
        pages=targets.pages,
        later_pages=targets.later_pages,
        repeated=targets.repeated,
        addresses=targets.addresses,
        delivery=delivery,
        storage=storage,
        exporter=metrics,
        events=events,
    )


async def _no_targets() -> ExaminedTargets:
    """Return no targets: without the unusable source, the others would seem to differ from it."""
    return ExaminedTargets()


def _without(settings: Settings, unusable: Collection[str]) -> Settings:
    """Return the settings without endpoint and directory whose section is unusable."""
    otlp, storage = settings.otlp, settings.storage
    if "otlp" in unusable:
        otlp = replace(otlp, endpoint=None)
    if "storage" in unusable:
        storage = replace(storage, directory=None)
    return replace(settings, otlp=otlp, storage=storage)


async def _running_exporter(web: WebSection) -> tuple[str, tuple[Mapping[str, object], ...]]:
    """Return the own metrics and the last transitions of an exporter with these settings on this machine."""
    host, port = web.address
    scheme = "https" if web.tls.cert_file else "http"
    any_address = host in {None, "0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    name = "127.0.0.1" if any_address or host is None else bracketed(host)
    # Its certificate is for its clients' name, not for this address; the connection does not leave the machine.
    tls = ClientTlsSection(insecure_skip_verify=True)
    address = ExporterAddress(f"{scheme}://{name}:{port}", web.basic_auth, tls)
    if not port:
        return "", ()
    try:
        metrics = "\n".join([line async for line in fetch_lines(address, "/metrics") if OWN_METRICS in line])
        events = (await fetch_json(address, "/api/events", {"since": "0", "limit": str(EVENTS)})).get("events", [])
    except ExporterUnreachableError:
        return "", ()
    return metrics, tuple(events)  # "" if it is another server
