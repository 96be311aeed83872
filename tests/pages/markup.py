"""A page, parsed: what a browser would load, and what a screen reader would read."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_VOID = frozenset({"meta", "link", "input", "br"})


class ParsedPage(HTMLParser):
    """Tags with their attributes, and text; raises if an element is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += f"{data} "

    @property
    def text(self) -> str:
        """The text with single spaces; those that may not break stay."""
        return re.sub(r"[ \n]+", " ", self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements with a tag."""
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def addresses(self) -> list[str]:
        """All that is loaded or linked."""
        return [
            str(value)
            for _, attributes in self.tags
            for name, value in attributes.items()
            if name in {"href", "src", "action"}
        ]
