"""Gzip: complete bodies at once, and streams in blocks of bounded size."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Final

from isal import isal_zlib

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BLOCK_BYTES: Final = 64 * 1024
"""Bytes that a stream is decompressed to at a time: a gzip bomb never fills memory before a limit is checked."""

SLICE_BYTES: Final = 16 * 1024
"""Bytes that are decompressed at a time. The rest of them is copied after each member, so that many small members cost
the square of this."""
GZIP_WBITS: Final = 31  # zlib: the largest window (15), and 16 for a gzip header and trailer
_AUTO_WBITS: Final = 47  # zlib: the largest window (15), and 32 to take gzip or zlib, as the header says
_MAGIC: Final = b"\x1f\x8b"

GZIP_ERRORS: Final = (OSError, EOFError, zlib.error)
"""What decompressing a body may raise."""


def gzip_body(body: bytes) -> bytes:
    """Return a body as gzip: fast (level 1, ISA-L), and the same bytes for the same body."""
    # ISA-L writes no time into the header, so a request that is sent again is the same bytes (E33).
    return isal_zlib.compress(body, 1, GZIP_WBITS)


def gunzip_body(body: bytes) -> bytes:
    """Return a body without its compression, if it has any. Raises GZIP_ERRORS."""
    return gzip.decompress(body) if is_gzip(body) else body


def is_gzip(body: bytes) -> bool:
    """Return whether a body is gzip; no protobuf message begins with these bytes."""
    return body.startswith(_MAGIC)


def decompress_prefix(body: bytes, max_bytes: int) -> bytes:
    """Return at most `max_bytes` bytes of a gzip or zlib body; one that is neither is returned unchanged."""
    try:
        return zlib.decompressobj(_AUTO_WBITS).decompress(body, max_bytes)
    except zlib.error:
        return body


class GunzipStream:
    """Decompresses one body of any number of gzip members (RFC 1952 §2.2); no bytes at all are an empty body."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(GZIP_WBITS)
        self.complete = True
        """Whether the body may end here: after a member, not within one."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what `chunk` decompresses to, in blocks of at most MAX_BLOCK_BYTES. Raises zlib.error.

        Members without output yield nothing: to get a turn in between, pass chunks of SLICE_BYTES.
        """
        for start in range(0, len(chunk), SLICE_BYTES):
            yield from self._feed_slice(chunk[start : start + SLICE_BYTES])

    def _feed_slice(self, chunk: bytes) -> Iterator[bytes]:
        has_more = bool(chunk)
        while has_more:
            if self._member.eof:
                self._member = zlib.decompressobj(GZIP_WBITS)
            block = self._member.decompress(chunk, MAX_BLOCK_BYTES)
            self.complete = self._member.eof
            chunk = self._member.unused_data if self.complete else self._member.unconsumed_tail
            # A full block may leave output inside zlib although all input is consumed.
            has_more = bool(chunk) or (len(block) == MAX_BLOCK_BYTES and not self.complete)
            if block:
                yield block
