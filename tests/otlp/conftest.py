"""The backend that the tests of HTTP and of the sender deliver to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from .backend import Backend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture
async def backend() -> AsyncIterator[Backend]:
    server = Backend()
    await server.start()
    yield server
    await server.stop()
