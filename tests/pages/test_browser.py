"""The pages in Chromium: what moves, what stays, what a person can do, and what axe finds."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import expect

from exporter.config.outputs import WebSection
from exporter.web.model import FleetCounts, Urgency
from exporter.web.server import serve
from tests.pages import samples
from tests.pages.browser import DESK, PHONE, THEMES, browsing, started_browser
from tests.pages.exporters import PREFIX, RecordedTime, behind_prefix, replaying, with_rollouts
from tests.real_stores import free_port
from tests.web.page_provider import FixedPages, page_sources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from playwright.async_api import Browser, CDPSession, Page

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

PATHS: Final = (
    "", "rollouts/shop/checkout", "rollouts/shop/chekout", "delivery", "targets", "gates", "configuration", "manual",
    "manual/alerts", "manual/gate-lint/address-last9",
)  # fmt: skip # a table
REFUSED: Final = "ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET"
NOTE_THEME: Final = """
  new MutationObserver((_, observer) => {
    if (!document.body) return;
    window.themeOfBody = document.documentElement.dataset.theme;
    observer.disconnect();
  }).observe(document, { childList: true, subtree: true });
"""
"""Notes the theme when there is the first thing to paint."""
MAX_FLEET_BYTES: Final = 60_000
"""Of a fleet page with 100 of 5,000 rollouts, compressed, with its style and script: a second on a slow phone."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser(require_program: Callable[[str], str]) -> AsyncIterator[Browser]:
    async with started_browser(require_program("chromium")) as started:
        yield started


@asynccontextmanager
async def opened(
    browser: Browser, url: str, width: int = DESK, theme: str = "light", *, allowed: str = "^$", script: bool = True
) -> AsyncIterator[Page]:
    """Open a page that is live; at the end it has logged no error, nor asked another host for anything.

    Errors are also what violates the content security policy. `allowed` is a pattern of errors that may be.
    """
    async with browsing(browser, width, theme, java_script_enabled=script) as context:
        page = await context.new_page()
        errors: list[str] = []
        hosts: set[str] = set()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or ""))
        await page.goto(url)
        if script:
            await expect(page.locator("#live")).to_have_text("live")
        yield page
        assert [error for error in errors if not re.search(allowed, error)] == []
        assert hosts == {"127.0.0.1"}


@asynccontextmanager
async def fixed(pages: FixedPages, port: int = 0) -> AsyncIterator[str]:
    """Serve pages with fixed values."""
    async with serve(WebSection(listen=f"127.0.0.1:{port}"), page_sources(pages)) as served_port:
        yield f"http://127.0.0.1:{served_port}/"


async def test_a_canary_of_a_recording_moves_on_an_open_page(
    browser: Browser, recording: Callable[[str], Path]
) -> None:
    time = RecordedTime()
    async with replaying(recording("traffic-canary") / "full.jsonl", time) as url, opened(browser, url) as page:
        row = page.locator('[data-key="shop/checkout"]')
        await expect(row).to_contain_text("Completed")
        for seconds, new, stable in ((7, 5, 95), (20, 25, 75), (29, 50, 50)):
            time.seconds = seconds
            traffic = row.locator(".versions")
            await expect(traffic).to_contain_text(
                re.compile(rf"new\s*app:v2\s*{new}\s%\s*stable\s*app:v1\s*{stable}\s%")
            )
        await page.locator('[data-key="shop/checkout"] a').first.click()
        await expect(page.locator("h1")).to_have_text("shop/checkout")
        await expect(page.locator(".verdict")).to_contain_text("Updating")
        time.seconds = 43
        await expect(page.locator(".verdict")).to_contain_text("Healthy")
        await expect(page.locator("#timeline tbody tr").first).to_contain_text("promoted")
        time.seconds = 69
        await expect(page.locator("#changes")).to_have_text("Completed")


async def test_a_broken_stream_is_announced_and_the_page_recovers_with_what_happened_meanwhile(
    browser: Browser,
) -> None:
    pages, port = FixedPages(), free_port()
    async with AsyncExitStack() as stack:
        async with AsyncExitStack() as first:
            url = await first.enter_async_context(fixed(pages, port))
            page = await stack.enter_async_context(opened(browser, url, allowed=REFUSED))
        await expect(page.locator("#live")).to_have_text("not live")
        await expect(page.locator("#stale")).to_contain_text("Not live since")
        await expect(page.locator("h1")).to_have_text("2 rollouts need a person")  # the last that is known stays
        pages.page_head = replace(samples.HEAD, counts=FleetCounts(48, {Urgency.PERSON: 3}))
        async with fixed(pages, port):
            await expect(page.locator("#live")).to_have_text("live")
            await expect(page.locator("#stale")).to_be_hidden()
            await expect(page.locator("h1")).to_have_text("3 rollouts need a person")
            assert (await page.title()).startswith("3 need a person")


async def test_an_update_keeps_scroll_focus_selection_and_what_is_typed(browser: Browser) -> None:
    pages = FixedPages()
    async with fixed(pages) as url, opened(browser, url) as page:
        await page.locator("#q").fill("shop")
        await expect(page).to_have_url(re.compile(r"\?q=shop$"))
        row = page.locator('[data-key="shop/cart"]')
        await row.locator("a").focus()
        await page.evaluate("scrollTo(0, 300)")
        await page.evaluate(
            "getSelection().selectAllChildren(document.querySelector('[data-key=\"shop/cart\"] .sentence'))"
        )
        await page.evaluate("document.querySelector('[data-key=\"shop/cart\"]').sameNode = true")
        selected = await page.evaluate("String(getSelection())")
        aborted = replace(samples.ABORTED, phase="Degraded")
        moved = replace(samples.PAUSED, sentence="Paused for 43 min.")
        pages.fleet_page = replace(samples.FLEET, cards=(moved, aborted, *samples.FLEET.cards[3:]))
        pages.end_cycle()
        await expect(row).to_contain_text("Degraded")
        await expect(page.locator('[data-key="payments/ledger-writer"]')).to_have_count(0)
        assert await page.evaluate("scrollY") == 300
        assert await page.evaluate("String(getSelection())") == selected
        assert await page.evaluate("document.activeElement.textContent") == "shop/cart"
        assert await row.evaluate("node => node.sameNode") is True
        assert await page.locator("#q").input_value() == "shop"
        await expect(page.locator("#changes")).to_have_text("shop/cart: Degraded")


async def test_an_update_keeps_details_open(browser: Browser) -> None:
    pages = FixedPages()
    async with fixed(pages) as url, opened(browser, url + "rollouts/shop/checkout") as page:
        await page.locator("summary", has_text="2 pods").click()
        pages.rollout_page_shown = replace(samples.ROLLOUT, pods=(*samples.ROLLOUT.pods, samples.ROLLOUT.pods[0]))
        pages.end_cycle()
        await expect(page.locator("summary", has_text="3 pods")).to_be_visible()
        await expect(page.locator('[data-key="pods"]')).to_have_attribute("open", "")
        assert await page.locator("button.copy").count() == await page.locator(".command").count()


async def test_keys_filter_move_open_go_back_and_zoom(browser: Browser) -> None:
    async with fixed(FixedPages()) as url, opened(browser, url) as page:
        await page.keyboard.press("/")
        await page.keyboard.type("check")
        await expect(page).to_have_url(re.compile(r"\?q=check$"))
        await page.keyboard.press("Escape")
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await page.keyboard.press("k")
        await page.keyboard.press("j")
        await expect(page.locator('[data-key="shop/checkout"] a').first).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("shop/checkout")
        await expect(page.locator("#live")).to_have_text("live")
        await page.keyboard.press("-")
        await expect(page).to_have_url(re.compile(r"\?hours=12$"))
        await page.keyboard.press("Escape")
        await expect(page).to_have_url(re.compile(r"\?q=check$"))
        await expect(page.locator("#live")).to_have_text("live")
        await page.keyboard.press("?")
        await expect(page.locator("#keys")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.locator("#keys")).to_be_hidden()


async def test_the_theme_is_remembered_and_stands_before_the_first_paint(browser: Browser) -> None:
    async with fixed(FixedPages()) as url, opened(browser, url) as page:
        light = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        await page.keyboard.press("t")
        await page.add_init_script(NOTE_THEME)
        await page.goto(url + "targets")
        assert await page.evaluate("themeOfBody") == "dark"
        assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != light


async def test_a_link_with_a_filter_shows_it_and_tiles_lead_to_theirs(
    browser: Browser, recording: Callable[[str], Path]
) -> None:
    time = RecordedTime(7)
    async with (
        replaying(recording("traffic-canary") / "full.jsonl", time) as url,
        opened(browser, f"{url}?ns=shop&state=updating") as page,
    ):
        await expect(page.locator("[data-row]")).to_have_text(["shop/checkout"])
        await expect(page.locator("select[name=ns]")).to_have_value("shop")
        await page.locator(".tiles a", has_text="At rest").click()
        await expect(page).to_have_url(f"{url}?ns=shop&state=rest")
        await expect(page.locator("[data-row]")).to_have_text(["shop/cart", "shop/web"])


async def test_filters_work_without_a_script(browser: Browser, recording: Callable[[str], Path]) -> None:
    async with (
        replaying(recording("traffic-canary") / "full.jsonl", RecordedTime(7)) as url,
        opened(browser, url, script=False) as page,
    ):
        await page.reload()  # the first may be before the first scrape
        await page.locator("#q").fill("car")
        await page.locator("select[name=ns]").select_option("shop")
        await page.locator("form.filter button").click()
        await expect(page.locator("[data-row]")).to_have_text(["shop/cart"])
        await page.locator("[data-row]").click()
        await expect(page.locator("h1")).to_have_text("shop/cart")
        link = "https://grafana.example/d/x?var-namespace=shop&var-name=cart"
        await expect(page.locator(".links a", has_text="Grafana")).to_have_attribute("href", link)
        await page.locator(".zoom a", has_text="12 h").click()
        await expect(page.locator(".zoom a[aria-current]")).to_have_text("12 h")


async def test_pages_work_behind_a_path_prefix(browser: Browser) -> None:
    pages = FixedPages()
    async with fixed(pages) as direct, behind_prefix(direct) as url, opened(browser, url) as page:
        for name in ("Delivery", "Targets", "Gates", "Configuration", "Fleet"):
            await page.locator("header nav a", has_text=name).click()
            await expect(page.locator("header nav a[aria-current]")).to_have_text(name)
            await expect(page.locator("#live")).to_have_text("live")
        await page.locator('[data-key="shop/checkout"] a').first.click()
        await expect(page).to_have_url(f"{url}rollouts/shop/checkout")
        await page.locator(".crumbs a", has_text="Fleet").click()
        await expect(page).to_have_url(url)
        assert urlsplit(page.url).path == f"{PREFIX}/"
        pages.page_head = replace(samples.HEAD, counts=FleetCounts(48, {Urgency.PERSON: 3}))
        pages.end_cycle()
        await expect(page.locator("h1")).to_have_text("3 rollouts need a person")


async def test_five_thousand_rollouts_load_within_a_budget(
    browser: Browser, record_property: Callable[[str, object], None]
) -> None:
    async with with_rollouts(5_000) as url, opened(browser, url) as page:
        await expect(page.locator("h1")).to_have_text(re.compile("person"), timeout=30_000)
        await expect(page.locator(".pager")).to_contain_text("page 1 of 50")
        await page.reload()
        transfers = await page.evaluate(
            "performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource'))"
            ".filter(entry => !entry.name.endsWith('/live')).map(entry => [entry.name, entry.transferSize])"
        )
        sent = sum(size for _, size in transfers)
        session = await page.context.new_cdp_session(page)
        await session.send("Performance.enable")
        before = await _script_seconds(session)
        await page.locator("#q").fill("web-00123")
        await expect(page.locator("[data-row]")).to_have_count(10)
        after = await _script_seconds(session)
        record_property("fleet_bytes", sent)
        record_property("script_seconds", after - before)
        print(f"5,000 rollouts: {sent:,} bytes; a filter takes {1000 * (after - before):.0f} ms of script")
        assert sent < MAX_FLEET_BYTES


async def _script_seconds(session: CDPSession) -> float:
    answer = await session.send("Performance.getMetrics")
    return sum(float(metric["value"]) for metric in answer["metrics"] if metric["name"] == "ScriptDuration")


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("theme", THEMES)
async def test_axe_finds_nothing_and_no_page_is_wider_than_the_screen(browser: Browser, width: int, theme: str) -> None:
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text()
    findings: list[str] = []
    async with (
        fixed(FixedPages()) as good,
        fixed(FixedPages(samples.TROUBLE)) as troubled,
        opened(browser, good, width, theme, allowed="404") as page,
    ):
        for url in (*(good + path for path in PATHS), troubled, f"{troubled}delivery"):
            await page.goto(url)
            for summary in await page.locator("summary").all():
                await summary.click()
            await page.evaluate(axe)
            result = await page.evaluate("axe.run({resultTypes: ['violations']})")
            for violation in result["violations"]:
                nodes = [node["html"][:200] for node in violation["nodes"][:3]]
                findings.append(f"{url}: {violation['id']}: {violation['help']}: {nodes}")
            wide = await page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                findings.append(f"{url}: {wide} px wide")
    assert findings == []


async def test_reduced_motion_is_respected(browser: Browser) -> None:
    async with fixed(FixedPages()) as url, browsing(browser, reduced_motion="reduce") as context:
        page = await context.new_page()
        await page.goto(url)
        await page.evaluate("document.querySelector('.card').classList.add('changed')")
        assert await page.evaluate("document.getAnimations().length") == 0
