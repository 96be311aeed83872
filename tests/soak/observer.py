"""Observe the spool of a running exporter: every record that was ever complete in it, by sequence number.

The files are only read, with the functions of the spool. Each segment stays open, so that one which the exporter
removes is still read to its end. Every record header holds the total of points ever put (`total_points`): if a record
was missed, the sums differ, and the ledger reports it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from exporter.otlp.spool.checkpoint import Checkpoint, latest_checkpoint
from exporter.otlp.spool.files import CHECKPOINT_FILE, SpoolFile
from exporter.otlp.spool.record import read_request
from exporter.otlp.spool.recovery import list_segments, scan_segment

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.storage.model import QueuedRequest


class SpoolObserver:
    """The observed records by sequence number, and the total of points that the spool has counted."""

    def __init__(self, directory: Path) -> None:
        self.records: dict[int, QueuedRequest] = {}
        self.total_points = 0
        self._directory = directory
        self._files: dict[Path, SpoolFile] = {}
        self._read_sizes: dict[Path, int] = {}

    def observe(self) -> None:
        """Read new records."""
        for _, path in list_segments(self._directory) if self._directory.is_dir() else ():
            if path not in self._files:
                self._files[path] = SpoolFile(path, os.O_RDONLY)
        for path, file in list(self._files.items()):
            removed = not file.is_linked()
            self._read_segment(path, file)
            if removed:
                file.close()
                del self._files[path]

    def checkpoint(self) -> Checkpoint:
        """Return the latest checkpoint on disk, which holds the spool's own accounting."""
        return latest_checkpoint((self._directory / CHECKPOINT_FILE).read_bytes()) or Checkpoint()

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _read_segment(self, path: Path, file: SpoolFile) -> None:
        size = file.size()
        if size == self._read_sizes.get(path):
            return
        self._read_sizes[path] = size
        for header in scan_segment(file.read, size).headers:
            if header.sequence not in self.records and (request := read_request(header, file.read)):
                self.records[header.sequence] = request
                self.total_points = max(self.total_points, header.total_points)
