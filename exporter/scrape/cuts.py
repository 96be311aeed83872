"""Where to cut text of lines: before a comment, and into strips."""

from __future__ import annotations

from typing import Final

SIZE: Final = 4096
"""How many bytes of text make a strip."""
_HASHES: Final = 16
"""So many `#` in mid-line are passed over one by one, before a search for those that begin a line."""
_LINE_FEED: Final = 10


def next_comment(text: bytes, pos: int, end: int) -> int:
    """Return where the next line that begins with `#` does, `end` when none does before that."""
    at = pos
    for _ in range(_HASHES):  # one letter is found ten times as fast as two
        at = text.find(b"#", at, end)
        if at < 0:
            return end
        if text[at - 1] == _LINE_FEED:
            return at
        at += 1
    return text.find(b"\n#", at - 1, end) + 1 or end


def cut(text: bytes, pos: int, stop: int, *, runs: bool = False) -> int:
    """Return where to cut lines so that about SIZE bytes are taken; `runs`: where the lines of a point end, too."""
    if runs and (last := text.rfind(b"_count", pos, min(stop, pos + SIZE))) >= 0:
        return text.index(b"\n", last) + 1
    if stop - pos <= SIZE:
        return stop
    return text.rfind(b"\n", pos, pos + SIZE) + 1 or text.index(b"\n", pos) + 1
