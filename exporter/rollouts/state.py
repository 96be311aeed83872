"""Pages of custom-resource state → a State of each rollout.

The families are those of the configuration that ships with the chart (charts/, custom-resource state); prefix and
labels as kube-state-metrics makes them from 2.8 on (facts/kube-state-metrics.md 4).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from exporter.rollouts.fleet import Key, State
from exporter.rollouts.reading import samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.family import Page

_PREFIX: Final = "kube_customresource_rollout_"
_GAUGES: Final = (
    "canary_weight",
    "max_traffic_weight",
    "current_step_index",
    "abort",
    "generation",
    "observed_generation",
)
WANTED: Final = frozenset(
    _PREFIX + name for name in (*_GAUGES, "status_info", "status_phase", "traffic_weight", "pause_start_time")
)


def shows_rollouts(page: Page) -> bool:
    """Tell a page that shows rollouts from that of a process just started, empty for 3 s (observed.md 3.5.3)."""
    return any(len(family) and name.startswith(_PREFIX) for name, family in page.families.items())


def states(pages: Sequence[Page], at: float) -> dict[Key, State]:
    """Return the state of every rollout that any page shows; `at` is when (Unix seconds)."""
    gauges = {name: _gauge(pages, name) for name in _GAUGES}
    gauges["canary_weight"] = _weights(pages) | gauges["canary_weight"]
    healths = _healths(pages)
    hashes = _hashes(pages)
    pauses = _pauses(pages)
    return {
        key: State(
            stable=hashes.get(key, ("", ""))[0],
            current=hashes.get(key, ("", ""))[1],
            weight=gauges["canary_weight"].get(key),
            most_weight=gauges["max_traffic_weight"].get(key) or 100.0,
            step=gauges["current_step_index"].get(key),
            health=healths.get(key, ""),
            aborted=bool(gauges["abort"].get(key)),
            observed=_observed(gauges, key),
            pauses=tuple(pauses[key].items()),
            at=at,
        )
        for key in {*hashes, *gauges["generation"]}
    }


def _hashes(pages: Sequence[Page]) -> dict[Key, tuple[str, str]]:
    """Return each rollout's stable and current hash; one whose spec was never valid has none."""
    return {
        (series.label("namespace"), series.label("name")): (series.label("stable_hash"), series.label("current_hash"))
        for page in pages
        for series, _ in samples(page, _PREFIX + "status_info")
    }


def _observed(gauges: dict[str, dict[Key, float]], key: Key) -> bool:
    """Tell whether the status is of the present spec: only then is its phase valid (argo-rollouts.md 4)."""
    generation = gauges["generation"].get(key)
    return generation is not None and gauges["observed_generation"].get(key) == generation


def _gauge(pages: Sequence[Page], name: str) -> dict[Key, float]:
    return {
        (series.label("namespace"), series.label("name")): value
        for page in pages
        for series, value in samples(page, _PREFIX + name)
    }


def _weights(pages: Sequence[Page]) -> dict[Key, float]:
    return {
        (series.label("namespace"), series.label("name")): value
        for page in pages
        for series, value in samples(page, _PREFIX + "traffic_weight")
        if series.label("role") == "canary"
    }


def _pauses(pages: Sequence[Page]) -> defaultdict[Key, dict[str, float]]:
    """Return when each pause condition of each rollout began, by its reason (argo-rollouts.md 4)."""
    found: defaultdict[Key, dict[str, float]] = defaultdict(dict)
    for page in pages:
        for series, value in samples(page, _PREFIX + "pause_start_time"):
            found[series.label("namespace"), series.label("name")][series.label("reason")] = value
    return found


def _healths(pages: Sequence[Page]) -> dict[Key, str]:
    return {
        (series.label("namespace"), series.label("name")): series.label("phase")
        for page in pages
        for series, value in samples(page, _PREFIX + "status_phase")
        if value == 1
    }
