"""The transitions of real recordings are those that the Kubernetes objects justify, once each, whatever restarts."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

import pytest

from exporter.metrics import Source
from exporter.rollouts.events.document import transition_json
from exporter.rollouts.events.model import TransitionType
from exporter.rollouts.explain.model import Cause
from exporter.rollouts.tracker import RolloutTracker
from tests.events.golden import GOLDEN_FOLDER, timeline
from tests.events.justified import justified_transitions
from tests.recorded import EXPLAINED_NAMES, NAMES, thin_out
from tests.rollouts.stored import StoredRows

if TYPE_CHECKING:
    from typing import Any

    from exporter.rollouts.events.model import ReportedTransition
    from exporter.rollouts.model import RolloutKey
    from exporter.rollouts.tracker import RolloutTracker as Tracker
    from tests.events.justified import Happened
    from tests.recorded import Recordings

RESULTS: Final = ("promoted", "aborted", "rolled_back", "superseded")
WITH_HASH: Final = ("update_started", *RESULTS)
MEMBERS: Final = (
    "at", "rollout", "type", "revision", "hash", "cause", "step", "images", "fraction", "duration", "sentence",
)  # fmt: skip # a table
UNSEEN: Final = {("plugin-1.10.2", ("pay", "headers")): Counter({("paused", ""): 1, ("resumed", ""): 1})}
"""Of what the objects justify, what no page shows: the page is a write older, and the next frame has left the pause."""
BETWEEN_OBJECTS: Final = {("bare", ("pay", "empty")): Counter({("superseded", ""): 1, ("update_started", ""): 1})}
"""What only the counters show: the controller counted two revisions between two objects, which are 2 s apart."""
WITHOUT_CONTROLLERS: Final = "basic-canary-ksm2.9.2"
"""A recording whose pages of controllers are empty: only kube-state-metrics' own are of interest in it."""
LEADERS: Final = {
    "leader-failover": 2, "leader-failover-v1.6.6": 2, "restart": 2, "two-installations": 2, "api-outage": 1,
}  # fmt: skip # a table
"""How often another process led, by the action log of each recording."""
RESTARTED: Final = (
    "analysis-1.10.2", "person-1.10.2", "superseded-1.9.3", "deadline-1.9.3", "leader-failover", "reborn",
)  # fmt: skip # a table
"""A few recordings with all types: all recordings would take minutes; they were run, and did not differ."""


def happened(tracker: Tracker, transition: ReportedTransition) -> Happened:
    """Return a transition as `justified_transitions` describes it."""
    kind = transition.type.value
    if kind in WITH_HASH:
        return kind, transition.hash
    if kind.startswith("analysis"):
        return kind, transition.sentence.split()[1].rstrip(":")
    if kind == "step_reached":
        # The first configuration of rollout state does not show how many steps there are, so the object has no step.
        state = next(rollout.state for rollout in tracker.status.rollouts if rollout.key == transition.rollout)
        assert state.last_shown.step is not None
        return kind, str(state.last_shown.step[0])
    return kind, ""


def check(recordings: Recordings, name: str) -> None:
    """Compare the transitions of a recording with those of its objects."""
    reported: dict[RolloutKey, Counter[Happened]] = defaultdict(Counter)
    leaders, last = 0, 0.0
    for tick, _, tracker in recordings.play(name, "full"):
        last = tick.timestamp
        for transition in tracker.status.transitions:
            if transition.rollout is None:
                leaders += 1
            else:
                reported[transition.rollout][happened(tracker, transition)] += 1
    justified = justified_transitions(recordings.truth(name), last)
    for key in {*reported, *justified}:
        unseen, counted = (table.get((name, key), Counter()) for table in (UNSEEN, BETWEEN_OBJECTS))
        assert reported[key] == justified.get(key, Counter()) - unseen + counted, key
    assert leaders == LEADERS.get(name, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPLAINED_NAMES)
def test_transitions_of_explained_recordings_are_justified_by_the_objects(
    explained_recordings: Recordings, name: str
) -> None:
    check(explained_recordings, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_transitions_are_justified_by_the_objects(recordings: Recordings, name: str) -> None:
    if name != WITHOUT_CONTROLLERS and "full" in recordings.variants(name):
        check(recordings, name)


def restarted_differences(recordings: Recordings, name: str, variant: str, seconds: float) -> tuple[int, list[Any]]:
    """Restart a tracker at each tick; return how many transitions there are, and those that differ."""
    continuous, stored = RolloutTracker(recordings.policy), StoredRows()
    count, different = 0, []
    for tick in thin_out(recordings.ticks(name, variant), seconds):
        restarted = RolloutTracker(recordings.policy, stored.restart())
        for tracker in (continuous, restarted):
            tracker.process(tick.timestamp, tick.results)
        stored.commit(restarted.state)
        expected, actual = continuous.status.transitions, restarted.status.transitions
        count += len(expected)
        different += [pair for pair in [(expected, actual)] if expected != actual]
    return count, different


@pytest.mark.slow
@pytest.mark.parametrize("name", RESTARTED)
def test_a_restart_at_any_frame_repeats_and_loses_nothing(
    recordings: Recordings, explained_recordings: Recordings, name: str
) -> None:
    folder = recordings if name in NAMES else explained_recordings
    for variant, seconds in (("full", 0.0), ("full", 15.0), ("argo-only", 0.0)):
        count, different = restarted_differences(folder, name, variant, seconds)
        assert count > 0
        assert not different


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 15.0])
def test_results_are_as_many_as_updates_total_counts(recordings: Recordings, seconds: float) -> None:
    total = 0
    for name in NAMES:
        for variant in recordings.variants(name):
            reported: dict[RolloutKey, Counter[str]] = defaultdict(Counter)
            for _, _, tracker in recordings.play(name, variant, seconds):
                for transition in tracker.status.transitions:
                    if transition.rollout is not None:
                        key, kind = transition.rollout, transition.type.value
                        reported[key] = Counter() if kind == "deleted" else reported[key] + Counter([kind])
            for rollout in tracker.status.rollouts:
                counts = Counter({str(result): count for result, count in rollout.state.result_counts.items()})
                results = Counter({kind: reported[rollout.key][kind] for kind in RESULTS})
                assert +results == +counts, (name, variant, rollout.key)
                total += counts.total()
    assert total > 100


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPLAINED_NAMES)
def test_an_object_has_the_documented_members_and_no_others(explained_recordings: Recordings, name: str) -> None:
    for tick, _, tracker in explained_recordings.play(name, "full"):
        for transition in tracker.status.transitions:
            document = transition_json(transition)
            assert list(document) == [member for member in MEMBERS if member in document]
            assert document["at"] == tick.timestamp
            assert document["type"] in set(TransitionType)
            assert document["sentence"]
            assert document.get("cause", "unknown") in set(Cause)
            if "step" in document:
                assert list(document["step"]) == ["index", "of", "kind"]
            if "images" in document:
                assert document["images"]["current"]
                assert document["images"]["stable"]


@pytest.mark.parametrize("name", EXPLAINED_NAMES)
def test_the_timeline_is_as_in_its_golden_file(explained_recordings: Recordings, name: str) -> None:
    """After a change that is right: python -m tests.events.golden --write."""
    text = timeline(explained_recordings, name)
    assert text == (GOLDEN_FOLDER / f"{name}.txt").read_text()
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.slow
def test_a_pause_is_one_pause_whether_rollout_state_is_there_or_not(explained_recordings: Recordings) -> None:
    """Rollout state comes back after more than the grace period, in the middle of a pause."""
    ticks = explained_recordings.ticks("person-1.10.2", "full")
    paused = next(tick for tick in ticks if tick.timestamp > ticks[0].timestamp + 10)
    controllers = tuple(result for result in paused.results if result.source is Source.ARGO)
    tracker = RolloutTracker(explained_recordings.policy)
    tracker.process(paused.timestamp, controllers)
    for seconds, results in ((5, controllers), (10, paused.results), (15, paused.results), (100, controllers)):
        tracker.process(paused.timestamp + seconds, results)
        kinds = {transition.type for transition in tracker.status.transitions}
        assert not kinds & {TransitionType.PAUSED, TransitionType.RESUMED}
    assert any(rollout.state.last_shown.pauses for rollout in tracker.status.rollouts)
