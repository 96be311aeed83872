"""The tracker's state as rows: only what changed is written, and a damaged row costs what it is about."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.rollouts.model import ControllerProcess, PhaseHistory, RolloutState
from exporter.rollouts.persistence import StateRowEncoder, decode_rows
from exporter.rollouts.tracker import TrackerState
from tests.rollouts.stored import StoredRows

if TYPE_CHECKING:
    from tests.recorded import Recordings

KINDS = (
    "tick",
    "rollout/shop/cart",
    "absent",
    "leaders",
    "info/x/y/z",
    "carried/y/z",
    "replaced/y/z",
    "duration/y/z",
    "count/x/y/z",
    "deleted",
)
LIFE = RolloutState(1000.5, PhaseHistory("Completed", 1000.5), ControllerProcess("10.0.0.1:8090", 900.0), {})


def shop(*names: str, timestamp: float = 1000.0, **more: object) -> TrackerState:
    """Return the state of some rollouts, all of them seen at the last tick."""
    keys = [("shop", name) for name in names]
    return replace(TrackerState(timestamp, dict.fromkeys(keys, LIFE), dict.fromkeys(keys, timestamp)), **more)  # type: ignore[arg-type] # fields


@pytest.fixture(scope="module")
def state(recordings: Recordings) -> TrackerState:
    """A state with all of its parts: a running update, results, runs, durations, replaced info series."""
    trackers = [tracker for tick, _, tracker in recordings.play("analysis", "full") if tick.timestamp < 1_795_446_155]
    tracker_state = trackers[-1].state
    assert tracker_state.rollout_states
    assert tracker_state.leaders
    assert tracker_state.info_series
    assert tracker_state.replaced_info_series
    assert tracker_state.duration_histograms
    return tracker_state


def test_a_state_is_decoded_as_it_was_encoded(state: TrackerState) -> None:
    stored = StoredRows()
    stored.commit(state)
    assert stored.restart() == state


def test_at_rest_only_the_time_of_the_tick_is_written(state: TrackerState) -> None:
    stored = StoredRows()
    stored.commit(state)
    later = state.updated_at + 15
    next_state = replace(state, updated_at=later, last_seen=dict.fromkeys(state.last_seen, later))
    assert stored.commit(next_state) == {"tick": f"[{later}]".encode()}
    assert stored.restart() == next_state


def test_times_of_absent_rollouts_are_written_once() -> None:
    stored = StoredRows()
    stored.commit(shop("cart", "blog"))
    seen_at = {("shop", "cart"): 1000.0, ("shop", "blog"): 1015.0}
    assert stored.commit(shop("cart", "blog", timestamp=1015.0, last_seen=seen_at)).keys() == {"tick", "absent"}
    seen_at = {("shop", "cart"): 1000.0, ("shop", "blog"): 1030.0}
    assert stored.commit(shop("cart", "blog", timestamp=1030.0, last_seen=seen_at)).keys() == {"tick"}
    assert stored.restart().last_seen == seen_at
    assert stored.commit(shop("cart", "blog", timestamp=1045.0))["absent"] is None


def test_a_deleted_rollout_costs_its_row_also_if_an_earlier_process_wrote_it() -> None:
    stored = StoredRows()
    stored.commit(shop("cart", "blog", "till"))
    assert stored.commit(shop("cart", "till", timestamp=1015.0)) == {"tick": b"[1015.0]", "rollout/shop/blog": None}
    stored.restart()
    assert stored.commit(shop("cart", timestamp=1030.0)) == {"tick": b"[1030.0]", "rollout/shop/till": None}


def test_a_restart_writes_no_row_again(state: TrackerState) -> None:
    """Info series of the process before are carried on until the first page shows their pods."""
    stored = StoredRows()
    stored.commit(replace(state, info_series=type(state.info_series)()))
    assert stored.commit(stored.restart()) == {}


def test_names_with_slashes_do_not_meet_in_one_row() -> None:
    stored = StoredRows()
    keys = [("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c")]
    stored.commit(TrackerState(1000.0, dict.fromkeys(keys, LIFE), dict.fromkeys(keys, 1000.0)))
    assert len(stored.rows) == 4
    assert stored.restart().rollout_states.keys() == set(keys)


def test_a_damaged_row_costs_only_what_it_is_about(state: TrackerState) -> None:
    stored = StoredRows()
    stored.commit(state)
    for key, row in stored.rows.items():
        for damage in (row[: len(row) // 2], b"", b"{}", b"null"):
            decoded, damaged = decode_rows(stored.rows | {key: damage})
            expected, _ = decode_rows({other: content for other, content in stored.rows.items() if other != key})
            assert damaged == [key]
            assert decoded == expected
            assert StateRowEncoder(stored.rows | {key: damage}).changes(state)[key] == row


def test_without_the_row_of_the_tick_rollouts_were_last_seen_when_one_last_changed() -> None:
    state, _ = decode_rows({key: row for key, row in _rows(shop("cart", timestamp=5000.0)).items() if key != "tick"})
    assert state == shop("cart", timestamp=1000.5)


def test_a_row_that_unpacks_to_too_much_is_damaged_without_taking_the_memory() -> None:
    bomb = zlib.compress(b"[" + b" " * 80_000_000 + b"]")
    assert decode_rows({"absent": bomb}) == (TrackerState(), ["absent"])


def test_rows_of_an_unknown_kind_are_damaged() -> None:
    assert decode_rows({"colour/red": b"[]", "": b"[]"}) == (TrackerState(), ["colour/red", ""])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(key=st.sampled_from(KINDS), row=JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=20))
def test_any_row_is_decoded_or_damaged(key: str, row: bytes) -> None:
    state, damaged = decode_rows({key: row})
    assert isinstance(state, TrackerState)
    assert damaged in ([], [key])


def _rows(state: TrackerState) -> dict[str, bytes]:
    stored = StoredRows()
    stored.commit(state)
    return stored.rows
