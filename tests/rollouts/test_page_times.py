"""Pages of one tick are made at different times: each update is counted once, whichever page is ahead."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import pytest

from exporter.rollouts.tracker import RolloutTracker
from tests.recorded import EXPLAINED_NAMES, NAMES, with_later_pages
from tests.rollouts.lagging import FIRST_DEPLOY, NEW, OLD, PAUSED, SETTLED, Watch, changed, in_progress, pods_by_role
from tests.rollouts.pages import PageReplicaSet, PageRollout, PageStatus, update_results
from tests.updates import ExportedResults, different_results, true_results

if TYPE_CHECKING:
    from exporter.rollouts.model import RolloutKey
    from tests.recorded import Recordings
    from tests.updates import ResultCounts

OTHER_COUNTS: Final = (
    ("basic-canary-ksm2.9.2", "*", "checkout"),  # the recording has no family of a controller's page
    ("bare", "*", "empty"),  # a revision was replaced between two frames, so that the objects do not show it
    ("ephemeral", "no-state", "checkout"),  # promoted and updated again between the pages of one tick
    ("two-installations", "no-state", "green-*"),  # promoted and updated again while its controller was away
)
"""Recording, variant and name of rollouts that are counted otherwise, and why."""
SEEDS: Final = (1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_each_update_is_counted_once_whichever_page_of_a_tick_is_ahead(recordings: Recordings, name: str) -> None:
    for variant in {"full", "no-state"}.intersection(recordings.variants(name)):
        for seed in SEEDS:
            different = wrong_counts(recordings, name, variant, seed)
            assert not {key: pair for key, pair in different.items() if not is_counted_otherwise(name, variant, key)}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPLAINED_NAMES)
def test_each_explained_update_is_counted_once_whichever_page_of_a_tick_is_ahead(
    explained_recordings: Recordings, name: str
) -> None:
    for seed in SEEDS:
        assert not wrong_counts(explained_recordings, name, "full", seed)


def wrong_counts(
    recordings: Recordings, name: str, variant: str, seed: int
) -> dict[RolloutKey, tuple[ResultCounts, ResultCounts]]:
    """Return the rollouts whose updates are not counted as the objects of any frame at first and last sight show."""
    tracker, exported, last = RolloutTracker(recordings.policy), ExportedResults(), 0.0
    for tick in with_later_pages(recordings.ticks(name, variant), seed):
        exported.add(tracker.process(tick.timestamp, tick.results))
        last = tick.timestamp
    truth = recordings.truth(name)
    # At first sight, too, each source may show the first frame or the second.
    first, second = (different_results(true_results(part, last), exported.by_rollout) for part in (truth, truth[1:]))
    return {key: pair for key, pair in first.items() if key in second}


def is_counted_otherwise(name: str, variant: str, key: RolloutKey) -> bool:
    """Return whether `OTHER_COUNTS` has the rollout."""
    return any(all(map(fnmatchcase, (name, variant, key[1]), row)) for row in OTHER_COUNTS)


STARTED: Final = changed(SETTLED, "Progressing", (4, 0, 4, 0), RolloutUpdated=1, NewReplicaSetCreated=1)
STABLE: Final = replace(OLD, pod_count=4)


def test_an_update_that_rollout_state_shows_ahead_of_the_counters_at_first_sight_has_started_before() -> None:
    watch, status = Watch(), PageStatus("old", "new")
    assert in_progress(watch.see(SETTLED, status)) == 1.0
    watch.see_all((STARTED, status), (PAUSED, status))
    promoted = changed(PAUSED, "Completed", (4, 4, 4, 0), RolloutCompleted=1)
    assert update_results(watch.see(promoted, PageStatus("new", "new"))) == {"promoted": 1}


def test_an_analysis_after_the_switch_at_first_sight_hides_no_later_update() -> None:
    """A blueGreen rollout is Completed before its promotion, so that the phase proves no page to be older."""
    analysed = {**FIRST_DEPLOY, "RolloutUpdated": 2, "NewReplicaSetCreated": 2, "AnalysisRunRunning": 1}
    page = PageRollout("Completed", (4, 4, 8, 0), analysed, strategy="blueGreen")
    watch = Watch()
    watch.see(page, PageStatus("old", "new"))
    updated = changed(page, "Progressing", (4, 0, 4, 0), RolloutUpdated=1, NewReplicaSetCreated=1)
    assert update_results(watch.see(updated, PageStatus("old", "newer"))) == {"superseded": 1}


def test_an_update_that_is_aborted_at_once_is_one_abort_also_if_its_status_comes_a_tick_late() -> None:
    watch, status = Watch(), PageStatus("old", "new")
    watch.see(SETTLED, PageStatus("old", "old"))
    aborted = changed(SETTLED, "Abort", (4, 1, 4, 0), RolloutUpdated=1, NewReplicaSetCreated=1, RolloutAborted=1)
    watch.see(aborted, status)
    snapshot = watch.see(aborted, replace(status, aborted=True))
    assert in_progress(snapshot) == 0.0
    assert update_results(snapshot) == {"aborted": 1}


@pytest.mark.parametrize("shows_state", [True, False], ids=["rollout state", "revisions"])
def test_the_next_revision_of_an_aborted_rollout_is_no_retry_while_an_older_page_shows_the_former_one(
    *, shows_state: bool
) -> None:
    watch, newer = Watch(), PageReplicaSet("newer", 3, 0, created_at=3.0)
    status = PageStatus("old", "new", aborted=True)
    before = status if shows_state else (OLD, NEW)
    after = PageStatus("old", "newer") if shows_state else (OLD, NEW, newer)
    aborted = changed(PAUSED, "Abort", (4, 1, 4, 0), RolloutAborted=1)
    settled = PageStatus("old", "old") if shows_state else (STABLE,)
    watch.see_all((SETTLED, settled), (PAUSED, replace(status, aborted=False) if shows_state else before))
    watch.see(aborted, before)
    applied = changed(aborted, "Progressing", (4, 0, 4, 0), RolloutUpdated=1, NewReplicaSetCreated=1)
    assert in_progress(watch.see(applied, before)) == 1.0
    assert update_results(watch.see(applied, after)) == {"aborted": 1}


def test_the_next_replica_set_of_an_aborted_rollout_is_no_abort_while_the_controllers_page_is_older() -> None:
    watch, newer = Watch(), PageReplicaSet("newer", 3, 0, created_at=3.0)
    aborted = changed(PAUSED, "Abort", (4, 1, 4, 0), RolloutAborted=1)
    watch.see_all((SETTLED, (STABLE,)), (PAUSED, (OLD, NEW)), (aborted, (OLD, NEW)))
    assert in_progress(watch.see(aborted, (OLD, NEW, newer))) == 0.0
    applied = changed(aborted, "Progressing", (4, 0, 4, 0), RolloutUpdated=1, NewReplicaSetCreated=1)
    snapshot = watch.see(applied, (OLD, NEW, newer))
    assert in_progress(snapshot) == 1.0
    assert update_results(snapshot) == {"aborted": 1}


def test_pods_of_a_replica_set_that_is_newer_than_the_status_have_no_role_yet() -> None:
    watch, newer = Watch(), PageReplicaSet("newer", 3, 1, created_at=3.0)
    updating = PageStatus("old", "new")
    watch.see_all((SETTLED, PageStatus("old", "old"), (STABLE,)), (PAUSED, updating, (OLD, NEW)))
    assert pods_by_role(watch.see(PAUSED, updating, (OLD, NEW, newer))) == {
        "stable": 3.0,
        "canary": 1.0,
        "unknown": 1.0,
    }
    snapshot = watch.see(PAUSED, PageStatus("old", "newer"), (OLD, NEW, newer))
    assert pods_by_role(snapshot) == {"stable": 3.0, "canary": 1.0, "old": 1.0}


def test_what_another_process_counts_ahead_of_the_status_is_no_way_back() -> None:
    watch, settled = Watch(), PageStatus("old", "old")
    watch.see_all((SETTLED, settled), (SETTLED, settled))
    watch.restart_controller()
    started = PageRollout("Progressing", (4, 0, 4, 0), {"RolloutUpdated": 1, "NewReplicaSetCreated": 1})
    watch.see(started, settled)
    snapshot = watch.see(started, PageStatus("old", "new"))
    assert in_progress(snapshot) == 1.0
    assert update_results(snapshot) == {}


@pytest.mark.parametrize("uid", ["", "a"], ids=["hashes", "uid"])
@pytest.mark.parametrize("shows_state", [True, False], ids=["rollout state", "revisions"])
def test_pages_of_a_deleted_rollout_are_not_those_of_its_successor(*, shows_state: bool, uid: str) -> None:
    watch = Watch()
    settled = PageStatus("old", "old", uid=uid) if shows_state else (STABLE,)
    updating = PageStatus("old", "new", uid=uid) if shows_state else (OLD, NEW)
    watch.see_all((SETTLED, settled), (PAUSED, updating))
    reborn = changed(PAUSED, "Progressing", (4, 4, 4, 0), RolloutDeleted=1, RolloutUpdated=1, RolloutCompleted=1)
    watch.see(reborn, updating)
    successor = PageReplicaSet("first", 1, 4, created_at=9.0)
    snapshot = watch.see(reborn, PageStatus("first", "first", uid=uid and "b"), (successor,))
    assert in_progress(snapshot) == 0.0
    assert update_results(snapshot) == {}
    assert pods_by_role(snapshot) == {"stable": 4.0}
