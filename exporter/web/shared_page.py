"""A page that is rendered once for all its readers, compressed, and sent to a bounded number of them at a time."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from struct import pack
from typing import TYPE_CHECKING, Final

from isal import isal_zlib

from exporter.net.gzip import MAX_BLOCK_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from aiohttp import web

MAX_READERS: Final = 16
"""Pages that are sent at a time, each with a block in memory; scrapers are a few."""
PATIENCE_SECONDS: Final = 5.0
"""How long a reader may take while others are turned away; then its connection is closed for the next one."""
SEND_SECONDS: Final = 60.0
"""How long a reader may take in any case; scrapers wait 10 s, or a little longer."""
RETRY_AFTER: Final = "1"
"""Seconds after which a reader who is turned away may come back."""
_TURN_SECONDS: Final = 0.005
"""How long blocks are rendered before other tasks of the event loop get a turn."""
_RAW: Final = -15
"""zlib: the largest window, without header and trailer."""
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@dataclass(frozen=True, slots=True)
class CompressedPage:
    """A page as blocks of raw deflate that end at a byte, so that more may follow; checksum and size of its text."""

    blocks: tuple[bytes, ...] = ()
    checksum: int = 0
    size: int = 0

    def gzip(self, tail: bytes) -> Iterator[bytes]:
        """Yield the page and a text after it as one gzip member; many clients read only the first member."""
        compressor = isal_zlib.compressobj(1, isal_zlib.DEFLATED, _RAW)
        yield _GZIP_HEADER
        yield from self.blocks
        yield compressor.compress(tail) + compressor.flush()
        yield pack("<II", zlib.crc32(tail, self.checksum), (self.size + len(tail)) & 0xFFFFFFFF)

    def text(self, tail: bytes) -> Iterator[bytes]:
        """Yield the page and a text after it, in blocks of at most MAX_BLOCK_BYTES."""
        decompressor = zlib.decompressobj(_RAW)
        for block in self.blocks:
            rest = block
            while rest:
                yield decompressor.decompress(rest, MAX_BLOCK_BYTES)
                rest = decompressor.unconsumed_tail
        yield decompressor.flush() + tail


class SharedPage:
    """Renders a page when it is asked for and its `version` is another object than the last time.

    What is in memory between two requests is the compressed page. `max_age` (seconds) is for a page that also changes
    by time.
    """

    def __init__(
        self,
        render: Callable[[], Iterable[bytes] | Awaitable[Iterable[bytes]]],
        version: Callable[[], object],
        max_age: float = float("inf"),
    ) -> None:
        self._render = render
        self._version = version
        self._max_age = max_age
        self._rendered_version: object = None
        self._rendered_at = 0.0
        self._rendering: asyncio.Task[CompressedPage] | None = None

    async def page(self) -> CompressedPage:
        """Return the current page. Raises what rendering raises."""
        version, now = self._version(), asyncio.get_running_loop().time()
        is_old = version is not self._rendered_version or now - self._rendered_at > self._max_age
        if self._rendering is None or is_old or _has_failed(self._rendering):
            self._rendered_version, self._rendered_at = version, now
            self._rendering = asyncio.create_task(self._compress())
        # The first reader may hang up, while others wait for the same page.
        return await asyncio.shield(self._rendering)

    async def _compress(self) -> CompressedPage:
        compressor = isal_zlib.compressobj(1, isal_zlib.DEFLATED, _RAW)
        blocks, checksum, size = [], 0, 0
        clock = asyncio.get_running_loop().time
        turn_started = clock()
        rendered = self._render()
        for block in rendered if isinstance(rendered, Iterable) else await rendered:
            blocks.append(compressor.compress(block))
            checksum, size = zlib.crc32(block, checksum), size + len(block)
            if clock() - turn_started > _TURN_SECONDS:
                await asyncio.sleep(0)
                turn_started = clock()
        blocks.append(compressor.flush(isal_zlib.Z_FULL_FLUSH))
        return CompressedPage(tuple(filter(None, blocks)), checksum, size)


def _has_failed(task: asyncio.Task[CompressedPage]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


class Readers:
    """The connections to which pages are sent at this moment."""

    def __init__(self) -> None:
        # By aiohttp's handler, in the order of their start; a request has no hash.
        self._started: dict[object, tuple[float, asyncio.Transport | None]] = {}

    @contextmanager
    def admit(self, request: web.BaseRequest) -> Iterator[bool]:
        """Yield whether one more page may be sent; it counts while the context lasts."""
        now = asyncio.get_running_loop().time()
        if len(self._started) >= MAX_READERS and not self._drop_slowest(now):
            yield False
            return
        self._started[request.protocol] = (now, request.transport)
        try:
            yield True
        finally:
            self._started.pop(request.protocol, None)

    def _drop_slowest(self, now: float) -> bool:
        handler, (started, transport) = next(iter(self._started.items()))
        if now - started < PATIENCE_SECONDS:
            return False
        del self._started[handler]
        if transport is not None:
            transport.abort()
        return True


async def send_blocks(request: web.BaseRequest, response: web.StreamResponse, blocks: Iterable[bytes]) -> None:
    """Send a page; a reader that hangs up or does not read ends it."""
    # That it does is the reader's business, and no error of ours.
    with suppress(ConnectionError, TimeoutError):
        async with closing_after(request, SEND_SECONDS):
            await response.prepare(request)
            for block in blocks:
                await response.write(block)
            await response.write_eof()


@asynccontextmanager
async def closing_after(request: web.BaseRequest, seconds: float) -> AsyncIterator[None]:
    """Close the connection of a reader that takes longer than that to read; then raises TimeoutError."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise
