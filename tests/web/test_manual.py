"""The manual is served at /manual: every page, as HTML that leads nowhere else and loads nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import pytest

from exporter import manual
from exporter.web.manual import anchor, index_html, link_address, page_html, render
from tests.web.test_server import client

if TYPE_CHECKING:
    from collections.abc import Iterator


def addresses(html: str, base: str) -> Iterator[str]:
    """Yield the paths of this exporter to which a page refers."""
    for address in re.findall(r'(?:href|src)="([^"]+)"', html):
        if "://" not in address:
            yield urljoin(base, address)


async def test_every_link_of_every_page_is_served() -> None:
    async with client() as session:
        pages = ["/manual", *(f"/manual/{topic}" for topic in manual.topics())]
        texts = {page: await (await session.get(page)).text() for page in pages}
        linked = {address for page, text in texts.items() for address in addresses(text, page)}
        paths = {urlsplit(address).path for address in linked}
        assert {path for path in paths if (await session.head(path)).status != 200} == set()
    for address in linked:
        path, _, fragment = address.partition("#")
        assert not fragment or f'id="{fragment}"' in texts[path], address


@pytest.mark.parametrize("topic", ["../server", "gates.md", "no", "gate-lint/../gates", "%2e%2e/__init__"])
async def test_nothing_but_the_manual_is_served(topic: str) -> None:
    async with client() as session:
        response = await session.get(f"/manual/{topic}", allow_redirects=False)
        assert response.status == (200 if topic.endswith("/../gates") else 404)  # the client resolves that one


def test_html_in_a_page_stays_text_and_pictures_are_named() -> None:
    text = "# Title\n\n<script>alert(1)</script>\n\n![a chart](../chart.png) [x](javascript:alert(1))\n"
    html = render(manual.ManualPage("series", text))
    assert "&lt;script&gt;" in html
    assert "(picture: a chart)" in html
    assert not any(word in html for word in ("<script", "<img", 'href="javascript'))
    assert page_html("../README") is None


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


def test_the_contents_list_every_page_with_a_sentence() -> None:
    assert [each.topic for each in manual.contents() if not each.title or len(each.summary.split()) < 4] == []
    assert all(f'href="manual/{each.topic}"' in index_html() for each in manual.contents())


def test_anchors_are_those_of_github() -> None:
    assert anchor("Gotcha 1: `basicAuth`") == "gotcha-1-basicauth"
