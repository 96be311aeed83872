"""Pages of custom-resource state → a `RolloutStatus` of each rollout.

The families are those of the CustomResourceStateMetrics configuration in the chart; kube-state-metrics spells prefix
and labels so since 2.8.
"""

from __future__ import annotations

from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Final

from exporter.incremental import FamilyParts, FamilyView
from exporter.rollouts.inputs import rollout_details
from exporter.rollouts.inputs.rollout_details import RolloutDetailsReader, finite_duration, finite_gauge
from exporter.rollouts.model import RolloutKey, RolloutStatus, rollout_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.metrics import ScrapeResult

_PREFIX: Final = "kube_customresource_rollout_"
_GAUGES: Final = (
    "canary_weight", "max_traffic_weight", "current_step_index", "abort", "generation", "observed_generation",
)  # fmt: skip # a table
_OTHERS: Final = ("status_info", "status_phase", "traffic_weight", "pause_start_time", "duration")
REQUIRED_FAMILIES: Final = rollout_details.REQUIRED_FAMILIES | {_PREFIX + name for name in (*_GAUGES, *_OTHERS)}
_DURATION_FIELDS: Final = {
    "rolloutStartedAt": "started_at", "startedAt": "started_at", "finishedAt": "finished_at",
}  # fmt: skip # a table
"""Fields of `status.duration` of Argo Rollouts 1.11: an object now; to become a list whose items have `startedAt`."""
_INFO_LABELS: Final = ("stable_hash", "current_hash", "uid", "completion")


def is_complete_page(result: ScrapeResult) -> bool:
    """Return whether a page shows rollouts; for about 3 s after its start kube-state-metrics serves an empty page."""
    return any(len(family) and name.startswith(_PREFIX) for name, family in result.families.items())


class RolloutStatusReader:
    """Reads pages of custom-resource state; builds the status only of rollouts whose samples changed."""

    def __init__(self) -> None:
        self._gauges = {name: FamilyView(_PREFIX + name, finite_gauge) for name in _GAUGES}
        self._weights = FamilyView(_PREFIX + "traffic_weight", _canary_weight)
        self._healths = FamilyView(_PREFIX + "status_phase", _health)
        self._infos = FamilyView(_PREFIX + "status_info", _info)
        self._durations = FamilyView(_PREFIX + "duration", partial(finite_duration, _DURATION_FIELDS))
        self._pauses = FamilyParts(_PREFIX + "pause_start_time", _pause)
        self._details = RolloutDetailsReader()
        self._statuses: dict[RolloutKey, RolloutStatus] = {}

    def read(self, results: Sequence[ScrapeResult], now: float) -> dict[RolloutKey, RolloutStatus]:
        """Return the status of each rollout on any page; an unchanged one keeps its `observed_at`."""
        changed = self._weights.follow(results) | self._healths.follow(results) | self._infos.follow(results)
        changed.update(*(gauge.follow(results) for gauge in self._gauges.values()))
        changed |= {key for key, _ in self._durations.follow(results)}
        changed |= self._details.follow(results) | self._pauses.follow(results)
        for key in changed:
            if key in self._infos.values or key in self._gauges["generation"].values:
                self._statuses[key] = self._status(key, now)
            else:
                self._statuses.pop(key, None)
        return dict(self._statuses)

    def _status(self, key: RolloutKey, now: float) -> RolloutStatus:
        stable_hash, current_hash, uid, completion = self._infos.values.get(key, ("", "", "", ""))
        weight, weight_hash = self._weights.values.get(key, (None, ""))
        generation, observed_generation = self._gauge(key, "generation"), self._gauge(key, "observed_generation")
        return RolloutStatus(
            stable_hash=stable_hash,
            current_hash=current_hash,
            # Both families have it; an own configuration of kube-state-metrics may export only one of them.
            weight=self._gauges["canary_weight"].values.get(key, weight),
            weight_hash=weight_hash,
            # Exported only if the object sets it.
            max_weight=self._gauge(key, "max_traffic_weight") or 100.0,
            step_index=self._gauge(key, "current_step_index"),
            health=self._healths.values.get(key, ""),
            # 0, not absent, after a retry: kubectl writes `abort: false`.
            aborted=bool(self._gauge(key, "abort")),
            # `status.phase` is valid only for the generation that the controller last reconciled.
            generation_observed=generation is not None and observed_generation == generation,
            generation=generation,
            observed_generation=observed_generation,
            pauses=tuple(sorted(self._pauses.parts(key).items(), key=lambda pause: pause[::-1])),
            uid=uid,
            completion=completion,
            started_at=self._durations.values.get((key, "started_at")),
            finished_at=self._durations.values.get((key, "finished_at")),
            details=self._details.details(key),
            observed_at=now,
        )

    def _gauge(self, key: RolloutKey, name: str) -> float | None:
        return self._gauges[name].values.get(key)


def _info(labels: Mapping[str, str], _: float) -> tuple[RolloutKey, tuple[str, ...]]:
    """Return the labels of `_INFO_LABELS`; a rollout whose spec was never valid has no hashes."""
    return rollout_key(labels), tuple(labels.get(name, "") for name in _INFO_LABELS)


def _canary_weight(labels: Mapping[str, str], value: float) -> tuple[RolloutKey, tuple[float, str]] | None:
    """Return the canary's weight and the hash that it is on."""
    # Not by hash: once promoted, the weights 0 and 100 have the same.
    if labels.get("role", "") != "canary" or not isfinite(value):
        return None
    return rollout_key(labels), (value, labels.get("pod_template_hash", ""))


def _health(labels: Mapping[str, str], value: float) -> tuple[RolloutKey, str] | None:
    # A StateSet: one row for each phase.
    return (rollout_key(labels), labels.get("phase", "")) if value == 1 else None


def _pause(labels: Mapping[str, str], value: float) -> tuple[tuple[RolloutKey, str], float] | None:
    """Return rollout, reason and start of a pause condition."""
    return ((rollout_key(labels), labels.get("reason", "")), value) if isfinite(value) else None
