"""The manual as HTML, at /manual: links lead to other pages of it, pictures and files of the repository are named."""

from __future__ import annotations

import asyncio
import posixpath
import re
from functools import cache
from html import escape
from string import Template
from typing import TYPE_CHECKING, Final

from aiohttp import web

from exporter import manual

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from markdown_it.token import Token

_FOLDER: Final = "manual"


def manual_routes() -> dict[str, Callable[[web.Request], Awaitable[web.Response]]]:
    """Return the handlers of the manual by their paths."""
    return {"/manual": _index, "/manual/style.css": _style, "/manual/{topic:.+}": _page}


async def _index(_: web.Request) -> web.Response:
    return _html(await asyncio.to_thread(index_html))


async def _style(_: web.Request) -> web.Response:
    return web.Response(text=_asset("manual.css"), content_type="text/css", charset="utf-8")


async def _page(request: web.Request) -> web.Response:
    text = await asyncio.to_thread(page_html, request.match_info["topic"])
    if text is None:
        return web.Response(status=404, text="the manual has no such page; /manual lists all\n")
    return _html(text)


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", charset="utf-8")


@cache
def _asset(name: str) -> str:
    from importlib.resources import files  # noqa: PLC0415 - it takes 1 MB, and few exporters show the manual

    return files("exporter.web").joinpath("page", name).read_text("utf-8")


@cache
def index_html() -> str:
    """Return the table of contents."""
    rows = (
        f'<dt><a href="{_FOLDER}/{each.topic}">{escape(each.title)}</a></dt>'
        f"<dd>{escape(each.summary.replace('`', ''))}</dd>"
        for each in manual.contents()
    )
    return _document("Manual", f"<h1>Manual</h1><dl>{''.join(rows)}</dl>", "")


def page_html(topic: str) -> str | None:
    """Return the page of a topic as HTML, None if there is none."""
    document = manual.page(topic)
    return None if document is None else render(document)


@cache
def render(document: manual.ManualPage) -> str:
    """Return a page as HTML; HTML in its Markdown stays text."""
    topic, file = document.topic, manual.topics()[document.topic].relative_to(manual.FOLDER).as_posix()
    # Loaded with the first page: an exporter whose manual nobody reads has no use for it.
    from markdown_it import MarkdownIt  # noqa: PLC0415 - see above

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(document.text)
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor(tokens[index + 1].content))
        _adapt_links(token.children or (), file, topic)
    return _document(document.title, parser.renderer.render(tokens, parser.options, {}), "../" * (topic.count("/") + 1))


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _adapt_links(tokens: Sequence[Token], file: str, topic: str) -> None:
    tag = "a"
    for token in tokens:
        if token.type == "image":
            # Pictures are not in the package; its policy would not let the browser load any.
            token.type, token.content = "text", f"(picture: {token.content})"
        elif token.type == "link_open":
            address = link_address(str(token.attrs["href"]), file, topic)
            token.attrs = {"href": address} if address else {}
            tag = token.tag = "a" if address else "span"
        elif token.type == "link_close":
            token.tag = tag  # links do not nest


def link_address(target: str, file: str, topic: str) -> str | None:
    """Return the address of a link for the page of a topic; None if its target is not in the manual."""
    if re.match(r"https?://|#", target):
        return target
    path, mark, fragment = target.partition("#")
    linked = manual.topic_of(posixpath.normpath(posixpath.join(posixpath.dirname(file), path)))
    if linked not in manual.topics():
        return None
    return posixpath.relpath(linked, posixpath.dirname(topic) or ".") + mark + fragment


def _document(title: str, body: str, up: str) -> str:
    # Relative addresses: a proxy may serve the pages below a path of its own.
    return Template(_asset("manual.html")).substitute(
        title=escape(title), body=body, manual=f"{up}{_FOLDER}", home=up or "./"
    )
