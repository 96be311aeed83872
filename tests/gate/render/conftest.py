"""Golden files: UPDATE=1 writes them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parent / "golden"


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a text with the file of a name."""

    def same(name: str, text: str) -> None:
        if os.environ.get("UPDATE"):
            (FOLDER / name).write_text(text)
        assert text == (FOLDER / name).read_text()

    return same
