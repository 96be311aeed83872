"""Tests that are marked `preloaded` run in a process of their own, with the library of shim.py."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.storage.shim import build, run_preloaded

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def shim_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("shim"))


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a marked test by another pytest."""
    if pyfuncitem.get_closest_marker("preloaded") is None or "LD_PRELOAD" in os.environ:
        return None
    run_preloaded(
        pyfuncitem._request.getfixturevalue("shim_library"), "pytest", "-qp", "no:cacheprovider", pyfuncitem.nodeid
    )
    return True
