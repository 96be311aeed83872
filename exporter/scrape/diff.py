"""What a family's text was on the target's last page, held against what it is now: most of it is the same again.

A strip that stands where it is looked for is recognised by the hash of its text; where something has come, gone or
changed, the place is searched at which what is known goes on. Pages are in the same order from one scrape to the next
(facts: observed 1.4 and 2.2.2); where one is not, comparing is given up after a few misses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.metrics import SampleBatch, Series


# Where to cut text of lines: before a comment, and into strips.


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


# rooms


REACH: Final = 4 * SIZE
"""How far ahead it is looked for the place where what is known goes on."""
_AHEAD: Final = 3
_PATIENCE: Final = 8


class Former:
    """The strips of a family on the last page, in their order, and the one that is expected next."""

    __slots__ = ("_misses", "_next", "_strips")

    def __init__(self, strips: Sequence[SampleBatch] = ()) -> None:
        self._strips = [strip for strip in strips if strip.text_size]
        self._next = 0
        self._misses = 0

    @property
    def expected(self) -> SampleBatch | None:
        """The strip that should stand next."""
        return self._strips[self._next] if self._next < len(self._strips) else None

    def again(self, text: bytes, pos: int) -> SampleBatch | None:
        """Return the expected strip, if it stands at a place of the text, and go on to the one after it."""
        strip = self.expected
        if strip is None or hash(text[pos : pos + strip.text_size]) != strip.text_hash:
            return None
        self._next += 1
        self._misses = 0
        return strip

    @property
    def size(self) -> int:
        """How many bytes have to be there before anything can be told."""
        strip = self.expected
        return SIZE if strip is None else max(strip.text_size, SIZE)

    def resumes(self, text: bytes, pos: int, stop: int) -> int:
        """Return where an expected strip begins, at or after a place, within reach; -1 when none does.

        Of what stood before it some has changed or gone; what stands before it now is new.
        """
        for ahead, strip in enumerate(self._strips[self._next : self._next + _AHEAD]):
            first = _first(strip)
            if text.startswith(first, pos):
                if ahead:
                    self._next += ahead
                    return pos
                continue
            at = text.find(b"\n" + first, pos, min(stop, pos + REACH)) + 1
            if at:
                self._next += ahead
                return at
        self._miss(text, pos)
        return -1

    def shared(self, series: tuple[Series, ...]) -> tuple[Series, ...]:
        """Return the tuple of a strip nearby that has the very same series, else the tuple itself."""
        near = self._strips[max(self._next - 1, 0) : self._next + 1]
        return next((strip.series for strip in near if strip.series == series), series)

    def _miss(self, text: bytes, pos: int) -> None:
        self._misses += 1
        strip = self.expected
        if strip is None or self._misses > _PATIENCE:
            self._strips = []
        elif text.startswith(_first(strip), pos):
            self._next += 1


def _first(strip: SampleBatch) -> bytes:
    """Return what names the first series of a strip."""
    return strip.series[0].exposition.encode() + b" "
