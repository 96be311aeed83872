"""The page of delivery: whether the store has the data, and where every point is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.web.pages.headline import is_undelivered
from exporter.web.pages.rendering import render_page

if TYPE_CHECKING:
    from exporter.web.model import DeliveryPage


def render(page: DeliveryPage) -> str:
    """Return the page as HTML."""
    queue = page.queue
    return render_page(
        "delivery.html",
        page.head,
        here="Delivery",
        page=page,
        undelivered=is_undelivered(page.head.delivery),
        fill=min(queue.bytes / queue.limit, 1.0) if queue.limit else 0.0,
        dropped=sum(page.books.dropped.values()),
    )
