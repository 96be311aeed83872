"""Reads over the exporter's shoulder: every record that ever stood whole in its spool, by sequence number.

The files are only read, with the spool's own reading functions. Each segment is kept open, so that one which the
exporter removes is read to its end all the same. Every frame also tells how many points the spool had taken in all up
to it (`through`): should a record have escaped us, the sums differ, and the ledger says so.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from exporter.otlp.spool.checkpoint import Mark, newest
from exporter.otlp.spool.files import CURSOR, File
from exporter.otlp.spool.record import record_of
from exporter.otlp.spool.recovery import segments, survey

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.otlp.delivery.queue import Record


class Witness:
    """`records` holds what was seen; `through` is how many points the spool says that it has taken."""

    def __init__(self, directory: Path) -> None:
        self.records: dict[int, Record] = {}
        self.through = 0
        self._directory = directory
        self._files: dict[Path, File] = {}
        self._read: dict[Path, int] = {}

    def look(self) -> None:
        """Read what is new."""
        for _, path in segments(self._directory) if self._directory.is_dir() else ():
            if path not in self._files:
                self._files[path] = File(path, os.O_RDONLY)
        for path, file in list(self._files.items()):
            gone = not file.stands()
            self._take(path, file)
            if gone:
                file.close()
                del self._files[path]

    def mark(self) -> Mark:
        """Return the spool's own books, as they stand on disk."""
        return newest((self._directory / CURSOR).read_bytes()) or Mark()

    def close(self) -> None:
        """Close what is open."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _take(self, path: Path, file: File) -> None:
        size = file.size()
        if size == self._read.get(path):
            return
        self._read[path] = size
        for frame in survey(file.read, size).frames:
            if frame.sequence not in self.records and (record := record_of(frame, file.read)):
                self.records[frame.sequence] = record
                self.through = max(self.through, frame.through)
