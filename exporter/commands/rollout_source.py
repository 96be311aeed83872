"""Where commands read rollouts: a running exporter, or the targets of the configuration, scraped by the command."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

from exporter.commands.api_client import ExporterUnreachableError, fetch_json
from exporter.commands.replay import status_at
from exporter.rollouts.events.model import TransitionType
from exporter.rollouts.tracker import RolloutTracker, TrackerStatus
from exporter.scrape.scraper import Scraper
from exporter.service import views
from exporter.service.wiring import parser_factory, tracking_policy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from exporter.commands.api_client import ExporterAddress
    from exporter.config.settings import Settings
    from exporter.rollouts.model import RolloutKey

RolloutObject = Mapping[str, Any]
"""A rollout as an object of /api/rollouts."""
_POLL_SECONDS: Final = 1.0
"""An exporter's page changes with its tick, some seconds; a request for one rollout costs it a millisecond."""
_PATH: Final = "/api/rollouts"


@dataclass(frozen=True, slots=True)
class RolloutsPage:
    """Rollouts at the time of a scrape (Unix seconds); `has_leader`: a leading controller could be read.

    `is_deleted`: the rollout that was asked for was deleted.
    """

    scraped_at: float
    has_leader: bool
    rollouts: Sequence[RolloutObject]
    is_deleted: bool = False


class RolloutSource(Protocol):
    """Reads rollouts; methods raise ExporterUnreachableError, those of a recording RecordingError."""

    poll_seconds: float
    """How long to wait between two refreshes."""

    async def refresh(self) -> None:
        """Scrape, or replay; what follows is the state of this moment."""

    async def read_all(self) -> RolloutsPage:
        """Return all rollouts."""

    async def read(self, key: RolloutKey) -> RolloutsPage:
        """Return one rollout with its `explanation`, or none."""

    async def close(self) -> None:
        """Close all connections."""


class ExporterRollouts:
    """The rollouts of a running exporter."""

    poll_seconds = _POLL_SECONDS

    def __init__(self, address: ExporterAddress) -> None:
        self._address = address

    async def refresh(self) -> None:
        """Do nothing: the exporter scrapes by itself."""

    async def read_all(self) -> RolloutsPage:
        """Return all rollouts."""
        document = await fetch_json(self._address, _PATH)
        return _page(document, document.get("rollouts"))

    async def read(self, key: RolloutKey) -> RolloutsPage:
        """Return one rollout with its `explanation` and recent `events`, or none."""
        path = "/".join((_PATH, *(quote(part, safe="") for part in key)))
        document = await fetch_json(self._address, path, absent=True)
        rollout, events = document.get("rollout"), document.get("events")
        if rollout is not None:
            return _page(document, [{**rollout, "events": events}])
        last_type = events[-1]["type"] if events else ""
        return replace(_page(document, []), is_deleted=last_type == TransitionType.DELETED)

    async def close(self) -> None:
        """Close nothing: each read has its own connection."""


def _page(document: Mapping[str, Any], rollouts: object) -> RolloutsPage:
    if not isinstance(rollouts, list) or "has_leader" not in document:
        hint = "check that --address is a rollouts-exporter of this version"
        raise ExporterUnreachableError(f"{_PATH} returned no rollouts; {hint}")
    if not document["at"]:
        raise ExporterUnreachableError("the exporter has not completed its first cycle; try again in some seconds")
    return RolloutsPage(document["at"], document["has_leader"], rollouts)


class _TrackedRollouts:
    """The rollouts of a tracker in this process; `_timestamp` (Unix seconds) is the time of its last tick."""

    poll_seconds = _POLL_SECONDS
    _status = TrackerStatus()
    _timestamp = 0.0

    async def read_all(self) -> RolloutsPage:
        """Return all rollouts."""
        return self._page(list(views.rollouts_json(self._status, self._timestamp)))

    async def read(self, key: RolloutKey) -> RolloutsPage:
        """Return one rollout, or none."""
        rollout = views.rollout_details_json(self._status, key, self._timestamp)
        if rollout is not None:
            return self._page([rollout])
        is_deleted = any(
            transition.rollout == key and transition.type is TransitionType.DELETED
            for transition in self._status.transitions
        )
        return replace(self._page([]), is_deleted=is_deleted)

    def _page(self, rollouts: Sequence[RolloutObject]) -> RolloutsPage:
        return RolloutsPage(self._timestamp, views.has_leader(self._status), rollouts)


class ScrapedRollouts(_TrackedRollouts):
    """The rollouts of the configuration's targets, followed from scrape to scrape. Raises ValueError for a target."""

    def __init__(self, settings: Settings) -> None:
        self.poll_seconds = settings.tick_seconds
        self._scraper = Scraper(settings, parser_factory(settings))
        self._tracker = RolloutTracker(tracking_policy(settings))

    async def refresh(self) -> None:
        """Scrape all targets."""
        self._timestamp = time.time()
        self._tracker.process(self._timestamp, await self._scraper.scrape(self._timestamp))
        self._status = self._tracker.status

    async def close(self) -> None:
        """Close all connections."""
        await self._scraper.aclose()


class RecordedRollouts(_TrackedRollouts):
    """The rollouts of a recording at a time (Unix seconds); a negative one counts from its end, None is its end."""

    def __init__(self, path: Path, settings: Settings, timestamp: float | None) -> None:
        self._replayed = (path, settings, timestamp)

    async def refresh(self) -> None:
        """Replay the recording."""
        self._status, self._timestamp = status_at(*self._replayed)

    async def close(self) -> None:
        """Close nothing."""


def step_place(rollout: RolloutObject) -> tuple[int, int] | None:
    """Return the step, counted from 1, or where the update stopped, and the number of steps; None without one."""
    step, stopped_at = rollout["step"], rollout["stopped_at"]
    if not step:
        return None
    # An abort sets the index back to 0.
    index = step["index"] if stopped_at is None else stopped_at
    return min(index + 1, step["of"]), step["of"]
