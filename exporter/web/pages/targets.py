"""The page of targets: what is scraped, and why a scrape failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.web.pages.rendering import render_page

if TYPE_CHECKING:
    from exporter.web.model import TargetsPage


def render(page: TargetsPage) -> str:
    """Return the page as HTML."""
    down = [target for target in page.targets if target.error]
    count = len(page.targets)
    if down:
        headline = f"{len(down)} of {count} targets {'is' if len(down) == 1 else 'are'} down"
    else:
        headline = f"All {count} targets answer" if count else "No target has been scraped yet"
    has_trouble = bool(down or page.sources_without or any(target.malformed_count for target in page.targets))
    return render_page("targets.html", page.head, here="Targets", page=page, headline=headline, has_trouble=has_trouble)
