"""The manual: the Markdown files beside this module, which `manual` prints and the exporter serves at /manual.

A topic is the path of a file without `.md`; the topic of a folder is its README. The list of topics is the files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = Path(__file__).parent
_INDEX: Final = "README"
_COMMENT: Final = re.compile(r"<!--.*?-->\n?", re.DOTALL)
"""The marks around generated tables, of no use to a reader."""
_PARAGRAPH: Final = re.compile(r"^(?!#|\||>|```|[-*] )\S.*(?:\n\S.*)*", re.MULTILINE)
_SENTENCE: Final = re.compile(r".*?[.?!](?= |$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ManualPage:
    """A page of the manual; `text` is Markdown."""

    topic: str
    text: str

    @property
    def title(self) -> str:
        """The heading of the page, without the marks of code."""
        return self.text.partition("\n")[0].removeprefix("# ").replace("`", "")

    @property
    def summary(self) -> str:
        """The first sentence, on one line."""
        paragraph = _PARAGRAPH.search(self.text)
        words = " ".join(paragraph[0].split()) if paragraph else ""
        sentence = _SENTENCE.match(words)
        return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", sentence[0] if sentence else words).removesuffix(":")


@cache
def topics() -> Mapping[str, Path]:
    """Return the file of each topic, pages of a folder after the folder's own."""
    files = {topic_of(path.relative_to(FOLDER).as_posix()): path for path in FOLDER.rglob("*.md")}
    return dict(sorted(files.items()))


def topic_of(file: str) -> str:
    """Return the topic of a file, by its path in the manual: `gate-lint/README.md` is `gate-lint`."""
    return file.removesuffix(".md").removesuffix(f"/{_INDEX}")


def page(topic: str) -> ManualPage | None:
    """Return the page of a topic, None if there is none."""
    path = topics().get(topic)
    return ManualPage(topic, _COMMENT.sub("", path.read_text("utf-8"))) if path else None


def contents() -> list[ManualPage]:
    """Return the pages that a table of contents lists: those that are in no folder, and the folders' own."""
    pages = (page(topic) for topic in topics() if "/" not in topic)
    return [each for each in pages if each is not None]
