"""The manual is served at /manual: every page, as HTML that leads nowhere else and loads nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import pytest

from exporter import manual
from exporter.web.manual import anchor, article, link_address, render
from tests.pages.markup import ParsedPage
from tests.web.test_server import client

if TYPE_CHECKING:
    from collections.abc import Iterator

    import aiohttp


def addresses(html: str, base: str) -> Iterator[str]:
    """Yield the paths of this exporter to which a page refers."""
    for address in re.findall(r'(?:href|src)="([^"]+)"', html):
        if "://" not in address:
            yield urljoin(base, address)


async def text_of(session: aiohttp.ClientSession, path: str) -> str:
    async with session.get(path, headers={"Accept-Encoding": "identity"}) as response:
        return await response.text()


async def test_every_link_of_every_page_is_served() -> None:
    async with client() as session:
        pages = ["/manual", *(f"/manual/{topic}" for topic in manual.topics())]
        texts = {page: await text_of(session, page) for page in pages}
        linked = {address for page, text in texts.items() for address in addresses(text, page)}
        paths = {urlsplit(address).path for address in linked}
        assert {path for path in paths if (await session.head(path)).status != 200} == set()
        for page, text in texts.items():
            ids = re.findall(r'\bid="([^"]+)"', text)
            assert len(ids) == len(set(ids)), page
    for address in linked:
        path, _, fragment = address.partition("#")
        assert not fragment or f'id="{fragment}"' in texts[path], address


@pytest.mark.parametrize("topic", ["../server", "gates.md", "no", "gate-lint/../gates", "%2e%2e/__init__"])
async def test_nothing_but_the_manual_is_served(topic: str) -> None:
    async with client() as session:
        response = await session.get(f"/manual/{topic}", allow_redirects=False)
        assert response.status == (200 if topic.endswith("/../gates") else 404)  # the client resolves that one


def test_an_empty_cell_at_the_head_of_a_table_is_no_header() -> None:
    html = render(manual.ManualPage("series", "# Title\n\n| | value |\n|---|---|\n| a | 1 |\n"))
    assert re.findall(r"<t[hd][^>]*>[^<]*</t[hd]>", html)[:2] == ["<td></td>", '<th scope="col">value</th>']


def test_html_in_a_page_stays_text_and_pictures_are_named() -> None:
    text = "# Title\n\n<script>alert(1)</script>\n\n![a chart](../chart.png) [x](javascript:alert(1))\n"
    html = render(manual.ManualPage("series", text))
    assert "&lt;script&gt;" in html
    assert "(picture: a chart)" in html
    assert not any(word in html for word in ("<script", "<img", 'href="javascript'))
    assert article("../README") is None


@pytest.mark.parametrize(
    ("target", "file", "topic", "address"),
    [
        ("gates.md", "series.md", "series", "gates"),
        ("gates.md#limits", "series.md", "series", "gates#limits"),
        ("gate-lint/empty.md", "gates.md", "gates", "gate-lint/empty"),
        ("empty.md", "gate-lint/README.md", "gate-lint", "gate-lint/empty"),
        ("../gates.md", "gate-lint/empty.md", "gate-lint/empty", "../gates"),
        ("#here", "gates.md", "gates", "#here"),
        ("https://last9.io", "gates.md", "gates", "https://last9.io"),
        ("../../charts/rollouts-exporter/README.md", "gates.md", "gates", None),
    ],
)
def test_links_lead_to_pages_of_the_manual(target: str, file: str, topic: str, address: str | None) -> None:
    assert link_address(target, file, topic) == address


async def test_the_contents_list_every_page_with_a_sentence() -> None:
    assert [each.topic for each in manual.contents() if not each.title or len(each.summary.split()) < 4] == []
    async with client() as session:
        text = await text_of(session, "/manual")
    assert all(f'href="manual/{each.topic}"' in text for each in manual.contents())


@pytest.mark.parametrize(
    ("topic", "root", "current"),
    [("settings", "../", ["page"]), ("gate-lint", "../", ["page"]), ("gate-lint/address-last9", "../../", ["true"])],
)
async def test_a_page_has_header_and_footer_of_all_pages_and_the_list_of_topics(
    topic: str, root: str, current: list[str]
) -> None:
    async with client() as session:
        page = ParsedPage(await text_of(session, f"/manual/{topic}"))
        other = ParsedPage(await text_of(session, "/targets"))
    assert [len(page.all(tag)) for tag in ("h1", "main", "header", "footer", "nav")] == [1, 1, 1, 1, 2]
    links = [attributes["href"] for attributes in page.all("a")]
    common = [address for address in other.addresses if address in {"delivery", "targets", "configuration", "metrics"}]
    assert len(common) >= 4
    assert {f"{root}{address}" for address in common} <= set(links)
    assert {f"{root}manual/{each.topic}" for each in manual.contents()} <= set(links)
    assert [tag["aria-current"] for tag in page.all("a") if "aria-current" in tag] == current
    assert all(attributes.get("scope") == "col" for attributes in page.all("th"))


def test_anchors_are_those_of_github() -> None:
    assert anchor("Gotcha 1: `basicAuth`") == "gotcha-1-basicauth"
