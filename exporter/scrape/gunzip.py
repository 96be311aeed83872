"""Gzip as it comes in → plain blocks of bounded size, so that a bomb never inflates further than it is read."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK: Final = 64 * 1024
_GZIP: Final = 31  # zlib's word for "a gzip header and trailer, the largest window"


class Gunzip:
    """One body of any number of gzip members (RFC 1952 §2.2); no bytes at all are an empty body."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self.whole = True
        """Whether the body may end here: after a member, not within one."""

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """Yield what `packed` adds, in blocks of at most BLOCK bytes. Raises zlib.error."""
        more = bool(packed)
        while more:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            block = self._member.decompress(packed, BLOCK)
            self.whole = self._member.eof
            packed = self._member.unused_data if self.whole else self._member.unconsumed_tail
            more = bool(packed) or (len(block) == BLOCK and not self.whole)
            if block:
                yield block
