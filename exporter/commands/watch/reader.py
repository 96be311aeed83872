"""Reads the state of a view, from a running exporter or from scraped targets."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from exporter.commands.api_client import ExporterUnreachableError, fetch_json
from exporter.commands.explain import rollout_key, select
from exporter.commands.watch.state import WatchState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from exporter.commands.api_client import ExporterAddress
    from exporter.commands.rollout_source import RolloutSource
    from exporter.rollouts.model import RolloutKey


class StateReader(Protocol):
    """Reads a state again and again; `poll_seconds` is how long to wait in between."""

    poll_seconds: float

    async def read(self) -> WatchState:
        """Return the state of this moment, or the last known one with its failure."""


class RolloutsReader:
    """Reads all rollouts of a source, or one in full; `address` is that of a running exporter, if it is one.

    The first read raises ExporterUnreachableError, and ExplainError if there is no such rollout.
    """

    def __init__(
        self, source: RolloutSource, origin: str, name: str = "", address: ExporterAddress | None = None
    ) -> None:
        self.poll_seconds = source.poll_seconds
        self._source, self._origin, self._name, self._address = source, origin, name, address
        self._key: RolloutKey | None = None
        self._last: WatchState | None = None

    async def read(self) -> WatchState:
        """Return the state of this moment, or the last known one with its failure."""
        try:
            self._last = await self._read()
        except ExporterUnreachableError as error:
            if self._last is None:
                raise
            return replace(self._last, now=time.time(), failure=str(error))
        return self._last

    async def _read(self) -> WatchState:
        await self._source.refresh()
        if not self._name:
            page = await self._source.read_all()
        else:
            if self._key is None:
                self._key = rollout_key(select((await self._source.read_all()).rollouts, self._name))
            page = await self._source.read(self._key)
        return WatchState(self._origin, page, time.time(), status=await self._status())

    async def _status(self) -> Mapping[str, Any]:
        """Return the object of /api/status, empty where an exporter has none."""
        if self._address is None:
            return {}
        try:
            return await fetch_json(self._address, "/api/status")
        except ExporterUnreachableError:
            return {}

    @property
    def name(self) -> str:
        """NAMESPACE/NAME of the rollout, "" for all."""
        return "/".join(self._key) if self._key is not None else self._name
