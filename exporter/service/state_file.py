"""The file that keeps the memory of the fleet: read at the start, replaced whole after each cycle."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from exporter.log import fields
from exporter.rollouts.persistence import UnfitMemoryError, Writer, load

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.rollouts.tracker import TrackerState

NAME: Final = "fleet.memory"
_log = logging.getLogger(__name__)


class MemoryFile:
    """`memory.directory`'s file, of one cluster. What cannot be read is set aside, never a reason to stop."""

    def __init__(self, directory: Path, cluster: str) -> None:
        self._path = directory / NAME
        self._cluster = cluster
        self._writer = Writer(cluster)
        self._failing = False

    def read(self) -> TrackerState | None:
        """Return what was kept, None when there is nothing fit."""
        try:
            return load(self._path.read_bytes(), self._cluster)
        except FileNotFoundError:
            return None
        except UnfitMemoryError as error:
            self._set_aside(str(error))
        except OSError as error:
            _log.warning("memory cannot be read", extra=fields(why=error.strerror, cure="check memory.directory"))
        return None

    def write(self, memory: TrackerState) -> bool:
        """Replace what was kept, atomically; say whether that went well. A failure is logged once until it heals."""
        part = self._path.with_suffix(".part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(self._writer.dump(memory))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:
            if not self._failing:
                _log.warning(
                    "memory cannot be written", extra=fields(why=error.strerror, cure="check memory.directory")
                )
            self._failing = True
            return False
        self._failing = False
        return True

    def _set_aside(self, why: str) -> None:
        aside = self._path.with_suffix(".unfit")
        _log.warning("memory set aside", extra=fields(why=why, kept=str(aside), cure="delete it when it is of no use"))
        try:
            self._path.replace(aside)
        except OSError as error:
            _log.warning("memory cannot be set aside", extra=fields(why=error.strerror, cure="check memory.directory"))
