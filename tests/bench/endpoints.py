"""The other end, a process of its own: serves the pages' variants in turn, and takes what is pushed, at once.

Files go from the page cache to the socket, and nothing that arrives is looked into, so that this end costs little. It
tells each scrape and each push as a line of JSON on standard output, and ends when its standard input does.
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
WRITE: Final = "/write"
_ANSWERS: Final[Mapping[str, HTTPStatus]] = {
    f"{OTLP}/v1/metrics": HTTPStatus.OK,
    WRITE: HTTPStatus.NO_CONTENT,
}


class Stage(ThreadingHTTPServer):
    """Serves the pages of a folder at /NAME and takes pushes at OTLP and WRITE; counts the scrapes of each page."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.folder = folder
        self.scrapes: Counter[str] = Counter()
        self._turn = threading.Lock()

    def scraped(self, page: str) -> Path:
        """Count a scrape, tell of it, and return the file to answer with."""
        with self._turn:
            number = self.scrapes[page]
            self.scrapes[page] += 1
            self._tell({"at": time.time(), "scraped": page})
        return variant(self.folder, page, number)

    def took(self, size: int) -> None:
        """Tell of a push of so many bytes."""
        with self._turn:
            self._tell({"at": time.time(), "took": size})

    def _tell(self, event: Mapping[str, object]) -> None:
        print(json.dumps(event), flush=True)


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Stage

    def handle(self) -> None:
        with suppress(ConnectionError):  # whoever asked was ended
            super().handle()

    def do_GET(self) -> None:
        page = self.path.partition("?")[0].strip("/")
        if not variant(self.server.folder, page, 0).is_file():
            self._plain(HTTPStatus.NOT_FOUND)
            return
        with self.server.scraped(page).open("rb") as file:
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
        self._plain(_ANSWERS.get(self.path, HTTPStatus.NOT_FOUND))
        self.wfile.flush()
        self.server.took(size)

    def _plain(self, status: HTTPStatus) -> None:
        self.send_response(status)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: what matters is told on standard output."""


def main(folder: str) -> None:
    """Serve until standard input ends."""
    with Stage(Path(folder)) as stage:
        serving = threading.Thread(target=stage.serve_forever, daemon=True)
        serving.start()
        print(json.dumps({"port": stage.server_port}), flush=True)
        sys.stdin.read()
        stage.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
