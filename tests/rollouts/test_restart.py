"""A restart of the exporter changes no series, and a damaged state is never decoded."""

from __future__ import annotations

import contextlib
import json
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.commands.series import DERIVED_FAMILY_NAMES
from exporter.metrics import Source
from exporter.rollouts.inputs.kube_state_metrics import is_complete_page
from exporter.rollouts.output.catalogue import DERIVED_FAMILIES
from exporter.rollouts.persistence import VERSION, InvalidStateError, decode_state, encode_state
from exporter.rollouts.tracker import RolloutTracker
from tests.recorded import NAMES, thin_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.metrics import MetricsSnapshot, ScrapeResult
    from exporter.rollouts.tracker import TrackerState
    from tests.recorded import Recordings

POD_FAMILIES = (
    "argo_rollouts_canary_fraction",
    "argo_rollouts_unknown",
    *(row.name for row in DERIVED_FAMILIES if row.source is Source.KUBE_STATE_METRICS),
)
Samples = dict[str, tuple[float, float]]


def samples(snapshot: MetricsSnapshot) -> Samples:
    """Return value and start time of each derived series, without the age of sources."""
    return {
        repr(series): (family.values[place], family.start_times[place] if family.start_times is not None else 0.0)
        for family in snapshot.families
        if family.name in DERIVED_FAMILY_NAMES and family.name != "rollouts_exporter_source_age_seconds"
        for place, series in enumerate(family.series)
    }


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 15.0])
@pytest.mark.parametrize("name", NAMES)
def test_a_restart_before_any_tick_changes_no_series(recordings: Recordings, name: str, seconds: float) -> None:
    """Documented exception: pods that only the old process scraped, while kube-state-metrics is incomplete."""
    for variant in recordings.variants(name):
        continuous, restarted = RolloutTracker(recordings.policy), RolloutTracker(recordings.policy)
        for tick in thin_out(recordings.ticks(name, variant), seconds):
            restarted = RolloutTracker(recordings.policy, decode_state(encode_state(restarted.state, "eu"), "eu"))
            now = samples(restarted.process(tick.timestamp, tick.results))
            expected = samples(continuous.process(tick.timestamp, tick.results))
            assert without_pods(now) == without_pods(expected)
            assert now == expected or has_incomplete_pods(tick.results)


def without_pods(values: Samples) -> Samples:
    return {series: value for series, value in values.items() if not series.startswith(POD_FAMILIES)}


def has_incomplete_pods(results: Iterable[ScrapeResult]) -> bool:
    return any(r.source is Source.KUBE_STATE_METRICS and not is_complete_page(r) for r in results)


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
    assert decode_state(encode_state(state, "eu"), "eu") == state


def test_a_state_truncated_at_any_byte_is_invalid(state: TrackerState) -> None:
    content = encode_state(state, "eu")
    for length in range(len(content)):
        with pytest.raises(InvalidStateError):
            decode_state(content[:length], "eu")


def test_a_state_with_any_byte_changed_is_invalid(state: TrackerState) -> None:
    content = encode_state(state, "eu")
    for place in range(len(content)):
        with pytest.raises(InvalidStateError):
            decode_state(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :], "eu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.replace(b'"cluster": "eu"', b'"cluster": "us"'), "cluster is 'us', not 'eu'"),
        (lambda content: content.replace(b'"version": %d' % VERSION, b'"version": 99'), "version is 99, not"),
        (lambda content: content.replace(b'"version"', b'"colour"'), "version is None, not"),
        (lambda _: b"", "not JSON"),
        (lambda _: b"[]", "not a JSON object"),
        (lambda _: b"[" * 100_000, "not JSON"),
        (lambda content: content.partition(b"\n")[0], "truncated or was changed"),
        (lambda content: content + b"more", "truncated or was changed"),
    ],
)
def test_a_state_of_another_cluster_or_version_is_invalid_with_a_message(
    state: TrackerState, change: Callable[[bytes], bytes], message: str
) -> None:
    with pytest.raises(InvalidStateError, match=message):
        decode_state(change(encode_state(state, "eu")), "eu")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
PARTS = ("at", "lives", "seen", "led", "infos", "fading", "durations")


def with_checksum(body: object) -> bytes:
    packed = zlib.compress(json.dumps(body).encode())
    return json.dumps({"version": VERSION, "cluster": "eu", "crc": zlib.crc32(packed)}).encode() + b"\n" + packed


@settings(max_examples=200, derandomize=True, deadline=None)
@given(part=st.sampled_from(PARTS), value=JSON)
def test_any_json_with_a_valid_checksum_is_a_state_or_invalid(part: str, value: object) -> None:
    valid: dict[str, object] = {**{part: [] for part in PARTS}, "at": 1.0}
    assert decode_state(with_checksum(valid), "eu").updated_at == 1.0
    with contextlib.suppress(InvalidStateError):
        decode_state(with_checksum({**valid, part: value}), "eu")


@settings(max_examples=200, derandomize=True, deadline=None)
@given(value=JSON)
def test_any_other_json_with_a_valid_checksum_is_invalid(value: object) -> None:
    with pytest.raises(InvalidStateError):
        decode_state(with_checksum(value), "eu")
