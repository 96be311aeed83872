"""The page of the shadow gates, which only report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.web.pages.rendering import render_page

if TYPE_CHECKING:
    from exporter.web.model import GatesPage


def render(page: GatesPage) -> str:
    """Return the page as HTML."""
    return render_page("gates.html", page.head, here="Gates", page=page)
