"""Recordings: the responses of all targets at each tick, written by `record` and read by `replay`.

A folder holds `frames.jsonl`, one frame per line, and the bodies in `pages/NNNN/*.prom.gz`. A body equal to the
previous one of its target is not stored again; its frame names the previous file.
"""

import asyncio
import hashlib
import json
import math
import re
import time
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from exporter.commands.progress import progress
from exporter.config.settings import Settings
from exporter.log import REDACTOR
from exporter.metrics import Failure, Source
from exporter.net.gzip import GZIP_ERRORS, GZIP_WBITS, MAX_BLOCK_BYTES, GunzipStream
from exporter.scrape.response import ScrapeRequest
from exporter.scrape.scraper import Scraper
from exporter.scrape.targets import Resolver

FRAMES_FILE: Final = "frames.jsonl"
# A recording may come with a bug report from anybody, so nothing in it is trusted.
MAX_BODY_BYTES: Final = 512 * 1024**2
"""Bytes of a page after decompression: the largest default of `limits.body`."""
MAX_FRAME_BYTES: Final = 16 * 1024**2
"""Bytes of a line: a frame of 10,000 targets has 3 MB."""
MAX_TIMESTAMP: Final = 1e10
"""Seconds, in the year 2286; OTLP ends in 2554, when nanoseconds exceed 64 bits."""
_UNSAFE_FILE_CHARS: Final = re.compile(r"[^A-Za-z0-9._-]+")
# Headers whose values are left out: recordings are attached to bug reports.
_SECRET_HEADER: Final = re.compile(r"auth|cookie|token|secret|session|api-?key|location", re.IGNORECASE)


class RecordingError(Exception):
    """A recording cannot be read or written; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class RecordedPage:
    """The response of one target. Without one `status` is None and `error` is the reason; no `file`: an empty body.

    The aliases are the keys of the format, as `_page_json` writes them.
    """

    source: Annotated[Source, Field(alias="source")]
    target: Annotated[str, Field(alias="target")]
    status: Annotated[int | None, Field(alias="status")] = None
    headers: Annotated[Mapping[str, str], Field(alias="headers")] = field(default_factory=dict)
    file: Annotated[Path | None, Field(alias="file")] = None
    error: Annotated[str | None, Field(alias="error")] = None
    installation: Annotated[str, Field(alias="installation")] = "default"

    def body(self) -> bytes:
        """Return the decompressed body. Raises RecordingError."""
        return b"".join(self.blocks())

    def blocks(self) -> Iterator[bytes]:
        """Yield the decompressed body in blocks, at most MAX_BODY_BYTES in all. Raises RecordingError."""
        size = 0
        try:
            for block in () if self.file is None else _file_blocks(self.file):
                size += len(block)
                if size > MAX_BODY_BYTES:
                    raise RecordingError(f"{self.file} has more than {MAX_BODY_BYTES} bytes; leave its frame out")
                yield block
        except GZIP_ERRORS as error:
            raise RecordingError(f"{self.file} cannot be read ({error}); record again") from error


def _file_blocks(path: Path) -> Iterator[bytes]:
    gunzip = GunzipStream()
    with path.open("rb") as file:
        while block := file.read(MAX_BLOCK_BYTES):
            if path.suffix == ".gz":
                yield from gunzip.feed(block)
            else:
                yield block
    if not gunzip.complete:
        raise EOFError("its gzip is incomplete")


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """The responses of all targets at one tick; `timestamp` in Unix seconds."""

    timestamp: Annotated[FiniteFloat, Field(alias="at", ge=0, le=MAX_TIMESTAMP)]
    pages: Annotated[tuple[RecordedPage, ...], Field(alias="pages")]


_FRAME: Final = TypeAdapter(RecordedFrame)


def count_frames(path: Path) -> int:
    """Return the number of lines of a recording, without reading its pages; 0 if it cannot be read."""
    try:
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(partial(file.read, MAX_FRAME_BYTES), b""))
    except OSError:
        return 0


def read_frames(path: Path) -> Iterator[RecordedFrame]:
    """Yield the frames of a recording. Raises RecordingError with the line number."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(partial(file.readline, MAX_FRAME_BYTES + 1), b""), 1):
                if len(line) > MAX_FRAME_BYTES:
                    raise RecordingError(f"{path}, line {number}: is longer than {MAX_FRAME_BYTES} bytes; leave it out")
                if line.strip():
                    yield _frame(line, path.parent, f"{path}, line {number}")
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}; use the frames.jsonl of a recording") from error


def _frame(line: bytes, folder: Path, location: str) -> RecordedFrame:
    try:
        frame = _FRAME.validate_json(line, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        message = f"{key}: {first['msg']}" if key else first["msg"]
        raise RecordingError(f"{location}: {message}; is this a recording of `record`?") from None
    pages = tuple(page if page.file is None else replace(page, file=folder / page.file) for page in frame.pages)
    for file in (page.file for page in pages if page.file is not None):
        if not _is_inside(file, folder):
            raise RecordingError(
                f"{location}: {file} is outside of the recording; keep the pages next to {FRAMES_FILE}"
            )
        if not file.is_file():
            raise RecordingError(f"{location}: {file} is missing; keep the pages next to {FRAMES_FILE}")
    return replace(frame, pages=pages)


def _is_inside(file: Path, folder: Path) -> bool:
    """Return whether a file is in a folder, once links are followed."""
    try:
        return file.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # too long, a circle of links, NUL
        return False


async def intervals(interval: float, seconds: float) -> AsyncIterator[float]:
    """Yield the time (Unix seconds) now and every `interval` seconds for a duration; late ticks are skipped."""
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    tick_number = 0
    while tick_number == 0 or tick_number * interval < seconds:
        await asyncio.sleep(started_at + tick_number * interval - loop.time())
        yield time.time()
        tick_number = max(tick_number + 1, math.ceil((loop.time() - started_at) / interval))


async def record(
    directory: Path, settings: Settings, ticks: AsyncIterable[float], resolver: Resolver | None = None,
    *, frames: int | None = None,
) -> int:  # fmt: skip # a parameter per line would hide the body
    """Save the responses of all targets at each tick; return the number of frames. Raises RecordingError.

    `frames` is how many ticks are expected, for the progress.
    """
    recorder = await asyncio.to_thread(Recorder, directory)
    scraper = Scraper(settings, RecordingSink, resolver)
    try:
        with progress("recording", "frames", frames) as recording:
            async for now in ticks:
                await asyncio.to_thread(recorder.add, now, await scraper.scrape(now))
                recording.done = recorder.frame_count
    finally:
        await scraper.aclose()
    return recorder.frame_count


@dataclass(frozen=True, slots=True)
class RecordedResponse:
    """A response with its compressed body and the digest of the body."""

    page: RecordedPage
    compressed: bytes
    digest: bytes


class RecordingSink:
    """Compresses a response while it streams in."""

    aborted = False

    def __init__(self, request: ScrapeRequest) -> None:
        self._page = RecordedPage(request.source, request.target, installation=request.installation)
        self._compressor = zlib.compressobj(wbits=GZIP_WBITS)
        self._compressed = bytearray()
        self._digest = hashlib.sha256()

    def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Store the status, and the headers that cannot hold a secret."""
        safe = {name: _safe_value(name, value) for name, value in headers.items() if not _SECRET_HEADER.search(name)}
        self._page = replace(self._page, status=status, headers=safe)

    def feed(self, block: bytes) -> None:
        """Add a block of the body."""
        self._digest.update(block)
        self._compressed += self._compressor.compress(block)

    def finish(self, failure: Failure | None, seconds: float) -> RecordedResponse:  # noqa: ARG002 - frames have no durations
        """Return the response; an incomplete one counts as failed, with the reason."""
        if failure is not None:
            error = f"{failure.reason}: {failure.message}"
            return RecordedResponse(replace(self._page, status=None, headers={}, error=error), b"", b"")
        compressed = bytes(self._compressed + self._compressor.flush())
        return RecordedResponse(self._page, compressed, self._digest.digest())


def _safe_value(name: str, value: str) -> str:
    """Redact secrets that a header may echo, but not in Content-* headers, which a replay needs."""
    text = value if name.lower().startswith("content-") else REDACTOR.redact(value)
    return text.encode("utf-8", "replace").decode()  # JSON cannot hold the lone surrogates of bytes that are not UTF-8


class Recorder:
    """Writes frames into a directory. Raises RecordingError, at once if it already holds a recording."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._last_bodies: dict[tuple[Source, str, str], tuple[bytes, Path]] = {}
        self.frame_count = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            # Not appended to, since pages are named by the number of their frame.
            (directory / FRAMES_FILE).touch(exist_ok=False)
        except FileExistsError:
            raise RecordingError(f"{directory} already holds a recording; choose another directory") from None
        except OSError as error:
            raise RecordingError(f"{directory} cannot be written: {error.strerror}; choose another") from error

    def add(self, now: float, responses: Sequence[RecordedResponse]) -> None:
        """Write one frame: first its new bodies, then its line, so that a frame never names a missing file."""
        try:
            pages = [replace(response.page, file=self._store(response)) for response in responses]
            with (self._directory / FRAMES_FILE).open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"at": now, "pages": [_page_json(page) for page in pages]}) + "\n")
        except OSError as error:
            raise RecordingError(f"{self._directory} cannot be written: {error.strerror}; choose another") from error
        self.frame_count += 1

    def _store(self, response: RecordedResponse) -> Path | None:
        page = response.page
        if response.digest in _NO_BODY:  # b"" is the digest of a failed response
            return None
        target_key = (page.source, page.installation, page.target)
        digest, file = self._last_bodies.get(target_key, (b"", Path()))
        if digest != response.digest:
            file = self._new_file(page.target)
            (self._directory / file).write_bytes(response.compressed)
            self._last_bodies[target_key] = (response.digest, file)
        return file

    def _new_file(self, target: str) -> Path:
        folder = Path("pages") / f"{self.frame_count:04d}"
        (self._directory / folder).mkdir(parents=True, exist_ok=True)
        file_name = _UNSAFE_FILE_CHARS.sub("-", target)
        # Two targets may have one file name: of two installations, or once characters are replaced.
        count = len(list((self._directory / folder).glob(f"{file_name}.*")))
        return folder / (f"{file_name}.{count}.prom.gz" if count else f"{file_name}.prom.gz")


_NO_BODY: Final = (b"", hashlib.sha256().digest())


def _page_json(page: RecordedPage) -> dict[str, object]:
    entry: dict[str, object] = {
        "source": page.source,
        "target": page.target,
        "status": page.status,
        "headers": dict(page.headers),
        "file": None if page.file is None else page.file.as_posix(),
        "error": page.error,
    }
    return entry if page.installation == "default" else entry | {"installation": page.installation}
