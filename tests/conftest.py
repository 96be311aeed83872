"""What several tests share."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def require_program() -> Callable[[str], str]:
    """Return a finder of programs: one that is missing skips the test by name, and fails it where CI=true."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None and os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed, and CI must have it")
        return path or pytest.skip(f"{name} is not installed")

    return find


@pytest.fixture(scope="session")
def promtool(require_program: Callable[[str], str]) -> str:
    return require_program("promtool")
