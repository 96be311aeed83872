"""The spool for people: what is in it, whether it is sound, send it now, throw it away."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.otlp.spool import Bounds, Spool
from exporter.otlp.spool.recovery import sights
from exporter.self_metrics import SelfMetrics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from exporter.config.settings import Settings
    from exporter.otlp.spool.record import Damage, Frame
    from exporter.otlp.spool.recovery import Sight

UNSET: Final = "otlp.queue.directory is not set, so nothing is kept on disk; set it"


class SpoolingError(Exception):
    """Why nothing can be done with the spool; the message names the setting that cures it."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a command has to say, and whether all is well."""

    lines: Sequence[str]
    well: bool


def listing(settings: Settings) -> Told:
    """Tell of each segment, and the sum; looks only, so an exporter may be running."""
    seen = _sights(settings, bodies=False)
    frames = [frame for one in seen for frame in one.waiting]
    total = f"{len(seen)} files: {_amount(frames)}"
    return Told([*map(_segment, seen), total], well=True)


def verified(settings: Settings) -> Told:
    """Look at every byte; an exporter that is running may just be writing the last record."""
    seen = _sights(settings, bodies=True)
    lines = [f"{one.name}: {_place(damage)}" for one in seen for damage in one.damages]
    records = sum(len(one.survey.frames) for one in seen)
    return Told([*lines, f"{records:,} requests in {len(seen)} files, {len(lines)} damages"], well=not lines)


async def drain(settings: Settings, seconds: float) -> Told:
    """Send what is there to otlp.endpoint, for so long at most. Raises InUseError while an exporter has it."""
    from exporter.service.delivery import DeliveryService  # noqa: PLC0415 - OTLP's messages are loaded only when something is sent

    _directory(settings)
    if settings.otlp.endpoint is None:
        raise SpoolingError("otlp.endpoint is not set, so there is nowhere to send to; set it")
    delivering = DeliveryService(settings, SelfMetrics("spool drain", time.time()))
    books = delivering.books
    waited, before = books.queued, (books.delivered, books.rejected, books.dropped.total())
    if delivering.alarm:
        raise SpoolingError(delivering.alarm)
    async with delivering:
        await delivering.finish(seconds)
    delivered, rejected, dropped = (
        now - then for now, then in zip((books.delivered, books.rejected, books.dropped.total()), before, strict=True)
    )
    line = f"{waited:,} points waited: {delivered:,} delivered, {rejected:,} rejected, {dropped:,} dropped"
    left = f", {books.queued:,} left" + (f" ({books.why})" if books.queued else "")
    return Told([line + left], well=not books.queued)


def clear(settings: Settings) -> Told:
    """Throw away all that waits; it is booked as dropped, by reason "cleared". Raises InUseError as above."""
    books = DeliveryAccounting()
    queue = settings.otlp.queue
    spool = Spool(_directory(settings), Bounds(queue.bytes, queue.age), books, time.time())
    if spool.why:
        raise SpoolingError(spool.why)
    records = len(spool)
    points = sum(loss.points for loss in spool.clear())
    spool.close()
    return Told([f"{records:,} requests with {points:,} points thrown away"], well=True)


def _sights(settings: Settings, *, bodies: bool) -> list[Sight]:
    directory = _directory(settings)
    try:
        return list(sights(directory, bodies=bodies))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SpoolingError(f"otlp.queue.directory {directory}: {reason}; check the path") from error


def _directory(settings: Settings) -> Path:
    if settings.otlp.queue.directory is None:
        raise SpoolingError(UNSET)
    return settings.otlp.queue.directory


def _segment(one: Sight) -> str:
    damages = f"; {len(one.damages)} places are damaged, see spool verify" if one.damages else ""
    return f"{one.name}: {_amount(one.waiting)} of {len(one.survey.frames):,} in {one.survey.size:,} bytes{damages}"


def _amount(frames: Sequence[Frame]) -> str:
    points, size = sum(frame.points for frame in frames), sum(frame.size for frame in frames)
    since = f", since {_utc(frames[0].at)}" if frames else ""
    return f"{len(frames):,} requests wait ({points:,} points, {size:,} bytes{since})"


def _place(damage: Damage) -> str:
    points = "" if damage.points is None else f" ({damage.points:,} points)"
    return f"offset {damage.offset:,}, {damage.size:,} bytes: {damage.why}{points}"


def _utc(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{at} s"
