"""`python -m tests.pages FOLDER [URL PATH...]` takes pictures of the pages in Chromium, at two widths, dark and light.

Without a URL of a running exporter they show the made-up values of `samples.py`; with one, its fleet page and PATH...
`python -m tests.pages --write` takes those of the manual and the README into charts/rollouts-exporter/pictures.
"""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image

from exporter.config.outputs import WebSection
from exporter.web.server import serve
from tests.pages import samples
from tests.pages.browser import DESK, PHONE, THEMES, browsing, chromium_path, started_browser
from tests.web.page_provider import FixedPages, page_sources

if TYPE_CHECKING:
    from playwright.async_api import Browser

FOLDER: Final = Path(__file__).parents[2] / "charts/rollouts-exporter/pictures"
ROLLOUT: Final = f"rollouts/{samples.ROLLOUT.namespace}/{samples.ROLLOUT.name}"
PATHS: Final = (
    "",
    ROLLOUT,
    "rollouts/shop/chekout",
    "delivery",
    "targets",
    "gates",
    "configuration",
    "manual",
    "manual/alerts",
)
TROUBLED_PATHS: Final = ("", "delivery")
PUBLISHED: Final = {
    "page-fleet": ("", DESK, "light"),
    "page-fleet-phone": ("", PHONE, "dark"),
    "page-rollout": (ROLLOUT, DESK, "dark"),
    "page-delivery": ("delivery", DESK, "light"),
}
"""The pictures in the manual: name → path, width and theme; that of delivery has trouble in it."""
MAX_HEIGHT: Final = 1_500
"""Pixels of a published picture; the fleet page goes on below, with rollouts at rest."""


async def take(browser: Browser, url: str, file: Path, width: int, theme: str, *, max_height: int = 0) -> None:
    """Take the picture of a page that is live."""
    async with browsing(browser, width, theme, reduced_motion="reduce") as context:
        page = await context.new_page()
        await page.goto(url)
        await page.locator("#live:not(.broken)").wait_for()
        write_picture(await page.screenshot(full_page=True), file, max_height)


def write_picture(png: bytes, file: Path, max_height: int) -> None:
    """Write a picture, cut at a height (0: whole), with a palette."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    if max_height:
        image = image.crop((0, 0, image.width, min(image.height, max_height)))
    file.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(file, optimize=True)
    print(file, f"{file.stat().st_size / 1000:.0f} kB")


async def take_all(browser: Browser, url: str, paths: tuple[str, ...], folder: Path, prefix: str = "") -> None:
    """Take each page at both widths and in both themes."""
    for path in paths:
        name = path.replace("/", "-").replace("?", "-") or "fleet"
        for width in (PHONE, DESK):
            for theme in THEMES:
                await take(browser, url + path, folder / f"{prefix}{name}-{width}-{theme}.png", width, theme)


async def main(arguments: list[str]) -> None:
    """Take the pictures that are asked for."""
    path = chromium_path() or sys.exit("chromium is not installed")
    async with (
        started_browser(path) as browser,
        serve(WebSection(listen="127.0.0.1:0"), page_sources(FixedPages())) as port,
        serve(WebSection(listen="127.0.0.1:0"), page_sources(FixedPages(samples.TROUBLE))) as troubled_port,
    ):
        good, troubled = (f"http://127.0.0.1:{number}/" for number in (port, troubled_port))
        if arguments == ["--write"]:
            for name, (page, width, theme) in PUBLISHED.items():
                url = (troubled if page == "delivery" else good) + page
                await take(browser, url, FOLDER / f"{name}.png", width, theme, max_height=MAX_HEIGHT)
            return
        folder = Path(arguments[0])
        if len(arguments) > 1:
            await take_all(browser, arguments[1].rstrip("/") + "/", ("", *arguments[2:]), folder)
            return
        await take_all(browser, good, PATHS, folder)
        await take_all(browser, troubled, TROUBLED_PATHS, folder, "trouble-")


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    asyncio.run(main(sys.argv[1:]))
