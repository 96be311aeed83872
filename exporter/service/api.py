"""The answers of /api/rollouts with a query, and of /api/status; called on the event loop."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

from exporter.service.pages.delivery import point_books
from exporter.service.pages.fleet import TURN_ROLLOUTS, matching_entries
from exporter.service.views import has_leader, rollout_json
from exporter.web.model import Urgency

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.service.pages.sources import PageSources, RunningParts
    from exporter.web.api_routes import RolloutsQuery
    from exporter.web.model import TargetCard


class ApiSources:
    """The JSON values of the API at the moment of each call."""

    def __init__(self, parts: RunningParts, pages: PageSources) -> None:
        self._parts = parts
        self._pages = pages

    async def matching_rollouts(self, query: RolloutsQuery) -> Mapping[str, object]:
        """Return an object of /api/rollouts with the rollouts that pass a query; only these are explained."""
        fleet, status = await self._pages.read_fleet(), self._parts.tracker.status
        entries = matching_entries(fleet, query.fleet)
        now = self._parts.snapshot().timestamp
        rollouts = []
        for number, entry in enumerate(entries[query.offset : query.offset + query.limit]):
            rollout = rollout_json(entry.rollout, status.last_seen.get(entry.rollout.key, 0.0), now)
            rollouts.append({name: rollout[name] for name in query.fields} if query.fields else rollout)
            if number % TURN_ROLLOUTS == 0:
                await asyncio.sleep(0)
        return {**self._page_members(now), "total": len(fleet.entries), "matching": len(entries), "rollouts": rollouts}

    def _page_members(self, now: float) -> dict[str, object]:
        return {
            "at": now,
            "history_since": self._parts.storage.history.held_since,
            "has_leader": has_leader(self._parts.tracker.status),
        }

    async def status(self) -> Mapping[str, object]:
        """Return the object of /api/status."""
        page = await self._pages.targets()
        head, books = page.head, self._parts.books
        delivery = {**asdict(head.delivery), **asdict(point_books(books))} if head.delivery and books else None
        return {
            **self._page_members(head.observed_at),
            "version": head.version,
            "instance": head.instance,
            "uptime": head.uptime,
            "rollouts": head.counts.rollouts,
            "counts": {urgency.value: head.counts.by_urgency.get(urgency, 0) for urgency in Urgency},
            "delivery": delivery,
            "targets": [_target_json(target) for target in page.targets],
            "warnings": list(head.warnings),
        }


def _target_json(target: TargetCard) -> dict[str, object]:
    return {
        "source": target.source,
        "address": target.address,
        "installation": target.installation,
        "state": target.state,
        "error": target.error,
        "last_success_age": target.last_success_age,
        "malformed_lines": target.malformed_count,
    }
