"""A client's connection that accepts the heads of responses which Go's clients accept, and no larger ones."""

from __future__ import annotations

import re
from typing import Any, Final

from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

MAX_HEAD_BYTES: Final = 10 * 1024 * 1024
"""Bytes of status line and headers together, Go's default MaxResponseHeaderBytes; aiohttp limits only each line."""
MAX_HEADERS: Final = 10_000
"""Headers of a response. Go counts bytes alone, but a header costs this process far more than its bytes."""
_PREFIX: Final = b"HTTP/"
_END_OF_HEAD: Final = re.compile(rb"\n\r?\n")
_INTERIM_STATUS: Final = re.compile(rb"HTTP/\d\.\d 1\d\d")
_LENGTH_LINE: Final = re.compile(rb"^content-length[ \t]*:[ \t]*(\d+)[ \t]*\r?\n", re.IGNORECASE | re.MULTILINE)


class ResponseConnection(ResponseHandler):
    """Holds back the head of each response until it is complete, and passes it on with one Content-Length.

    aiohttp rejects a repeated Content-Length even if both are equal, which RFC 9110 §8.6 allows and Go accepts.
    """

    _head: bytearray | None = None
    """What has arrived of a head; None outside of heads, and for what is not HTTP, which aiohttp is to reject."""

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401 - passed on as they are
        """Expect a response: aiohttp calls this for each request."""
        self._head = bytearray()
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Receive bytes of the connection."""
        if self._head is None or not data:
            super().data_received(data)
            return
        searched = max(len(self._head) - 2, 0)
        self._head += data
        end = _END_OF_HEAD.search(self._head, searched)
        if end is not None:
            self._pass_on(end.end())
        elif len(self._head) > MAX_HEAD_BYTES:
            self._reject()
        elif not _PREFIX.startswith(bytes(self._head[: len(_PREFIX)])):
            self._flush()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let aiohttp report a head that is incomplete."""
        self._flush()
        super().connection_lost(exc)

    def _pass_on(self, end: int) -> None:
        """Pass on a complete head, which ends at `end`, and what follows it."""
        received, self._head = bytes(self._head or b""), None
        head = _without_repeated_length(received[:end])
        if _INTERIM_STATUS.match(head):  # another head follows, that of the response itself
            super().data_received(head)
            self._head = bytearray()
            self.data_received(received[end:])
        else:
            super().data_received(head + received[end:])

    def _flush(self) -> None:
        head, self._head = self._head, None
        if head:
            super().data_received(bytes(head))

    def _reject(self) -> None:
        self._head = None
        if self.transport is not None:
            self.transport.close()
        self.set_exception(HttpProcessingError(message=f"status line and headers exceed {MAX_HEAD_BYTES} bytes"))


def _without_repeated_length(head: bytes) -> bytes:
    """Return a head with only the first Content-Length if all are equal; unequal ones are for aiohttp to reject."""
    lines = list(_LENGTH_LINE.finditer(head))
    if len(lines) < 2 or len({line[1] for line in lines}) > 1:  # noqa: PLR2004 - one is the usual case
        return head
    end = lines[0].end()
    return head[:end] + _LENGTH_LINE.sub(b"", head[end:])
