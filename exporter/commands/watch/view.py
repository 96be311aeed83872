"""A view as styled lines that fit a width, and the part of it that fits a terminal's height."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from exporter.log import CONTROL_CHARS
from exporter.web.model import Urgency

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.style import StyleType

# The words keep the terminal's own colour, since some colours cannot be read on white; colours are of marks and bars.
STYLES: Final = {
    Urgency.PERSON: "yellow",
    Urgency.FAILED: "red",
    Urgency.UPDATING: "cyan",
    Urgency.UNKNOWN: "magenta",
    Urgency.REST: "green",
}
MARKS: Final = {
    Urgency.PERSON: "!",
    Urgency.FAILED: "✗",
    Urgency.UPDATING: "▸",
    Urgency.UNKNOWN: "?",
    Urgency.REST: "·",
}
FULL, EMPTY, UNSURE, SET_MARK = "█", "░", "┄", "┃"
_ASCII: Final = str.maketrans(
    {"✗": "x", "▸": ">", "·": "-", FULL: "#", EMPTY: ".", UNSURE: "~", SET_MARK: "|", "→": ">", "…": "~"}
)
_BEFORE_UNIT: Final = re.compile(r"(?<=[0-9]) (?=(?:s|min|h|d|%)(?![A-Za-z0-9]))")
_JOINT: Final = "\ue000"
"""A space at which no line ends, while it is wrapped: rich ends lines at any that Unicode has."""
INDENT: Final = 2
GAP: Final = "  "
_WRAPPING: Final = Console(width=80, file=None)
"""Only its rules for lines count."""


@dataclass(frozen=True, slots=True)
class View:
    """The lines of a view: `head` and `foot` are always shown, of the `blocks` in between those that fit."""

    head: Sequence[Text]
    blocks: Sequence[Sequence[Text]]
    foot: Sequence[Text] = ()

    def all_lines(self) -> Iterator[Text]:
        """Yield every line."""
        yield from self.head
        for block in self.blocks:
            yield from block
        yield from self.foot

    def fitted(self, height: int, offset: int = 0) -> Iterator[Text]:
        """Yield the lines for a terminal of `height` lines, with the blocks from `offset` on."""
        room = max(height - len(self.head) - len(self.foot), 1)
        lines = [line for block in self.blocks[offset:] for line in block]
        if len(lines) > room:
            lines = [*lines[: room - 1], cell(f"… {len(lines) - room + 1} more lines: j and k move", "dim")]
        yield from self.head
        yield from lines
        yield from (Text() for _ in range(room - len(lines)))
        yield from self.foot


def cell(text: str, style: StyleType = "") -> Text:
    """Return text of anybody on one line."""
    return Text(CONTROL_CHARS.sub(" ", text), style)


def wrapped(text: Text, width: int, indent: int = INDENT, mark: str = "") -> Iterator[Text]:
    """Yield a text in lines of `width` cells at most, each indented, the first one behind a mark.

    A number stays with its unit.
    """
    joined = text.copy()
    joined.plain = _BEFORE_UNIT.sub(_JOINT, text.plain)
    for place, line in enumerate(joined.wrap(_WRAPPING, max(width - indent - len(mark), 1))):
        line.rstrip()
        line.plain = line.plain.replace(_JOINT, " ")
        yield Text(" " * indent) + Text(" " * len(mark) if place else mark) + line


def packed(parts: Sequence[Text], width: int, indent: int = INDENT) -> Iterator[Text]:
    """Yield parts one after another, as many on a line as fit; a longer one is wrapped."""
    line: Text | None = None
    for part in parts:
        if line is not None and line.cell_len + len(GAP) + part.cell_len <= width - indent:
            line = Text.assemble(line, GAP, part)
            continue
        if line is not None:
            yield from wrapped(line, width, indent)
        line = part
    if line is not None:
        yield from wrapped(line, width, indent)


def spread(left: Text, right: Text, width: int) -> Text:
    """Return a line with one text at its start and one at its end; the first is cut if both do not fit."""
    left = left.copy()
    left.truncate(max(width - right.cell_len - len(GAP), 1), overflow="ellipsis")
    space = " " * max(width - left.cell_len - right.cell_len, 1)
    return Text.assemble(left, space, right)


def bar(share: float | None, weight: float | None, width: int, style: str) -> Text:
    """Return a bar of `width` cells: full up to the canary's share, with a mark at the weight that is set."""
    full = round(min(max(share or 0.0, 0.0), 1.0) * width)
    cells = [FULL] * full + [UNSURE if share is None else EMPTY] * (width - full)
    text = Text("".join(cells), style)
    text.stylize("dim", full)
    if weight is None:
        return text
    place = min(int(min(max(weight, 0.0), 1.0) * width), width - 1)
    return Text.assemble(text[:place], (SET_MARK, "bold"), text[place + 1 :])


def as_ascii(line: Text) -> Text:
    """Return a line for a terminal without Unicode."""
    ascii_line = line.copy()
    ascii_line.plain = line.plain.translate(_ASCII).encode("ascii", "replace").decode()
    return ascii_line
