"""The command `storage`: list what is stored, verify it, send the queued requests now, or discard them."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.commands.progress import progress
from exporter.config.schema import iter_settings
from exporter.config.values import decode_headers
from exporter.log import REDACTOR, register_auth_headers
from exporter.net.files import SecretFile
from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.self_metrics import SelfMetrics
from exporter.service.cycle_store import storage_config
from exporter.storage import Storage, StorageError, inspection
from exporter.storage.directory import DATABASE_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from exporter.commands.progress import Progress
    from exporter.config.settings import Settings
    from exporter.storage.inspection import TableContent

T = TypeVar("T")
CLOSE_SECONDS: Final = 30.0
"""How long a command waits for the disk at its end: nothing else depends on it."""
_COUNT_SECONDS: Final = 0.2
_BLOCK_SIZE: Final = 1024**2
_MAX_SECRET_SIZE: Final = 16 * 1024
"""Blocks overlap by this, so that a secret at their edge is found as well."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The output of a storage command, and whether it succeeded."""

    lines: Sequence[str]
    ok: bool


def list_contents(settings: Settings) -> CommandResult:
    """List files, tables and the queue; reads only, so an exporter may be running."""
    content = read_directory(settings, inspection.contents)
    files = [f"{name}: {size:,} bytes" for name, size in content.files.items()]
    tables = [_describe_table(table) for table in content.tables]
    return CommandResult([*files, *tables, f"{content.points:,} points queued; schema {content.version}"], ok=True)


def _describe_table(table: TableContent) -> str:
    oldest = f", since {_utc(table.oldest)}" if table.oldest is not None else ""
    return f"{table.name}: {table.rows:,} rows, {table.bytes:,} bytes{oldest}"


def verify(settings: Settings) -> CommandResult:
    """Check every row; reads only, so an exporter may be running."""
    with progress("verifying", "rows") as verifying:
        rows = sum(table.rows for table in read_directory(settings, inspection.contents).tables)
        verifying.total = rows

        def count_row() -> None:
            verifying.done = min(verifying.done + 1, rows)  # the few rows that never grow are not listed

        damage = read_directory(settings, lambda directory: inspection.verify(directory, count_row))
    lines = [f"{row.table} {row.key}: {row.reason}" if row.table else row.reason for row in damage]
    return CommandResult([*lines, f"{rows:,} rows, {len(damage)} damaged"], ok=not damage)


def copy_database(settings: Settings, directory: Path) -> Path:
    """Copy the database into a directory, for a bug report; return the copy's path. An exporter may be running.

    What is stored has no setting. A secret that a page showed is overwritten, which makes its row invalid.
    """
    register_secrets(settings)
    target = directory / DATABASE_FILE
    read_directory(settings, lambda source: inspection.copy(source, target))
    with target.open("r+b") as file:
        for offset in range(0, target.stat().st_size, _BLOCK_SIZE):
            file.seek(offset)
            content = file.read(_BLOCK_SIZE + _MAX_SECRET_SIZE)
            if (masked := REDACTOR.overwrite(content)) != content:
                file.seek(offset)
                file.write(masked)
    return target


def register_secrets(settings: Settings) -> None:
    """Register every secret of the settings, as a running exporter does when it first uses one."""
    for _, value, field in iter_settings(settings):
        if value and field.is_secret:  # not an empty mapping
            register_auth_headers(value.text)
        elif value and field.format.kind == "secret file":
            text = SecretFile(value).read()
            register_auth_headers(text, *decode_headers(text)[0].values())


def read_directory(settings: Settings, read: Callable[[Path], T]) -> T:
    """Return what a function reads of the directory of the settings. Raises StorageError."""
    directory = _directory(settings)
    try:
        return read(directory)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        raise StorageError(f"storage.directory {directory}: {reason.lower()}; check the path") from error


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
            with progress("sending", "points", queued) as sending:
                counting = asyncio.create_task(_count(sending, accounting, queued))
                await service.drain(seconds)
                counting.cancel()
    finally:
        await asyncio.to_thread(storage.close, CLOSE_SECONDS)
    delivered, rejected, dropped = (now - then for now, then in zip(_totals(accounting), before, strict=True))
    line = f"{queued:,} points queued: {delivered:,} delivered, {rejected:,} rejected, {dropped:,} dropped"
    remaining = f", {accounting.queued:,} remaining" + (f" ({accounting.state_reason})" if accounting.queued else "")
    return CommandResult([line + remaining], ok=not accounting.queued)


async def _count(sending: Progress, accounting: DeliveryAccounting, queued: int) -> None:
    while True:
        sending.done = queued - accounting.queued
        await asyncio.sleep(_COUNT_SECONDS)


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
