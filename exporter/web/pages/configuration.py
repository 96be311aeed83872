"""The page of the settings in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.web.pages.rendering import render_page

if TYPE_CHECKING:
    from exporter.web.model import ConfigurationPage


def render(page: ConfigurationPage) -> str:
    """Return the page as HTML."""
    return render_page(
        "configuration.html",
        page.head,
        here="Configuration",
        page=page,
        chosen=[setting for setting in page.settings if not setting.is_default],
        defaults=[setting for setting in page.settings if setting.is_default],
    )
