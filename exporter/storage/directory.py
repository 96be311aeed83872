"""The directory: names of its files, its lock, its file system, and the text of each error of the system."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sqlite3
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from exporter.storage.model import InUseError, UnsupportedFilesystemError

DATABASE_FILE: Final = "exporter.db"
WAL_FILE: Final = "exporter.db-wal"
SHM_FILE: Final = "exporter.db-shm"
JOURNAL_FILE: Final = "exporter.db-journal"
LEDGER_FILE: Final = "exporter.ledger"
LOCK_FILE: Final = "exporter.lock"
DAMAGED_FILE: Final = "exporter.db.damaged"
SALVAGED_FILE: Final = "exporter.db.salvaged"

MOUNTS: Final = Path("/proc/self/mountinfo")

NETWORK_FILESYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs", "lustre", "gpfs", "beegfs", "ocfs2", "gfs2"}
)
"""Types of file systems whose files other machines may change: the shared memory of a WAL is not coherent there."""

HINTS: Final = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "has no space left: free some, or lower storage.max_bytes"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "is not writable: check its owner, its mode, and the pod's fsGroup"),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "is not a directory: choose another"),
    errno.EROFS: "is read-only: mount it writable",
    errno.ENOENT: "does not exist and cannot be created: mount it",
}
"""The problem with the directory and its remedy, by error number."""

_SQLITE_ERRNO: Final = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
}
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

READ_CHUNK: Final = 1024 * 1024

PID_BYTES: Final = 20

_OCTAL: Final = re.compile(r"\\([0-7]{3})")


class FreeSpaceError(OSError):
    """Less than `storage.reserve` bytes are free."""


def create_directory(directory: Path) -> None:
    """Create a directory with its missing parents, durably. Raises OSError."""
    if directory.is_dir():
        return
    create_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Sync the entries of a directory: what was created or renamed in it. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_through(path: Path) -> None:
    """Read a file to its end, and forget it; a missing one is fine. Raises OSError.

    SQLite reports EIO of a read as a damaged file (its SQLITE_IOERR_CORRUPTFS); this reports it as what it is. No
    connection may be open that is still used: closing the file releases its locks, which are the process's.
    """
    try:
        with path.open("rb", buffering=0) as file:
            while file.read(READ_CHUNK):
                pass
    except FileNotFoundError:
        return


def network_filesystem(directory: Path, mount_table: Path | None = None) -> str:
    """Return the type of the network file system that a directory is on, "" if it is on a local one.

    The table of mounts has the format of /proc/self/mountinfo (proc(5)); later mounts hide earlier ones.
    """
    try:
        lines = (mount_table or MOUNTS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""  # not Linux
    path, longest, kind = f"{directory.resolve()}/", "", ""
    for before, _, after in (line.partition(" - ") for line in lines):
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), before.split(" ")[4]).rstrip("/") + "/"
        if path.startswith(point) and len(point) >= len(longest):
            longest, kind = point, after.split(" ")[0]
    return kind if kind in NETWORK_FILESYSTEMS or kind.startswith("fuse.") else ""


class DirectoryLock:
    """The locked lock file, which holds the pid of the process.

    Raises OSError, InUseError, and UnsupportedFilesystemError where locks do not work.
    """

    def __init__(self, directory: Path, filesystem: str) -> None:
        self._path = directory / LOCK_FILE
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        with ExitStack() as opened:
            opened.callback(self.close)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InUseError(
                    f"storage.directory {directory} is in use by another process (its pid: {self._owner()}); "
                    "give each exporter a directory of its own, or stop the other first"
                ) from None
            except OSError as error:
                if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}:
                    raise
                raise UnsupportedFilesystemError(
                    f"storage.directory {directory} is on a file system ({filesystem or 'unknown'}) without working "
                    "locks: choose a directory on a local disk or a block volume, or unset it to store nothing"
                ) from error
            with suppress(OSError):  # a full disk is no reason not to deliver what is on it
                os.pwrite(self._descriptor, f"{os.getpid()}\n".ljust(PID_BYTES).encode(), 0)
            opened.pop_all()

    def _owner(self) -> str:
        try:
            return os.pread(self._descriptor, PID_BYTES, 0).decode(errors="replace").strip() or "unknown"
        except OSError:  # a disk that fails is no reason to start beside another process
            return "unknown"

    def is_linked(self) -> bool:
        """Return whether the path still leads to this file: the directory may have been removed or replaced."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except OSError:
            return False

    def close(self) -> None:
        """Close the file, which releases the lock."""
        os.close(self._descriptor)


def is_damage(error: Exception) -> bool:
    """Return whether an error means a damaged file. An error of the system never does: the file may be sound."""
    return isinstance(error, sqlite3.DatabaseError) and result_code(error) in _DAMAGE


def result_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, which is the low byte of an extended one; 0 for an error without one."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def error_message(error: Exception, directory: Path) -> str:
    """Return why the directory cannot be used, with a hint."""
    if isinstance(error, FreeSpaceError):
        return str(error)
    number, text = 0, str(error)
    if isinstance(error, OSError):
        number, text = error.errno or 0, error.strerror or text
    elif isinstance(error, sqlite3.Error):
        number = _SQLITE_ERRNO.get(result_code(error), 0)
    else:
        return text
    return f"storage.directory {directory} {HINTS.get(number, f'fails ({text}): check its volume')}"
