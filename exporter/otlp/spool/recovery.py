"""What is in a spool's directory, without a change to it: for recovery, and for people who look."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.otlp.spool.checkpoint import SLOT, Mark, newest
from exporter.otlp.spool.files import CURSOR, File, number_of
from exporter.otlp.spool.record import HEAD, VERSION, Damage, Frame, frames, record_of, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from exporter.otlp.spool.record import Read


@dataclass(frozen=True, slots=True)
class Survey:
    """What stands in one segment; `ours` says that it may be removed when nothing in it waits."""

    size: int
    frames: Sequence[Frame] = ()
    damages: Sequence[Damage] = ()
    ours: bool = False
    sound_head: bool = False

    @property
    def end(self) -> int:
        """Return where the last sound record ends."""
        return self.frames[-1].end if self.frames else len(HEAD)


@dataclass(slots=True)
class Waiting:
    """What of several segments still waits, in order, reckoned from the cursor's mark.

    `next` is the sequence number after the last, `through` and `lost` count points: those ever taken, and those that
    should wait and are nowhere.
    """

    mark: Mark | None
    next: int = 0
    through: int = 0
    points: int = 0
    _from: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.mark is not None:
            self.next, self.through = self.mark.next, self.mark.through
            self._from = self.mark.through - self.mark.queued

    def sift(self, found: Sequence[Frame]) -> Iterator[Frame]:
        """Return the frames that wait: neither let go of nor seen before."""
        for frame in found:
            self.through = max(self.through, frame.through)
            if frame.sequence >= self.next:
                self.next = frame.sequence + 1
                self.points += frame.points
                self._from = frame.through - frame.points if self._from is None else self._from
                yield frame

    @property
    def lost(self) -> int:
        """Return how many points should wait and are nowhere."""
        return max(self.through - (self._from or 0) - self.points, 0) if self._from is not None else 0


def survey(read: Read, size: int) -> Survey:
    """Say what stands in a segment of so many bytes; never raises, but what cannot be read is a damage."""
    try:
        start = read(0, len(HEAD))
        version = version_of(start)
        if version not in {None, VERSION}:
            return Survey(size, (), [Damage(0, size, f"version {version} is not read here; it is left alone")])
        found = list(frames(read, size))
    except OSError as error:
        return Survey(size, (), [Damage(0, size, f"cannot be read: {error.strerror}; it is left alone")])
    sound = [one for one in found if isinstance(one, Frame)]
    damages = [one for one in found if isinstance(one, Damage)]
    if version is None and not sound and not HEAD.startswith(start):
        return Survey(size, (), [Damage(0, size, "no segment of a spool; it is left alone")])
    if version is None and size:
        damages.insert(0, Damage(0, min(len(HEAD), size), "the head of the segment", 0))
    return Survey(size, sound, damages, ours=True, sound_head=version is not None)


def segments(directory: Path) -> list[tuple[int, Path]]:
    """Return the number and path of each segment, in order. Raises OSError."""
    named = ((number_of(path.name), path) for path in directory.iterdir())
    return sorted((number, path) for number, path in named if number is not None)


def spoiled(read: Read, found: Survey) -> Iterator[Damage]:
    """Return the damages of a segment with those of bodies, which are only looked at here."""
    yield from found.damages
    for frame in found.frames:
        try:
            why = "" if record_of(frame, read) else "the body is not what was written"
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
        if why:
            yield Damage(frame.offset, frame.size, why, frame.points)


@dataclass(frozen=True, slots=True)
class Sight:
    """One segment as a passer-by sees it."""

    name: str
    survey: Survey
    waiting: Sequence[Frame]
    damages: Sequence[Damage] = ()


def sights(directory: Path, *, bodies: bool) -> Iterator[Sight]:
    """Return what each segment holds, with the damages of bodies if wanted. Raises OSError; takes no lock."""
    waiting = Waiting(_mark(directory))
    for _, path in segments(directory):
        try:
            file = File(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            found = survey(file.read, file.size())
            damages = list(spoiled(file.read, found)) if bodies else found.damages
            yield Sight(path.name, found, list(waiting.sift(found.frames)), damages)
        finally:
            file.close()


def _mark(directory: Path) -> Mark | None:
    try:
        return newest((directory / CURSOR).read_bytes()[: 2 * SLOT])
    except FileNotFoundError:
        return None
