"""A disk that keeps what was written apart from what was synced, rebuilt from the journal of shim.py.

At a loss of power each file keeps what was synced and any part of the writes after that, in any order, the last of them
torn; a name that was not synced with its directory may be there or not, but names change in their order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, combinations
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.storage.shim import Operation

SECTOR: Final = 512
"""Bytes that a disk writes as a unit."""

MAX_ENUMERATED: Final = 4
"""Up to so many writes without a sync, every part of them is tried; of more, random ones."""

Change = tuple[int, bytes | None]
"""Bytes written at an offset, or None: the file is cut there."""


@dataclass(slots=True)
class _File:
    synced: bytes = b""
    pending: list[Change] = field(default_factory=list)


class Disk:
    """Files by inode, and their names."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        # Until it is opened, a file that was there before has its name as its inode.
        self._files = {name: _File(content) for name, content in contents.items()}
        self._names = {name: name for name in contents}
        self._pending_names: list[Mapping[str, str]] = []

    def apply(self, operation: Operation) -> None:
        """Apply the next operation of a journal."""
        names = self._pending_names[-1] if self._pending_names else self._names
        match operation.kind, list(operation.words):
            case "C", [inode, name]:
                self._files[inode] = _File()
                self._pending_names.append({**names, name: inode})
            case "O", [inode, name] if inode not in self._files and name != ".":
                self._files[inode] = self._files.pop(name)
                self._names = {**self._names, name: inode}
                self._pending_names = [{**pending, name: inode} for pending in self._pending_names if name in pending]
            case "W", [inode, offset, _]:
                self._files[inode].pending.append((int(offset), operation.data))
            case "T", [inode, size]:
                self._files[inode].pending.append((int(size), None))
            case "S", [inode] if inode in self._files:
                file = self._files[inode]
                file.synced, file.pending = _written(file.synced, file.pending), []
            case "S", _:  # the directory
                self._names, self._pending_names = dict(names), []
            case "U", [name]:
                self._pending_names.append({other: inode for other, inode in names.items() if other != name})
            case "R", [old, new]:
                moved = {other: inode for other, inode in names.items() if other not in {old, new}}
                self._pending_names.append({**moved, new: names[old]})

    def crash_states(self, rng: random.Random, samples: int) -> Iterator[dict[str, bytes]]:
        """Yield contents by name after a loss of power now: nothing unsynced, all of it, and parts of it."""
        names = [self._names, *self._pending_names]
        pending = {inode: file.pending for inode, file in self._files.items() if file.pending}
        yield self._contents(names[0], {})
        if not pending and len(names) == 1:
            return
        yield self._contents(names[-1], pending)
        changes = [(inode, change) for inode, changes in pending.items() for change in changes]
        if len(changes) <= MAX_ENUMERATED:
            parts: Iterable[Iterable[tuple[str, Change]]] = chain.from_iterable(
                combinations(changes, count) for count in range(len(changes) + 1)
            )
        else:
            parts = (_part(changes, rng) for _ in range(samples))
        for part in parts:
            chosen: dict[str, list[Change]] = {}
            for inode, change in part:
                chosen.setdefault(inode, []).append(change)
            yield self._contents(rng.choice(names), chosen)

    def _contents(self, names: Mapping[str, str], chosen: Mapping[str, Sequence[Change]]) -> dict[str, bytes]:
        return {
            name: _written(self._files[inode].synced, chosen.get(inode, ()))
            for name, inode in names.items()
            if not name.endswith("-shm")  # of shared memory, which SQLite builds again
        }


def _part(changes: Sequence[tuple[str, Change]], rng: random.Random) -> Iterator[tuple[str, Change]]:
    """Yield a prefix of the changes, or any of them, the last one torn."""
    if rng.random() < 1 / 2:
        part = list(changes[: rng.randint(0, len(changes))])
    else:
        part = [change for change in changes if rng.random() < rng.choice([0.1, 0.5, 0.9])]
    yield from part[:-1]
    for inode, (offset, data) in part[-1:]:
        yield inode, (offset, data and data[: SECTOR * rng.randint(0, -(-len(data) // SECTOR))])


def _written(content: bytes, changes: Iterable[Change]) -> bytes:
    result = bytearray(content)
    for offset, data in changes:
        end = offset + len(data or b"")
        result.extend(bytes(max(0, end - len(result))))
        if data is None:
            del result[offset:]
        else:
            result[offset:end] = data
    return bytes(result)


def read_files(directory: Path) -> dict[str, bytes]:
    """Return the contents of the files of a directory, all from after the last of them was removed.

    A connection of a read that timed out may be the last one to close: it writes the WAL into the database then, and
    removes it.
    """
    while True:
        try:
            return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}
        except FileNotFoundError:
            continue


def write_files(directory: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a directory."""
    for name, content in contents.items():
        (directory / name).write_bytes(content)
