"""The page of delivery: whether the store has the data, and where every point is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.web.model import DeliveryBrief, DeliveryPage, Notice, PointBooks, QueueFigures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.config.settings import Settings
    from exporter.log import LoggedNotice
    from exporter.otlp.delivery.accounting import DeliveryAccounting
    from exporter.service.delivery_trend import DeliveryTrend
    from exporter.storage import Storage
    from exporter.web.model import PageHead


def delivery_brief(accounting: DeliveryAccounting, endpoint: str, now: float) -> DeliveryBrief:
    """Return delivery in one line at a time (Unix seconds)."""
    return DeliveryBrief(
        state=accounting.state.value,
        endpoint=endpoint,
        reason=accounting.state_reason,
        last_success_age=max(now - accounting.last_success, 0.0) if accounting.last_success else None,
        queued=accounting.queued,
    )


def delivery_page(
    head: PageHead, settings: Settings, storage: Storage, books: DeliveryAccounting, trend: DeliveryTrend
) -> DeliveryPage:
    """Return the page without its notices."""
    otlp = settings.otlp
    return DeliveryPage(
        head,
        protocol=otlp.protocol,
        compression=otlp.compression,
        rate=trend.points_per_second(),
        lag=books.last_lag if books.last_success else None,
        requests=dict(books.requests),
        queue=_queue(settings, storage, trend),
        books=point_books(books),
    )


def _queue(settings: Settings, storage: Storage, trend: DeliveryTrend) -> QueueFigures:
    queue, section = storage.queue, settings.storage
    oldest_age = queue.oldest_age()
    return QueueFigures(
        requests=len(queue),
        points=queue.points,
        bytes=queue.bytes,
        limit=section.max_bytes,
        oldest_age=oldest_age,
        seconds_until_full=trend.seconds_until_full(section.max_bytes, oldest_age),
        is_durable=section.directory is not None and not storage.degraded_reason,
        storage=storage.degraded_reason or str(section.directory or ""),
    )


def point_books(books: DeliveryAccounting) -> PointBooks:
    """Return where every produced point is."""
    return PointBooks(books.produced, books.delivered, books.rejected, dict(books.dropped), books.queued)


def notices(logged: Iterable[LoggedNotice]) -> tuple[Notice, ...]:
    """Return the last warnings and errors of the log, the newest first."""
    return tuple(Notice(each.timestamp, each.level, each.text, each.count) for each in logged)[::-1]
