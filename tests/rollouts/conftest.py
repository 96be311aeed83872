"""What the tests of the domain share: the recordings, unpacked and parsed once."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.recorded import Recordings, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def recordings() -> Iterator[Recordings]:
    with tempfile.TemporaryDirectory() as directory:
        yield Recordings(unpack(Path(directory)))
