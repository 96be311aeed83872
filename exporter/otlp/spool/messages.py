"""Messages about a spool: why it is not on disk, with a hint, and what was recovered."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Final

from exporter.log import fields
from exporter.otlp.spool.files import InUseError

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.otlp.spool.store import Recovery

_log = logging.getLogger(__name__)

MAX_LOGGED: Final = 20
"""Corruptions that are logged one by one; a destroyed disk must not flood the log."""

_FULL: Final = "has no space left: free some, or lower otlp.queue.bytes"
_DENIED: Final = "is not writable: check its owner, its mode, and the pod's fsGroup"
_NO_DIRECTORY: Final = "is not a directory: choose another"
HINTS: Final = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: "is read-only: mount it writable",
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.ENOTDIR: _NO_DIRECTORY,
    errno.EEXIST: _NO_DIRECTORY,
    errno.ENOENT: "does not exist and cannot be created: mount it",
}
"""The problem with the directory and its remedy, by error number."""


def error_message(error: OSError | InUseError, directory: Path) -> str:
    """Return why a directory cannot be used, with a hint."""
    if isinstance(error, InUseError):
        return str(error)
    text = HINTS.get(error.errno or 0, f"fails ({error.strerror}): check its volume")
    return f"otlp.queue.directory {directory} {text}"


def misplaced_message(directory: Path, *, unlinked: bool, buffered: bool) -> str:
    """Return where requests are stored that are not in the directory, though it is usable; "" if there are none."""
    if unlinked:
        return f"otlp.queue.directory {directory} was removed or replaced; its queued requests are held in open files"
    return "requests in memory are being written back to otlp.queue.directory" if buffered else ""


def log_recovery(directory: Path, recovery: Recovery) -> None:
    """Log what a directory contained when it was opened: pending and damaged records."""
    pending = recovery.pending
    if recovery.records or pending.missing_points:
        counts = {"records": len(recovery.records), "points": pending.points, "lost": pending.missing_points}
        _log.info("spool recovered", extra=fields(directory=str(directory), **counts))
    for name, corruption in recovery.corruptions[:MAX_LOGGED]:
        place = {"file": name, "offset": corruption.offset, "bytes": corruption.size}
        extra = fields(**place, points=corruption.points, reason=corruption.reason)
        _log.warning("spool has a damaged record", extra=extra)
    if len(recovery.corruptions) > MAX_LOGGED:
        _log.warning("spool has more damaged records", extra=fields(places=len(recovery.corruptions) - MAX_LOGGED))
