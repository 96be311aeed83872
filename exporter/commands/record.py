"""What every target answered, frame by frame: written by `record`, read by `replay`.

A folder holds `frames.jsonl`, one frame a line, and `pages/NNNN/*.prom.gz`, the bodies; a body that said nothing new
is not stored again, its frame names the last one.
"""

import asyncio
import gzip
import hashlib
import json
import math
import re
import time
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from exporter.config.settings import Settings
from exporter.log import SECRETS
from exporter.metrics import Failure, Source
from exporter.scrape.response import Asked
from exporter.scrape.scraper import Scraper
from exporter.scrape.targets import Lookup

FRAMES: Final = "frames.jsonl"
_GZIP: Final = 31
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_SECRET: Final = re.compile(r"auth|cookie|token|secret|session|api-?key|location", re.IGNORECASE)


class RecordingError(Exception):
    """A recording that cannot be read or written; the message says where it is wrong."""


@dataclass(frozen=True, slots=True)
class FramePage:
    """What one target answered. `status` is None when it did not, and `error` says why; no `file`: an empty body.

    The aliases are the keys of the format, as `_entry` writes them.
    """

    source: Annotated[Source, Field(alias="source")]
    target: Annotated[str, Field(alias="target")]
    status: Annotated[int | None, Field(alias="status")] = None
    headers: Annotated[Mapping[str, str], Field(alias="headers")] = field(default_factory=dict)
    file: Annotated[Path | None, Field(alias="file")] = None
    error: Annotated[str | None, Field(alias="error")] = None
    installation: Annotated[str, Field(alias="installation")] = "default"

    def body(self) -> bytes:
        """Return the body, unpacked. Raises RecordingError."""
        if self.file is None:
            return b""
        try:
            stored = self.file.read_bytes()
            return gzip.decompress(stored) if self.file.suffix == ".gz" else stored
        except (OSError, EOFError, zlib.error) as error:
            raise RecordingError(f"{self.file} cannot be read ({error}); record it anew") from error


@dataclass(frozen=True, slots=True)
class Frame:
    """What was answered at one tick, `at` (Unix seconds)."""

    at: Annotated[FiniteFloat, Field(alias="at")]
    pages: Annotated[tuple[FramePage, ...], Field(alias="pages")]


_FRAME: Final = TypeAdapter(Frame)


def frames(path: Path) -> Iterator[Frame]:
    """Read the frames of a recording, one at a time. Raises RecordingError with the line at fault."""
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _frame(line, path.parent, f"{path}, line {number}")
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}; name a frames.jsonl") from error


def _frame(line: bytes, folder: Path, where: str) -> Frame:
    try:
        frame = _FRAME.validate_json(line, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise RecordingError(
            f"{where}: {key + ': ' if key else ''}{first['msg']}; is it a frame of `record`?"
        ) from None
    pages = tuple(page if page.file is None else replace(page, file=folder / page.file) for page in frame.pages)
    for page in pages:
        if page.file is not None and not page.file.is_file():
            raise RecordingError(f"{where}: {page.file} is missing; keep the pages beside {FRAMES}")
    return replace(frame, pages=pages)


async def every(interval: float, seconds: float) -> AsyncIterator[float]:
    """Yield the time (Unix seconds) now and then every `interval` for so many seconds; late ticks are left out."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    tick = 0
    while tick == 0 or tick * interval < seconds:
        await asyncio.sleep(began + tick * interval - loop.time())
        yield time.time()
        tick = max(tick + 1, math.ceil((loop.time() - began) / interval))


async def record(directory: Path, settings: Settings, ticks: AsyncIterable[float], lookup: Lookup | None = None) -> int:
    """Save what every target answers at each tick; return the number of frames. Raises RecordingError."""
    recorder = await asyncio.to_thread(Recorder, directory)
    scraper = Scraper(settings, Taking, lookup)
    try:
        async for at in ticks:
            await asyncio.to_thread(recorder.add, at, await scraper.scrape(at))
    finally:
        await scraper.aclose()
    return recorder.frames


@dataclass(frozen=True, slots=True)
class Taken:
    """An answer as it is kept: its body packed, and a digest of it."""

    page: FramePage
    packed: bytes
    digest: bytes


class Taking:
    """Takes an answer as it streams in and keeps it packed."""

    broken = False

    def __init__(self, asked: Asked) -> None:
        self._page = FramePage(asked.source, asked.target, installation=asked.installation)
        self._packer = zlib.compressobj(wbits=_GZIP)
        self._packed = bytearray()
        self._digest = hashlib.sha256()

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Keep the status, and the headers that can hold no secret."""
        kept = {name: _shown(name, value) for name, value in headers.items() if not _SECRET.search(name)}
        self._page = replace(self._page, status=status, headers=kept)

    def feed(self, block: bytes) -> None:
        """Keep a part of the body."""
        self._digest.update(block)
        self._packed += self._packer.compress(block)

    def close(self, trouble: Failure | None, seconds: float) -> Taken:  # noqa: ARG002 - frames have no durations
        """Return the answer; one that did not come whole is kept as none, with the reason."""
        if trouble is not None:
            error = f"{trouble.reason}: {trouble.message}"
            return Taken(replace(self._page, status=None, headers={}, error=error), b"", b"")
        packed = bytes(self._packed + self._packer.flush())
        return Taken(self._page, packed, self._digest.digest())


def _shown(name: str, value: str) -> str:
    """Mask what a header may echo; not in those that say what the body is, for a replay reads them."""
    return _text(value if name.lower().startswith("content-") else SECRETS.mask(value))


def _text(value: str) -> str:
    """Make JSON of any header: one that is not UTF-8 has lone surrogates."""
    return value.encode("utf-8", "replace").decode()


class Recorder:
    """Writes frames into a directory of its own. Raises RecordingError, from the start when there is one in it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._last: dict[tuple[Source, str, str], tuple[bytes, Path]] = {}
        self.frames = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / FRAMES).touch(exist_ok=False)
        except FileExistsError:
            raise RecordingError(f"{directory} has a recording already; choose another directory") from None
        except OSError as error:
            raise RecordingError(f"{directory} cannot be written: {error.strerror}; choose another") from error

    def add(self, at: float, answers: Sequence[Taken]) -> None:
        """Write one frame: its new bodies, then its line, so that a frame never names what is not there."""
        try:
            pages = [replace(taken.page, file=self._stored(taken)) for taken in answers]
            with (self._directory / FRAMES).open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"at": at, "pages": [_entry(page) for page in pages]}) + "\n")
        except OSError as error:
            raise RecordingError(f"{self._directory} cannot be written: {error.strerror}; choose another") from error
        self.frames += 1

    def _stored(self, taken: Taken) -> Path | None:
        page = taken.page
        if taken.digest in _NO_BODY:
            return None
        who = (page.source, page.installation, page.target)
        digest, file = self._last.get(who, (b"", Path()))
        if digest != taken.digest:
            file = self._free(page.target)
            (self._directory / file).write_bytes(taken.packed)
            self._last[who] = (taken.digest, file)
        return file

    def _free(self, target: str) -> Path:
        folder = Path("pages") / f"{self.frames:04d}"
        (self._directory / folder).mkdir(parents=True, exist_ok=True)
        safe = _UNSAFE.sub("-", target)
        taken = len(list((self._directory / folder).glob(f"{safe}.*")))
        return folder / (f"{safe}.{taken}.prom.gz" if taken else f"{safe}.prom.gz")


_NO_BODY: Final = (b"", hashlib.sha256().digest())


def _entry(page: FramePage) -> dict[str, object]:
    entry: dict[str, object] = {
        "source": page.source,
        "target": page.target,
        "status": page.status,
        "headers": dict(page.headers),
        "file": None if page.file is None else page.file.as_posix(),
        "error": page.error,
    }
    return entry if page.installation == "default" else entry | {"installation": page.installation}
