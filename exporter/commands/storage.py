"""The command `storage`: list what is stored, verify it, send the queued requests now, or discard them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.self_metrics import SelfMetrics
from exporter.service.cycle_store import storage_config
from exporter.storage import Storage
from exporter.storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from exporter.config.settings import Settings

CLOSE_SECONDS = 30.0
"""How long a command waits for the disk at its end: nothing else depends on it."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The output of a storage command, and whether it succeeded."""

    lines: Sequence[str]
    ok: bool


async def drain(settings: Settings, seconds: float) -> CommandResult:
    """Send all requests to otlp.endpoint, for `seconds` at most. Raises StorageError while an exporter runs."""
    from exporter.service.delivery import DeliveryService  # noqa: PLC0415 - OTLP's messages are loaded only if needed

    if settings.otlp.endpoint is None:
        raise StorageError("otlp.endpoint is not set; set it to the endpoint to send to")
    accounting = DeliveryAccounting()
    storage = _open(settings, accounting)
    queued, before = accounting.queued, _totals(accounting)
    storage.start()
    try:
        service = DeliveryService(settings, SelfMetrics("storage drain", time.time()), storage, accounting)
        async with service:
            await service.drain(seconds)
    finally:
        await asyncio.to_thread(storage.close, CLOSE_SECONDS)
    delivered, rejected, dropped = (now - then for now, then in zip(_totals(accounting), before, strict=True))
    line = f"{queued:,} points queued: {delivered:,} delivered, {rejected:,} rejected, {dropped:,} dropped"
    remaining = f", {accounting.queued:,} remaining" + (f" ({accounting.state_reason})" if accounting.queued else "")
    return CommandResult([line + remaining], ok=not accounting.queued)


def _totals(accounting: DeliveryAccounting) -> tuple[int, int, int]:
    return accounting.delivered, accounting.rejected, accounting.dropped.total()


def discard_all(settings: Settings) -> CommandResult:
    """Discard all requests; they count as dropped with reason "cleared". Raises StorageError while an exporter runs."""
    storage = _open(settings, DeliveryAccounting())
    requests, points = len(storage.queue), storage.queue.clear()
    storage.close(CLOSE_SECONDS)
    return CommandResult([f"{requests:,} requests with {points:,} points discarded"], ok=True)


def _open(settings: Settings, accounting: DeliveryAccounting) -> Storage:
    _directory(settings)
    storage = Storage(storage_config(settings), accounting)
    if storage.degraded_reason:
        raise StorageError(storage.degraded_reason)
    return storage


def _directory(settings: Settings) -> Path:
    if settings.storage.directory is None:
        raise StorageError("storage.directory is not set; set it to the directory of the database")
    return settings.storage.directory


def _utc(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def list_contents(settings: Settings) -> CommandResult:
    """List what is stored; reads only, so an exporter may be running."""
    raise StorageError(f"{_directory(settings)} cannot be listed yet")


def verify(settings: Settings) -> CommandResult:
    """Check every row; reads only, so an exporter may be running."""
    raise StorageError(f"{_directory(settings)} cannot be verified yet")
