"""The targets and the backend of a subject, in a process of their own.

Serves the variants of the pages in turn, and accepts pushes without looking at them. Files go from the page cache to
the socket, so that this process uses little CPU. Prints each scrape and push as a line of JSON, and ends when its
standard input does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.pages import variant

if TYPE_CHECKING:
    from collections.abc import Mapping

OTLP: Final = "/otlp"
REMOTE_WRITE: Final = "/write"
_STATUS_BY_PATH: Final[Mapping[str, HTTPStatus]] = {
    f"{OTLP}/v1/metrics": HTTPStatus.OK,
    REMOTE_WRITE: HTTPStatus.NO_CONTENT,
}


class Endpoints(ThreadingHTTPServer):
    """Serves the pages of a folder at /NAME and accepts pushes at OTLP and REMOTE_WRITE; counts scrapes by page."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.scrapes: Counter[str] = Counter()
        self._lock = threading.Lock()

    def record_scrape(self, page: str) -> Path:
        """Count and print a scrape, and return the file to serve."""
        with self._lock:
            number = self.scrapes[page]
            self.scrapes[page] += 1
            self._print_event({"at": time.time(), "scraped": page})
        return variant(self.folder, page, number)

    def record_push(self, size: int) -> None:
        """Print a push with its size in bytes."""
        with self._lock:
            self._print_event({"at": time.time(), "took": size})

    def _print_event(self, event: Mapping[str, object]) -> None:
        print(json.dumps(event), flush=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Endpoints

    def handle(self) -> None:
        with suppress(ConnectionError):  # the subject was stopped
            super().handle()

    def do_GET(self) -> None:
        page = self.path.partition("?")[0].strip("/")
        if not variant(self.server.folder, page, 0).is_file():
            self._respond(HTTPStatus.NOT_FOUND)
            return
        with self.server.record_scrape(page).open("rb") as file:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            self.wfile.flush()
            self.connection.sendfile(file)

    def do_POST(self) -> None:
        left = size = int(self.headers["Content-Length"])
        while left > 0 and (part := self.rfile.read(min(left, 1 << 20))):
            left -= len(part)
        self._respond(_STATUS_BY_PATH.get(self.path, HTTPStatus.NOT_FOUND))
        self.wfile.flush()
        self.server.record_push(size)

    def _respond(self, status: HTTPStatus) -> None:
        self.send_response(status)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing: standard output is for events."""


def main(folder: str) -> None:
    """Serve until standard input ends."""
    with Endpoints(Path(folder)) as endpoints:
        server = threading.Thread(target=endpoints.serve_forever, daemon=True)
        server.start()
        print(json.dumps({"port": endpoints.server_port}), flush=True)
        sys.stdin.read()
        endpoints.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
