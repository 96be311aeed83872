"""A real Chromium: pages are opened, pressed and looked at as a person does."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from playwright.async_api import async_playwright, expect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, BrowserContext

PHONE, DESK = 390, 1280
"""Widths in CSS pixels."""
HEIGHTS: Final = {PHONE: 844, DESK: 800}
TIMEOUT: Final = 15_000
"""Milliseconds to wait for what has to come: two cores may be busy with other tests."""
THEMES: Final = ("light", "dark")


def chromium_path() -> str | None:
    """Return the path of Chromium."""
    return shutil.which("chromium")


@asynccontextmanager
async def started_browser(path: str) -> AsyncIterator[Browser]:
    """Run Chromium while the context lasts."""
    async with async_playwright() as playwright:
        # In a container Chromium runs as root, which its sandbox refuses, and /dev/shm may have 64 MB only.
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def browsing(
    browser: Browser, width: int = DESK, theme: str = "light", **options: Any
) -> AsyncIterator[BrowserContext]:
    """Yield a fresh profile of a width and theme."""
    context = await browser.new_context(
        viewport={"width": width, "height": HEIGHTS[width]},
        color_scheme="dark" if theme == "dark" else "light",
        timezone_id="UTC",
        locale="en-GB",
        **options,
    )
    context.set_default_timeout(TIMEOUT)
    expect.set_options(timeout=TIMEOUT)
    try:
        yield context
    finally:
        await context.close()
