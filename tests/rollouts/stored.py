"""Rows of a tracker's state as a database holds them, what the next process starts from, and what it must export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.commands.series import DERIVED_FAMILY_NAMES
from exporter.rollouts.persistence import StateRowEncoder, decode_rows
from exporter.rollouts.tracker import RolloutTracker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.metrics import MetricsSnapshot
    from exporter.rollouts.events.model import ReportedTransition
    from exporter.rollouts.persistence import RowChanges
    from exporter.rollouts.tracker import TrackerState
    from tests.recorded import Recordings

Samples = dict[str, tuple[float, float]]


def derived_samples(snapshot: MetricsSnapshot) -> Samples:
    """Return value and start time of each derived series, without the age of sources."""
    return {
        repr(series): (family.values[place], family.start_times[place] if family.start_times is not None else 0.0)
        for family in snapshot.families
        if family.name in DERIVED_FAMILY_NAMES and family.name != "rollouts_exporter_source_age_seconds"
        for place, series in enumerate(family.series)
    }


class StoredRows:
    """The rows that are stored, changed by one commit after another."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self._encoder = StateRowEncoder()

    def commit(self, state: TrackerState) -> RowChanges:
        """Store the changes of a state; return them."""
        changes = self._encoder.changes(state)
        self.rows = {key: row for key, row in (self.rows | changes).items() if row is not None}
        return changes

    def restart(self) -> TrackerState:
        """Return the state that the next process starts from."""
        state, damaged = decode_rows(self.rows)
        assert not damaged
        self._encoder = StateRowEncoder(self.rows)
        return state


def after_restart(state: TrackerState) -> TrackerState:
    """Return what a process that starts after this state was committed starts from."""
    stored = StoredRows()
    stored.commit(state)
    return stored.restart()


def transitions_of_restarts(recordings: Recordings, name: str) -> Iterator[ReportedTransition]:
    """Yield the transitions of a recording, from a tracker that is restarted at each frame."""
    stored = StoredRows()
    for tick in recordings.ticks(name, "full"):
        tracker = RolloutTracker(recordings.policy, stored.restart())
        tracker.process(tick.timestamp, tick.results)
        stored.commit(tracker.state)
        yield from tracker.status.transitions
