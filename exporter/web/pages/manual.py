"""A page of the manual, with the header and the footer of all pages and the list of topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from exporter.web.pages.rendering import render_page

if TYPE_CHECKING:
    from exporter.web.model import ManualView


def render(page: ManualView) -> str:
    """Return the page as HTML."""
    topic = page.article.topic
    return render_page(
        "manual.html",
        page.head,
        root="../" * (topic.count("/") + 1) if topic else "",
        article=page.article,
        body=Markup(page.article.html),  # noqa: S704 - of the package
        entries=page.entries,
        chapter=topic.partition("/")[0],
    )
