"""The directory of a spool, locked: its segments, the one that is written to, and its cursor."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.otlp.spool.checkpoint import Cursor, Mark
from exporter.otlp.spool.files import File, Segment, locked
from exporter.otlp.spool.record import Damage, Frame, record_of
from exporter.otlp.spool.recovery import Survey, Waiting, segments, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.otlp.delivery.queue import Record

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Entry:
    """A record that waits in a segment."""

    segment: Segment
    frame: Frame

    def record(self) -> Record | None:
        """Return the record, None when it cannot be read or is not what was written."""
        try:
            return record_of(self.frame, self.segment.file.read)
        except OSError:
            return None


@dataclass(frozen=True, slots=True)
class Found:
    """What was in the directory when it was opened: what waits, and what is damaged, by file."""

    entries: Sequence[Entry]
    waiting: Waiting
    damages: Sequence[tuple[str, Damage]]


@dataclass(frozen=True, slots=True)
class Home:
    """The open files besides the segments."""

    lock: File
    folder: File
    cursor: Cursor

    def stands(self) -> bool:
        """Say whether lock and cursor are still where they were opened."""
        return self.lock.stands() and self.cursor.file.stands()

    def close(self) -> None:
        """Close them, and unlock."""
        for file in (self.cursor.file, self.folder, self.lock):
            file.close()


class Disk:
    """Everything that touches the directory; `segment` is about how many bytes a segment may have.

    Methods raise OSError, `open` also InUseError. A segment in which nothing waits any more is removed once the cursor
    that says so is safe (`unsynced`, `synced`): else a crash of the machine could miss records that were delivered.
    """

    def __init__(self, directory: Path, segment: int) -> None:
        self._directory = directory
        self._segment = segment
        self._home: Home | None = None
        self._segments: list[Segment] = []
        self._active: Segment | None = None
        self._spent: list[Segment] = []
        self._number = 0
        self._turn = 0

    def stands(self) -> bool:
        """Say whether the directory is open, and still there; looks for segments that have lost their names."""
        for segment in self._segments:
            segment.orphan = not segment.file.stands()
        if self._active is not None and self._active.orphan:
            self._active = None
        return self._home is not None and self._home.stands()

    def open(self) -> Found:
        """Open the directory, made if need be, and find what is in it: nothing new if segments of ours stand there."""
        if self._home is not None:
            self._home.close()
            self._home = None
        self._directory.mkdir(parents=True, exist_ok=True)
        self._home = _home(self._directory)
        mark = self._home.cursor.found
        self._turn = max(self._turn, mark.turn if mark is not None else 0)
        self.stands()
        if not all(segment.orphan for segment in self._segments):
            return Found((), Waiting(None), ())
        held = tuple(self._segments)
        try:
            return self._recover(Waiting(mark))
        except OSError:
            self._forget(held)
            raise

    def _recover(self, waiting: Waiting) -> Found:
        entries: list[Entry] = []
        damages: list[tuple[str, Damage]] = []
        for number, path in segments(self._directory):
            self._number = max(self._number, number + 1)
            try:
                file = File(path, os.O_RDWR)
            except OSError as error:
                damages.append((path.name, Damage(0, 0, f"cannot be opened: {error.strerror}; it is left alone")))
                continue
            found = survey(file.read, file.size())
            damages += [(path.name, damage) for damage in found.damages]
            entries += self._take(file, found, waiting)
        if self._active is not None:
            self._active.file.cut(self._active.size)
        return Found(entries, waiting, damages)

    def _forget(self, held: Sequence[Segment]) -> None:
        """Close again what an opening that failed half-way has opened."""
        for segment in self._segments[len(held) :]:
            segment.file.close()
        self._segments = list(held)
        self._spent = [segment for segment in self._spent if segment in held]
        self._active = None
        if self._home is not None:
            self._home.close()
            self._home = None

    def _take(self, file: File, found: Survey, waiting: Waiting) -> list[Entry]:
        """Keep a segment if it is ours; if it is the last, writing goes on after its last sound record."""
        self._active = None
        if not found.ours:
            file.close()
            return []
        segment = Segment(file, found.end)
        entries = [Entry(segment, frame) for frame in waiting.sift(found.frames)]
        segment.live = len(entries)
        self._segments.append(segment)
        if not entries:
            self._spent.append(segment)
        elif found.sound_head and found.end < self._segment:
            self._active = segment
        return entries

    def append(self, frame: bytes) -> tuple[Segment, int]:
        """Add a frame, in a new segment if the last is full; return where it stands."""
        if self._active is None or self._active.size >= self._segment:
            self._active = self._roll()
        offset = self._active.append(frame)
        self._active.live += 1
        return self._active, offset

    def _roll(self) -> Segment:
        full, self._active = self._active, None
        if full is not None and not full.live:
            self._spent.append(full)
        number, self._number = self._number, self._number + 1
        segment = Segment.create(self._directory, number)
        self._segments.append(segment)
        if self._home is not None:
            self._home.folder.dirty = True
        return segment

    def let_go(self, segment: Segment) -> None:
        """Count one record of a segment as gone."""
        segment.live -= 1
        if not segment.live and segment is not self._active:
            self._spent.append(segment)

    def rest(self, size: int) -> None:
        """Let go of the segment that is written to if nothing waits in it and it has grown over so many bytes."""
        if self._active is not None and not self._active.live and self._active.size > size:
            self._spent.append(self._active)
            self._active = None

    def write(self, mark: Callable[[int], Mark]) -> None:
        """Put the cursor down where it is open; `mark` is asked for it, with its turn."""
        if self._home is not None:
            self._home.cursor.write(mark(self._turn + 1))
            self._turn += 1

    def unsynced(self) -> list[int]:
        """Return descriptors of what was written since the last time; whoever takes them syncs and closes them."""
        descriptors: list[int] = []
        dirty = [file for file in self._files() if file.dirty]
        with ExitStack() as stack:
            for file in dirty:
                descriptors.append(file.duplicate())
                stack.callback(os.close, descriptors[-1])
            stack.pop_all()
        for file in dirty:
            file.dirty = False
        return descriptors

    @property
    def spent(self) -> Sequence[Segment]:
        """The segments in which nothing waits any more."""
        return tuple(self._spent)

    def synced(self, spent: Sequence[Segment]) -> None:
        """Give back the space of spent segments, now that the cursor is safe; what cannot go now goes at the start."""
        for segment in spent:
            if segment in self._spent:
                self._spent.remove(segment)
                self._segments.remove(segment)
                with suppress(OSError):
                    segment.remove()

    def _files(self) -> Sequence[File]:
        home = (self._home.folder, self._home.cursor.file) if self._home is not None else ()
        return [*home, *(segment.file for segment in self._segments)]

    @property
    def orphans(self) -> bool:
        """Whether records wait in segments that have lost their names, and so would not outlive this process."""
        return any(segment.orphan and segment.live for segment in self._segments)

    def close(self) -> None:
        """Close everything, and unlock."""
        for segment in self._segments:
            segment.file.close()
        self._segments.clear()
        if self._home is not None:
            self._home.close()
            self._home = None


def _home(directory: Path) -> Home:
    lock = locked(directory)
    try:
        folder = File(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        lock.close()
        raise
    try:
        return Home(lock, folder, Cursor(directory))
    except OSError:
        folder.close()
        lock.close()
        raise


def boot() -> str:
    """Return what names this boot of the machine, "" where nothing does."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""
