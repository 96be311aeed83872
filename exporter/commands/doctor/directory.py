"""A look at the directory of the database, which changes nothing in it but for a file without a name."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from exporter.commands import storage as commands
from exporter.commands.doctor.model import ExaminedStorage
from exporter.storage.directory import LOCK_FILE, PID_BYTES, error_message, network_filesystem
from exporter.storage.inspection import FILES
from exporter.storage.model import StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.config.settings import Settings

TIMEOUT: Final = 5.0
_WRITTEN: Final = bytes(4096)
"""A page of the database: a file system without any free block refuses it."""


async def examine_directory(settings: Settings, mount_table: Path | None = None) -> ExaminedStorage | None:
    """Look at the directory, None without one; a disk that does not answer within TIMEOUT is an error of it."""
    directory = settings.storage.directory
    if directory is None:
        return None
    loop = asyncio.get_running_loop()
    future: asyncio.Future[ExaminedStorage] = loop.create_future()

    def deliver(examined: ExaminedStorage) -> None:
        if not future.done():
            future.set_result(examined)

    def look() -> None:
        examined = _look(directory, settings, mount_table)
        with suppress(RuntimeError):  # the loop has ended: the disk hung
            loop.call_soon_threadsafe(deliver, examined)

    # A daemon, since a hanging disk cannot be cancelled and must not block the end of the process.
    threading.Thread(target=look, name="doctor directory", daemon=True).start()
    try:
        async with asyncio.timeout(TIMEOUT):
            return await future
    except TimeoutError:
        error = f"storage.directory {directory} does not answer within {TIMEOUT:g} s: check its volume"
        return ExaminedStorage(directory, error)


def _look(directory: Path, settings: Settings, mount_table: Path | None) -> ExaminedStorage:
    limits = settings.storage
    try:
        present = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
        error = _write_error(directory, present)
        used = sum((directory / name).stat().st_size for name in FILES if (directory / name).exists())
        return ExaminedStorage(
            directory=directory,
            error=error,
            filesystem=network_filesystem(present, mount_table),
            owner=_lock_owner(directory),
            free=shutil.disk_usage(present).free,
            needed=max(limits.max_bytes + limits.history_bytes - used, 0) + limits.reserve,
            listing=_listing(settings),
        )
    except OSError as caught:
        return ExaminedStorage(directory, error_message(caught, directory))


def _write_error(directory: Path, present: Path) -> str:
    """Return why the directory cannot be written, or created below the one that is `present`."""
    try:
        if present != directory.absolute() and not os.access(present, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        with tempfile.TemporaryFile(dir=present) as file:
            file.write(_WRITTEN)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error_message(error, directory)
    return ""


def _lock_owner(directory: Path) -> str:
    """Return the pid of the process that holds the lock, "unknown" for one of another machine, "" if none does."""
    with suppress(FileNotFoundError), (directory / LOCK_FILE).open("rb") as file:
        try:
            # Shared, and released at once: an exporter that starts in this very moment would find it locked.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read(PID_BYTES).decode(errors="replace").strip() or "unknown"
    return ""


def _listing(settings: Settings) -> tuple[str, ...]:
    try:
        return tuple(commands.list_contents(settings).lines)
    except StorageError as error:
        return (str(error),)
