"""A restart of the exporter changes no series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.metrics import Source
from exporter.rollouts.inputs.kube_state_metrics import is_complete_page
from exporter.rollouts.output.catalogue import DERIVED_FAMILIES
from exporter.rollouts.tracker import RolloutTracker
from tests.recorded import NAMES, thin_out
from tests.rollouts.stored import StoredRows, derived_samples

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.metrics import ScrapeResult
    from tests.recorded import Recordings
    from tests.rollouts.stored import Samples

POD_FAMILIES = (
    "argo_rollouts_canary_fraction",
    "argo_rollouts_unknown",
    *(row.name for row in DERIVED_FAMILIES if row.source is Source.KUBE_STATE_METRICS),
)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, 15.0])
@pytest.mark.parametrize("name", NAMES)
def test_a_restart_before_any_tick_changes_no_series(recordings: Recordings, name: str, seconds: float) -> None:
    """Documented exception: pods that only the old process scraped, while kube-state-metrics is incomplete."""
    for variant in recordings.variants(name):
        continuous, stored = RolloutTracker(recordings.policy), StoredRows()
        for tick in thin_out(recordings.ticks(name, variant), seconds):
            restarted = RolloutTracker(recordings.policy, stored.restart())
            now = derived_samples(restarted.process(tick.timestamp, tick.results))
            stored.commit(restarted.state)
            expected = derived_samples(continuous.process(tick.timestamp, tick.results))
            assert without_pods(now) == without_pods(expected)
            assert now == expected or has_incomplete_pods(tick.results)


def without_pods(values: Samples) -> Samples:
    return {series: value for series, value in values.items() if not series.startswith(POD_FAMILIES)}


def has_incomplete_pods(results: Iterable[ScrapeResult]) -> bool:
    return any(r.source is Source.KUBE_STATE_METRICS and not is_complete_page(r) for r in results)
