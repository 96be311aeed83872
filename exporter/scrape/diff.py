"""The diff of a family's text with the target's previous page, most of which is the same.

A batch at the expected place is recognised by the hash of its text. After a change, the place is searched
for where the previous page continues. Controllers and kube-state-metrics write their pages in the same order from
one scrape to the next; of a page that is not, the diff gives up after a few misses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.scrape.cache import PackedSeries

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from exporter.metrics import SampleBatch, Series

BATCH_BYTES: Final = 4096
"""About the bytes of text of a batch, 20 to 40 lines: each changed line costs parsing its batch, each batch an object
and a hash."""
RESYNC_WINDOW: Final = 4 * BATCH_BYTES
"""Bytes that are searched for the place where the previous page continues: 16 KiB of new lines may be in between."""
_LOOKAHEAD: Final = 3
"""Batches of the previous page that are searched for after a change, so that two of them may have disappeared."""
_MAX_MISSES: Final = 8
"""Failed searches in a row after which the rest of the family is parsed as new, since its order has changed."""
_MAX_NUMBER_SIGNS: Final = 16
"""Number signs (`#`) within lines that are skipped one by one before `\\n#` is searched for."""
_LINE_FEED: Final = ord("\n")


def next_comment(text: bytes, pos: int, end: int) -> int:
    """Return where the next line that begins with `#` starts, `end` if none does before."""
    offset = pos
    for _ in range(_MAX_NUMBER_SIGNS):  # bytes.find is ten times as fast for one byte as for two
        offset = text.find(b"#", offset, end)
        if offset < 0:
            return end
        if text[offset - 1] == _LINE_FEED:
            return offset
        offset += 1
    return text.find(b"\n#", offset - 1, end) + 1 or end


def split_point(text: bytes, pos: int, stop: int, *, is_grouped: bool = False) -> int:
    """Return where to end a batch of about BATCH_BYTES; `is_grouped`: only where a histogram or summary ends."""
    # Client libraries write `_count` as the last sample of a point.
    if is_grouped and (last := text.rfind(b"_count", pos, min(stop, pos + BATCH_BYTES))) >= 0:
        return text.index(b"\n", last) + 1
    if stop - pos <= BATCH_BYTES:
        return stop
    return text.rfind(b"\n", pos, pos + BATCH_BYTES) + 1 or text.index(b"\n", pos) + 1


class PreviousBatches:
    """The batches of a family on the previous page, in order, and the one that is expected next."""

    __slots__ = ("_batches", "_misses", "_next")

    def __init__(self, batches: Sequence[SampleBatch] = ()) -> None:
        self._batches = [batch for batch in batches if batch.text_size]  # none if parsed line by line
        self._next = 0
        self._misses = 0

    @property
    def expected(self) -> SampleBatch | None:
        """The batch that is expected next."""
        return self._batches[self._next] if self._next < len(self._batches) else None

    def match_next(self, text: bytes, pos: int) -> SampleBatch | None:
        """Return the expected batch if its text is at `pos`, and expect the one after it."""
        batch = self.expected
        # The previous text is not in memory, only its size and hash.
        if batch is None or hash(text[pos : pos + batch.text_size]) != batch.text_hash:
            return None
        self._next += 1
        self._misses = 0
        return batch

    @property
    def needed_bytes(self) -> int:
        """Bytes of text that are needed before `find_resync` may be called."""
        batch = self.expected
        return BATCH_BYTES if batch is None else max(batch.text_size, BATCH_BYTES)

    def find_resync(self, text: bytes, pos: int, stop: int) -> int:
        """Return where a batch that is expected soon begins, at or after `pos` within RESYNC_WINDOW; -1 if none does.

        Batches skipped here were changed or removed; text before the returned offset is new.
        """
        for ahead, batch in enumerate(self._batches[self._next : self._next + _LOOKAHEAD]):
            prefix = _first_line_prefix(batch)
            if text.startswith(prefix, pos):
                # The expected batch itself stands here, with other values: look for those after it.
                if ahead:
                    self._next += ahead
                    return pos
                continue
            offset = text.find(b"\n" + prefix, pos, min(stop, pos + RESYNC_WINDOW)) + 1
            if offset:
                self._next += ahead
                return offset
        self._count_miss(text, pos)
        return -1

    def same_series(self, keys: array[int]) -> SampleBatch | None:
        """Return a neighbouring batch of the series with these keys: only values have changed."""
        return next((batch for batch in self._neighbours if batch.keys == keys), None)

    def same_column(self, series: Sequence[Series]) -> SampleBatch | None:
        """Return a neighbouring batch of these very objects."""
        return next((batch for batch in self._neighbours if batch.series == series), None)

    @property
    def _neighbours(self) -> Sequence[SampleBatch]:
        return self._batches[max(self._next - 1, 0) : self._next + 1]

    def _count_miss(self, text: bytes, pos: int) -> None:
        self._misses += 1
        batch = self.expected
        if batch is None or self._misses > _MAX_MISSES:
            self._batches = []
        elif text.startswith(_first_line_prefix(batch), pos):  # the expected batch itself, with another value
            self._next += 1


def _first_line_prefix(batch: SampleBatch) -> bytes:
    """Return the text of a batch's first line before its value."""
    series = batch.series
    text = series.first_text if isinstance(series, PackedSeries) else series[0].exposition.encode()
    return text + b" "
