"""What a running demo shows: the views of `watch`, read from the exporter in this process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from exporter.commands.rollout_source import RolloutsPage
from exporter.commands.watch.state import WatchState
from exporter.demo.fake_backend import received_line
from exporter.service import views

if TYPE_CHECKING:
    from exporter.demo.fake_backend import ReceivedMetrics
    from exporter.rollouts.output.targets import TargetStatus
    from exporter.service.app import App

READ_SECONDS: Final = 0.25
"""Half of the demo's tick."""


class DemoReader:
    """Reads the state of the demo's exporter, whose pages are at `address`, and what the fake backend has received."""

    poll_seconds = READ_SECONDS

    def __init__(self, app: App, received: ReceivedMetrics, address: str) -> None:
        self._app, self._received, self._address = app, received, address

    async def read(self) -> WatchState:
        """Return the state of this moment."""
        tracker, now = self._app.tracker.status, time.time()
        # Before the first cycle there is no target yet, which is no trouble.
        has_leader = views.has_leader(tracker) or not tracker.targets
        page = RolloutsPage(now, has_leader, list(views.rollouts_json(tracker, now)))
        status = {"targets": [_target(target) for target in tracker.targets]}
        return WatchState(self._address, page, now, status=status, notes=(received_line(self._received),))


def _target(target: TargetStatus) -> dict[str, str]:
    result = target.result
    return {
        "source": result.source.value,
        "address": result.target,
        "state": "down" if result.failure is not None else "up",
        "error": result.failure.message if result.failure is not None else "",
    }
