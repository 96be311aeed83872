"""What a spool tells people: why it is not on disk and what cures that, and what it found."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Final

from exporter.log import fields
from exporter.otlp.spool.files import InUseError

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.otlp.spool.store import Found

_log = logging.getLogger(__name__)

MOST: Final = 20
"""Damages that are told one by one."""

_FULL: Final = "has no space left: free some, or lower otlp.queue.bytes"
_CLOSED: Final = "may not be written: see its owner, its mode, and the pod's fsGroup"
CURES: Final = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: "is read-only: mount it writable",
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.ENOTDIR: "is no directory: name another",
    errno.EEXIST: "is no directory: name another",
    errno.ENOENT: "is not there and cannot be made: mount it",
}
"""What is wrong with the directory and what cures it, by error number."""


def trouble(error: OSError | InUseError, directory: Path) -> str:
    """Say why a directory cannot be used, and the cure."""
    if isinstance(error, InUseError):
        return str(error)
    text = CURES.get(error.errno or 0, f"fails ({error.strerror}): check its volume")
    return f"otlp.queue.directory {directory} {text}"


def astray(directory: Path, *, orphans: bool, tail: bool) -> str:
    """Say where records wait that are not in the directory, though it can be used; "" when there are none."""
    if orphans:
        return f"otlp.queue.directory {directory} was removed or replaced; what it held waits in open files"
    return "what waited in memory is going back to otlp.queue.directory" if tail else ""


def tell(directory: Path, found: Found) -> None:
    """Log what was found in a directory: what goes on waiting, and what is damaged."""
    waiting = found.waiting
    if found.entries or waiting.lost:
        facts = fields(directory=str(directory), records=len(found.entries), points=waiting.points, lost=waiting.lost)
        _log.info("spool goes on with what was there", extra=facts)
    for name, damage in found.damages[:MOST]:
        facts = fields(file=name, offset=damage.offset, bytes=damage.size, points=damage.points, why=damage.why)
        _log.warning("spool has damage", extra=facts)
    if len(found.damages) > MOST:
        _log.warning("spool has more damage", extra=fields(places=len(found.damages) - MOST))
