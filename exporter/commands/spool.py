"""The command `spool`: list segments, verify them, send their requests now, or discard them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.spool import Spool, SpoolLimits
from exporter.otlp.spool.recovery import segment_reports
from exporter.self_metrics import SelfMetrics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from exporter.config.settings import Settings
    from exporter.otlp.spool.record import Corruption, RecordHeader
    from exporter.otlp.spool.recovery import SegmentReport


class SpoolError(Exception):
    """A spool command cannot run; the message names the setting to change."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The output of a spool command, and whether it succeeded."""

    lines: Sequence[str]
    ok: bool


def list_segments(settings: Settings) -> CommandResult:
    """List the segments and their total; reads only, so an exporter may be running."""
    reports = _segment_reports(settings, bodies=False)
    records = [record for report in reports for record in report.pending]
    total = f"{len(reports)} files: {_describe_records(records)}"
    return CommandResult([*map(_describe_segment, reports), total], ok=True)


def verify_segments(settings: Settings) -> CommandResult:
    """Check every byte; the last record may be reported while a running exporter writes it."""
    reports = _segment_reports(settings, bodies=True)
    lines = [f"{report.name}: {_describe_corruption(item)}" for report in reports for item in report.corruptions]
    records = sum(len(report.scan.headers) for report in reports)
    total = f"{records:,} requests in {len(reports)} files, {len(lines)} corruptions"
    return CommandResult([*lines, total], ok=not lines)


async def drain(settings: Settings, seconds: float) -> CommandResult:
    """Send all records to otlp.endpoint, for a limited number of seconds. Raises InUseError while an exporter runs."""
    from exporter.service.delivery import DeliveryService  # noqa: PLC0415 - OTLP's messages are loaded only if needed

    _directory(settings)
    if settings.otlp.endpoint is None:
        raise SpoolError("otlp.endpoint is not set; set it to the endpoint to send to")
    service = DeliveryService(settings, SelfMetrics("spool drain", time.time()))
    accounting = service.accounting
    queued, before = accounting.queued, _totals(accounting)
    if service.degraded_reason:
        raise SpoolError(service.degraded_reason)
    async with service:
        await service.drain(seconds)
    delivered, rejected, dropped = (now - then for now, then in zip(_totals(accounting), before, strict=True))
    line = f"{queued:,} points queued: {delivered:,} delivered, {rejected:,} rejected, {dropped:,} dropped"
    remaining = f", {accounting.queued:,} remaining" + (f" ({accounting.state_reason})" if accounting.queued else "")
    return CommandResult([line + remaining], ok=not accounting.queued)


def _totals(accounting: DeliveryAccounting) -> tuple[int, int, int]:
    return accounting.delivered, accounting.rejected, accounting.dropped.total()


def discard_all(settings: Settings) -> CommandResult:
    """Discard all records; they count as dropped with reason "cleared". Raises InUseError while an exporter runs."""
    accounting = DeliveryAccounting()
    storage = settings.storage
    spool = Spool(_directory(settings), SpoolLimits(storage.max_bytes, storage.max_age), accounting, time.time())
    if spool.degraded_reason:
        raise SpoolError(spool.degraded_reason)
    records = len(spool)
    points = sum(drop.points for drop in spool.clear())
    spool.close()
    return CommandResult([f"{records:,} requests with {points:,} points discarded"], ok=True)


def _segment_reports(settings: Settings, *, bodies: bool) -> list[SegmentReport]:
    directory = _directory(settings)
    try:
        return list(segment_reports(directory, bodies=bodies))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SpoolError(f"storage.directory {directory}: {reason}; check the path") from error


def _directory(settings: Settings) -> Path:
    if settings.storage.directory is None:
        raise SpoolError("storage.directory is not set; set it to the directory of the spool")
    return settings.storage.directory


def _describe_segment(report: SegmentReport) -> str:
    corruptions = f"; {len(report.corruptions)} corruptions, see spool verify" if report.corruptions else ""
    records = f"{_describe_records(report.pending)} of {len(report.scan.headers):,}"
    return f"{report.name}: {records} in {report.scan.size:,} bytes{corruptions}"


def _describe_records(records: Sequence[RecordHeader]) -> str:
    points, size = sum(record.points for record in records), sum(record.size for record in records)
    since = f", since {_utc(records[0].timestamp)}" if records else ""
    return f"{len(records):,} requests pending ({points:,} points, {size:,} bytes{since})"


def _describe_corruption(corruption: Corruption) -> str:
    points = "" if corruption.points is None else f" ({corruption.points:,} points)"
    return f"offset {corruption.offset:,}, {corruption.size:,} bytes: {corruption.reason}{points}"


def _utc(timestamp: float) -> str:
    try:
        return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # of a damaged record the time may be any number
        return f"{timestamp} s"
