"""The manual as HTML: links lead to other pages of it, pictures and files of the repository are named."""

from __future__ import annotations

import posixpath
import re
from functools import cache
from itertools import chain, count
from typing import TYPE_CHECKING, Final

from exporter import manual
from exporter.web.model import ManualArticle, ManualEntry

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from markdown_it.token import Token

_PAGE_IDS: Final = frozenset(
    {"changes", "help", "keys", "keys-title", "live", "main", "stale", "theme", "topics-title"}
)
"""Ids of the page around an article."""
CONTENTS: Final = ManualArticle("", "Manual")
"""The page that lists all topics."""


@cache
def entries() -> tuple[ManualEntry, ...]:
    """Return the table of contents."""
    return tuple(ManualEntry(each.topic, each.title, each.summary.replace("`", "")) for each in manual.contents())


@cache
def article(topic: str) -> ManualArticle | None:
    """Return the page of a topic, None if there is none; that of no topic lists all."""
    if not topic:
        return CONTENTS
    document = manual.page(topic)
    return None if document is None else ManualArticle(topic, document.title, render(document))


def render(document: manual.ManualPage) -> str:
    """Return a page as HTML; HTML in its Markdown stays text."""
    topic, file = document.topic, manual.topics()[document.topic].relative_to(manual.FOLDER).as_posix()
    # Loaded with the first page: an exporter whose manual nobody reads has no use for it.
    from markdown_it import MarkdownIt  # noqa: PLC0415 - see above

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", _table_start)
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    tokens, ids = parser.parse(document.text), set(_PAGE_IDS)
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            ids.add(unique := _unique_id(anchor(tokens[index + 1].content), ids))
            token.attrSet("id", unique)
        elif token.type == "th_open" and tokens[index + 1].content:
            token.attrSet("scope", "col")
        elif token.type == "th_open":  # an empty cell heads nothing
            token.tag = tokens[index + 2].tag = "td"
        _adapt_links(token.children or (), file, topic)
    # What scrolls can be reached by keys.
    return str(parser.renderer.render(tokens, parser.options, {})).replace("<pre>", '<pre tabindex="0">')


def _table_start(_renderer: object, tokens: Sequence[Token], index: int, *_: object) -> str:
    """Return the start of a table that scrolls by itself, by keys, too."""
    number = sum(token.type == "table_open" for token in tokens[: index + 1])
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Table {number}"><table>\n'


def _unique_id(name: str, used: Collection[str]) -> str:
    """Return the id of a heading, with a number if it is taken, as GitHub does."""
    return next(each for each in chain((name,), (f"{name}-{number}" for number in count(1))) if each not in used)


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
