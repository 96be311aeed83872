"""A recording played by processes that are killed: one at each frame, at a place that a seed decides.

Each life starts on the directory of the one before, processes a frame, and ends by SIGKILL: before its commit, after
it, when the API has answered but that is not stored, or when it is. In a part of the frames the API is down. The API
counts what arrives; the events that are right come from a model without storage and network, which loses the frames
whose commit a kill prevented.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import random
import signal
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from exporter.config.settings import Settings
from exporter.notify.destinations.change_events import NAME, change_events
from exporter.notify.notifier import Notifier
from exporter.rollouts.tracker import RolloutTracker
from exporter.self_metrics import SelfMetrics
from exporter.service.cycle_store import CycleStore, read_state
from exporter.service.transition_feed import transition_records
from exporter.service.wiring import tracking_policy
from exporter.service.worker import Worker
from tests.last9_api import WRITE_TOKEN, Last9Api, serve
from tests.notify.golden import NAMES
from tests.rollouts.stored import StoredRows
from tests.storage.support import Process, SetClock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.recorded import RecordedTick, Recordings

_PROCESSES: Final = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])
_SECONDS: Final = 20.0
_SECONDS_OF_OUTAGE: Final = 0.1


class KillPlace(StrEnum):
    """Where a life ends."""

    BEFORE_COMMIT = "before_commit"
    COMMITTED = "committed"
    ANSWERED = "answered"
    DELIVERED = "delivered"
    NOWHERE = "nowhere"


@dataclass(frozen=True)
class LifePlan:
    """One life: where it ends, its time (Unix seconds), the frame to process, and whether the API is down."""

    place: KillPlace
    now: float
    tick: RecordedTick | None = None
    is_down: bool = False


_PLACES: Final = tuple(place for place in KillPlace if place is not KillPlace.NOWHERE)


def configured(address: str) -> Settings:
    """Return the settings of each life."""
    change_events = {"enabled": True, "marks": True}
    last9 = {"address": address, "refresh_token": WRITE_TOKEN, "change_events": change_events}
    identity = {"k8s.cluster.name": NAMES.cluster, "deployment.environment": NAMES.environment}
    return Settings.parse({"attributes": identity, "last9": last9})


def kill(*_: object) -> None:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def live(plan: LifePlan, directory: Path, address: str) -> None:
    """Live one life, in a process of its own."""
    logging.disable()
    asyncio.run(_live(plan, directory, address))


async def _live(plan: LifePlan, directory: Path, address: str) -> None:
    settings = configured(address)
    process = Process(directory, fsync="never", clock=SetClock(wall_time=plan.now))
    storage, worker = process.storage, Worker()
    tracker = RolloutTracker(tracking_policy(settings), read_state(storage))
    store = CycleStore(storage, worker, has_directory=True)
    storage.start()
    notifier = Notifier(settings, SelfMetrics("test", 0.0), storage)
    if plan.tick is not None:
        tracker.process(plan.now, plan.tick.results)
        transitions = tracker.status.transitions
        messages = notifier.messages(transitions)
        if plan.place is KillPlace.BEFORE_COMMIT:
            kill()
        assert await store.commit(tracker, (), transition_records(transitions), messages)
    if plan.place is KillPlace.COMMITTED:
        kill()
    if plan.place is KillPlace.ANSWERED:
        vars(storage.outbox)["finish"] = kill
    async with notifier:
        await notifier.drain(_SECONDS_OF_OUTAGE if plan.is_down else _SECONDS)
    account = storage.outbox.account(NAME)
    assert plan.is_down or account.pending == 0, account
    if plan.place is not KillPlace.NOWHERE:
        kill()
    worker.close()
    process.close()
    assert account.produced == account.delivered, account


def planned(ticks: Sequence[RecordedTick], seed: int) -> list[LifePlan]:
    """Return a life for each frame, with an outage of a third of them, and a last one that delivers what waits."""
    rng = random.Random(seed)
    down_from = rng.randrange(len(ticks))
    lives = [
        LifePlan(rng.choice(_PLACES), tick.timestamp, tick, is_down=0 <= place - down_from < len(ticks) // 3)
        for place, tick in enumerate(ticks)
    ]
    # Without its first frame, a recording begins in the midst of updates, which have no events.
    lives[0] = replace(lives[0], place=KillPlace.DELIVERED)
    return [*lives, LifePlan(KillPlace.NOWHERE, ticks[-1].timestamp)]


def expected_events(recordings: Recordings, lives: Sequence[LifePlan]) -> list[bytes]:
    """Return the events of the frames that were committed, by a tracker that is restarted at each frame."""
    stored, bodies = StoredRows(), []
    for life in lives:
        if life.tick is not None and life.place is not KillPlace.BEFORE_COMMIT:
            tracker = RolloutTracker(recordings.policy, stored.restart())
            tracker.process(life.now, life.tick.results)
            stored.commit(tracker.state)
            bodies += [body for each in tracker.status.transitions for body in change_events(each, NAMES, marks=True)]
    return bodies


async def received_events(lives: Sequence[LifePlan], directory: Path) -> list[bytes]:
    """Live the lives, one after another; return the bodies that the API has accepted, in order, repeated ones, too."""
    async with serve(Last9Api()) as api:
        for life in lives:
            api.faults = [503] * 1000 if life.is_down else []
            process = _PROCESSES.Process(target=live, args=(life, directory, api.address))
            process.start()
            await asyncio.to_thread(process.join)
            expected = 0 if life.place is KillPlace.NOWHERE else -signal.SIGKILL
            assert process.exitcode == expected, (life.place, process.exitcode)
        return api.events


async def check_recording(recordings: Recordings, name: str, seed: int, directory: Path) -> str:
    """Fail unless exactly the right events arrive, with the right bytes, in order; return what was seen."""
    lives = planned(recordings.ticks(name, "full"), seed)
    expected, received = expected_events(recordings, lives), await received_events(lives, directory)
    assert list(dict.fromkeys(received)) == expected, f"{name}, seed {seed}"
    return f"{name} seed {seed}: {len(lives)} lives, {len(expected)} events, {len(received) - len(expected)} repeated"
