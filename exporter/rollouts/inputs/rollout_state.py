"""Pages of custom-resource state → a State of each rollout.

The families are those of the configuration that ships with the chart (charts/, custom-resource state); prefix and
labels as kube-state-metrics makes them from 2.8 on (facts/kube-state-metrics.md 4).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from exporter.incremental import Notes, rollout
from exporter.rollouts.model import RolloutKey, RolloutStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.metrics import ScrapeResult

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


def shows_rollouts(page: ScrapeResult) -> bool:
    """Tell a page that shows rollouts from that of a process just started, empty for 3 s (observed.md 3.5.3)."""
    return any(len(family) and name.startswith(_PREFIX) for name, family in page.families.items())


class States:
    """Reads pages of custom-resource state, from tick to tick."""

    def __init__(self) -> None:
        self._gauges = {name: Notes(_PREFIX + name, _of_rollout) for name in _GAUGES}
        self._weights = Notes(_PREFIX + "traffic_weight", _canary_weight)
        self._healths = Notes(_PREFIX + "status_phase", _health)
        self._hashes = Notes(_PREFIX + "status_info", _hashes)
        self._pauses = Notes(_PREFIX + "pause_start_time", _pause)

    def read(self, pages: Sequence[ScrapeResult], at: float) -> dict[RolloutKey, RolloutStatus]:
        """Return the state of every rollout that any page shows; `at` is when (Unix seconds)."""
        gauges = {name: dict(notes.of(pages)) for name, notes in self._gauges.items()}
        gauges["canary_weight"] = dict(self._weights.of(pages)) | gauges["canary_weight"]
        healths = dict(self._healths.of(pages))
        hashes = dict(self._hashes.of(pages))
        pauses: defaultdict[RolloutKey, dict[str, float]] = defaultdict(dict)
        for key, reason, start in self._pauses.of(pages):
            pauses[key][reason] = start
        return {
            key: RolloutStatus(
                stable_hash=hashes.get(key, ("", ""))[0],
                current_hash=hashes.get(key, ("", ""))[1],
                weight=gauges["canary_weight"].get(key),
                max_weight=gauges["max_traffic_weight"].get(key) or 100.0,
                step_index=gauges["current_step_index"].get(key),
                health=healths.get(key, ""),
                aborted=bool(gauges["abort"].get(key)),
                generation_observed=_observed(gauges, key),
                pauses=tuple(pauses[key].items()) if key in pauses else (),
                observed_at=at,
            )
            for key in {**hashes, **gauges["generation"]}
        }


def _observed(gauges: dict[str, dict[RolloutKey, float]], key: RolloutKey) -> bool:
    """Tell whether the status is of the present spec: only then is its phase valid (argo-rollouts.md 4)."""
    generation = gauges["generation"].get(key)
    return generation is not None and gauges["observed_generation"].get(key) == generation


def _of_rollout(labels: Mapping[str, str], value: float) -> tuple[RolloutKey, float]:
    return rollout(labels), value


def _hashes(labels: Mapping[str, str], _: float) -> tuple[RolloutKey, tuple[str, str]]:
    """Note the stable and the current hash; a rollout whose spec was never valid has none."""
    return rollout(labels), (labels.get("stable_hash", ""), labels.get("current_hash", ""))


def _canary_weight(labels: Mapping[str, str], value: float) -> tuple[RolloutKey, float] | None:
    return (rollout(labels), value) if labels.get("role", "") == "canary" else None


def _health(labels: Mapping[str, str], value: float) -> tuple[RolloutKey, str] | None:
    return (rollout(labels), labels.get("phase", "")) if value == 1 else None


def _pause(labels: Mapping[str, str], value: float) -> tuple[RolloutKey, str, float]:
    """Note when a pause condition began, and its reason (argo-rollouts.md 4)."""
    return rollout(labels), labels.get("reason", ""), value
