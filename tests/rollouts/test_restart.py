"""A restart of the exporter changes nothing that is said, and a memory that is not whole is never taken for one."""

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

OF_PODS = (
    "argo_rollouts_canary_fraction",
    "argo_rollouts_unknown",
    *(row.name for row in DERIVED_FAMILIES if row.source is Source.KUBE_STATE_METRICS),
)
Said = dict[str, tuple[float, float]]


def said(cycle: MetricsSnapshot) -> Said:
    """Return what the derived series say, without how old a source is: value, and from when a counter counts."""
    return {
        repr(series): (family.values[place], family.start_times[place] if family.start_times is not None else 0.0)
        for family in cycle.families
        if family.name in DERIVED_FAMILY_NAMES and family.name != "rollouts_exporter_source_age_seconds"
        for place, series in enumerate(family.series)
    }


@pytest.mark.parametrize("seconds", [0.0, 15.0])
@pytest.mark.parametrize("name", NAMES)
def test_a_restart_before_any_frame_changes_no_series(recordings: Recordings, name: str, seconds: float) -> None:
    """Documented exception: pods that only the old process had heard of, while kube-state-metrics is silent."""
    for variant in recordings.variants(name):
        steady, restarted = RolloutTracker(recordings.policy), RolloutTracker(recordings.policy)
        for tick in thin_out(recordings.ticks(name, variant), seconds):
            restarted = RolloutTracker(recordings.policy, decode_state(encode_state(restarted.state, "eu"), "eu"))
            now, always = said(restarted.process(tick.timestamp, tick.results)), said(steady.process(tick.timestamp, tick.results))
            assert without_pods(now) == without_pods(always)
            assert now == always or silent(tick.results)


def without_pods(found: Said) -> Said:
    return {one: value for one, value in found.items() if not one.startswith(OF_PODS)}


def silent(pages: Iterable[ScrapeResult]) -> bool:
    return any(page.source is Source.KUBE_STATE_METRICS and not is_complete_page(page) for page in pages)


@pytest.fixture(scope="module")
def memory(recordings: Recordings) -> TrackerState:
    """A memory with everything in it: an update under way, results, runs, durations, fading info series."""
    watches = [watch for tick, _, watch in recordings.play("analysis", "full") if tick.timestamp < 1_795_446_155]
    found = watches[-1].state
    assert found.rollout_states
    assert found.leaders
    assert found.info_series
    assert found.replaced_info_series
    assert found.duration_histograms
    return found


def test_a_memory_is_read_back_as_it_was_written(memory: TrackerState) -> None:
    assert decode_state(encode_state(memory, "eu"), "eu") == memory


def test_a_memory_cut_short_at_any_byte_is_unfit(memory: TrackerState) -> None:
    kept = encode_state(memory, "eu")
    for length in range(len(kept)):
        with pytest.raises(InvalidStateError):
            decode_state(kept[:length], "eu")


def test_a_memory_with_any_byte_changed_is_unfit(memory: TrackerState) -> None:
    kept = encode_state(memory, "eu")
    for place in range(len(kept)):
        with pytest.raises(InvalidStateError):
            decode_state(kept[:place] + bytes([kept[place] ^ 1]) + kept[place + 1 :], "eu")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda kept: kept.replace(b'"cluster": "eu"', b'"cluster": "us"'), "cluster is 'us', not 'eu'"),
        (lambda kept: kept.replace(b'"version": %d' % VERSION, b'"version": 99'), "version is 99, not"),
        (lambda kept: kept.replace(b'"version"', b'"colour"'), "version is None, not"),
        (lambda _: b"", "not JSON"),
        (lambda _: b"[]", "not a JSON object"),
        (lambda _: b"[" * 100_000, "not JSON"),
        (lambda kept: kept.partition(b"\n")[0], "truncated or was changed"),
        (lambda kept: kept + b"more", "truncated or was changed"),
    ],
)
def test_what_is_no_memory_of_this_cluster_and_version_is_unfit_and_says_why(
    memory: TrackerState, change: Callable[[bytes], bytes], why: str
) -> None:
    with pytest.raises(InvalidStateError, match=why):
        decode_state(change(encode_state(memory, "eu")), "eu")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
PARTS = ("at", "lives", "seen", "led", "infos", "fading", "durations")


def sealed(body: object) -> bytes:
    packed = zlib.compress(json.dumps(body).encode())
    return json.dumps({"version": VERSION, "cluster": "eu", "crc": zlib.crc32(packed)}).encode() + b"\n" + packed


@settings(max_examples=200, derandomize=True, deadline=None)
@given(part=st.sampled_from(PARTS), strange=JSON)
def test_a_sealed_text_of_another_shape_is_unfit_or_a_memory_and_nothing_else(part: str, strange: object) -> None:
    whole: dict[str, object] = {**{part: [] for part in PARTS}, "at": 1.0}
    assert decode_state(sealed(whole), "eu").updated_at == 1.0
    with contextlib.suppress(InvalidStateError):
        decode_state(sealed({**whole, part: strange}), "eu")


@settings(max_examples=200, derandomize=True, deadline=None)
@given(strange=JSON)
def test_a_sealed_text_of_no_shape_at_all_is_unfit(strange: object) -> None:
    with pytest.raises(InvalidStateError):
        decode_state(sealed(strange), "eu")
