"""Fixtures that several packages of tests share."""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.otlp.backend import Backend
from tests.recorded import EXPLAINED_ARCHIVES, Recordings, unpack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _restored_root_logger() -> Iterator[None]:
    """Restore level and handlers of the root logger: a command that runs in this process configures it."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture(scope="session")
def require_program() -> Callable[[str], str]:
    """Return a function that finds a program; a missing one skips the test, or fails it if CI=true."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None and os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed, and required in CI")
        return path or pytest.skip(f"{name} is not installed")

    return find


@pytest.fixture(scope="session")
def promtool(require_program: Callable[[str], str]) -> str:
    return require_program("promtool")


@pytest.fixture(scope="session")
def recordings_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack all recordings once."""
    return unpack(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="session")
def recording(recordings_folder: Path) -> Callable[[str], Path]:
    """Return the folder of a recording by name."""
    return lambda name: recordings_folder / name


@pytest.fixture(scope="session")
def recordings(recordings_folder: Path) -> Recordings:
    """Return all recordings; each page is parsed once."""
    return Recordings(recordings_folder)


@pytest.fixture(scope="session")
def explained_recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """Return the recordings that say why each rollout is where it is."""
    return Recordings(unpack(tmp_path_factory.mktemp("why"), EXPLAINED_ARCHIVES))


@pytest_asyncio.fixture
async def backend() -> AsyncIterator[Backend]:
    """Serve an OTLP/HTTP backend that accepts every request, unless a test sets other replies."""
    server = Backend()
    await server.start()
    yield server
    await server.stop()
