"""The page of one rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.web.pages import timeline
from exporter.web.pages.rendering import render_page

if TYPE_CHECKING:
    from exporter.web.model import RolloutPage

ROOT = "../../"
"""Relative path from /rollouts/NAMESPACE/NAME to /."""


def render(page: RolloutPage) -> str:
    """Return the page as HTML; without a card it names rollouts with a similar name."""
    return render_page(
        "rollout.html",
        page.head,
        root=ROOT,
        page=page,
        card=page.card,
        drawing=timeline.draw(page.timeline, page.head.now) if page.timeline is not None else None,
        geometry=timeline,
        similar=[name.split("/", 1) for name in page.similar],
    )
