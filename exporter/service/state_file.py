"""The state file: the tracker's state, read at the start and replaced atomically after each cycle."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from exporter.log import fields
from exporter.rollouts.persistence import InvalidStateError, StateEncoder, decode_state

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.rollouts.tracker import TrackerState

FILE_NAME: Final = "fleet.memory"
"""Public like the format of the file: another name would lose the state at an upgrade."""
_log = logging.getLogger(__name__)


class StateFile:
    """The state file of one cluster in `storage.directory`. An unreadable file is renamed, never a reason to stop."""

    def __init__(self, directory: Path, cluster: str) -> None:
        self._path = directory / FILE_NAME
        self._cluster = cluster
        self._encoder = StateEncoder(cluster)
        self._write_failed = False

    def read(self) -> TrackerState | None:
        """Return the stored state, None if there is none that is usable."""
        try:
            return decode_state(self._path.read_bytes(), self._cluster)
        except FileNotFoundError:
            return None
        except InvalidStateError as error:
            self._quarantine(str(error))
        except OSError as error:
            _warn("state file cannot be read", error)
        return None

    def encode(self, state: TrackerState) -> bytes:
        """Return the file's content for a state; to be called on the worker, which owns the encoder and its cache."""
        return self._encoder.encode(state)

    def write(self, content: bytes) -> bool:
        """Replace the stored state atomically; return whether that succeeded. A lasting failure is logged once."""
        partial_path = self._path.with_suffix(".part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with partial_path.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # before the renaming, or a crash could leave an empty file
            partial_path.replace(self._path)
        except OSError as error:
            if not self._write_failed:
                _warn("state file cannot be written", error)
            self._write_failed = True
        else:
            self._write_failed = False
        return not self._write_failed

    def _quarantine(self, reason: str) -> None:
        renamed = self._path.with_suffix(".unfit")
        _log.warning("unusable state file renamed", extra=fields(reason=reason, file=str(renamed), hint="delete it"))
        try:
            self._path.replace(renamed)
        except OSError as error:
            _warn("state file cannot be renamed", error)


def _warn(event: str, error: OSError) -> None:
    _log.warning(event, extra=fields(reason=error.strerror, hint="check storage.directory"))
