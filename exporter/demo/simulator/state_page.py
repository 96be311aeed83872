"""Renders the page of a kube-state-metrics that exports Rollout custom-resource state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.demo.simulator.conditions import ABORTED
from exporter.demo.simulator.exposition import FamilyHeader, SampleRow, render_family
from exporter.demo.simulator.objects import BlueGreenStrategy, Pause, SetCanaryScale, SetWeight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.demo.simulator.objects import CanaryStep, SimulatedRollout

    ToUnixTime = Callable[[float], float]
    StateRows = Callable[[SimulatedRollout, ToUnixTime], list[SampleRow]]

PREFIX = "kube_customresource_"
HEALTHS = ("Degraded", "Healthy", "Paused", "Progressing")


def render_state_page(
    rollouts: Iterable[SimulatedRollout], to_unix_time: ToUnixTime, *, uids: bool = False, details: bool = False
) -> bytes:
    """Return the page, empty without rollouts; a family without rows has its header.

    `uids`: with the label uid. `details`: as of the chart's second configuration, with steps and messages.
    """
    rollouts = list(rollouts)
    if not rollouts:
        return b""
    texts = []
    for name, text, rows_of in (*FAMILIES, *(DETAILED_FAMILIES if details else ())):
        rows = [row for rollout in rollouts for row in rows_of(rollout, to_unix_time)]
        if (uids or details) and rows_of is _hash_rows:
            rows = [
                row
                for rollout in rollouts
                for row in _hash_rows(
                    rollout,
                    to_unix_time,
                    **({"uid": rollout.uid} if uids else {}),
                    **(_status_labels(rollout) if details else {}),
                )
            ]
        texts.append(render_family(FamilyHeader(PREFIX + name, "gauge", text), rows))
    return "".join(texts).encode()


def _rows(rollout: SimulatedRollout, value: float | None, **labels: str) -> list[SampleRow]:
    """Return a row, none without a value. Labels are in alphabetical order, empty ones left out."""
    if value is None:
        return []
    all_labels = {
        "customresource_group": "argoproj.io",
        "customresource_kind": "Rollout",
        "customresource_version": "v1alpha1",
        "namespace": rollout.spec.namespace,
        "name": rollout.spec.name,
        **{name: text for name, text in labels.items() if text},
    }
    return [SampleRow(tuple(sorted(all_labels.items())), value)]


def _hash_rows(rollout: SimulatedRollout, _: ToUnixTime, **labels: str) -> list[SampleRow]:
    status = rollout.status
    hashes = {"stable_hash": status.stable_hash, "current_hash": status.current_hash}
    if isinstance(rollout.spec.strategy, BlueGreenStrategy):
        hashes |= {"active_hash": status.active_hash, "preview_hash": status.preview_hash}
    return _rows(rollout, 1 if any(hashes.values()) else None, **hashes, **labels)


def _status_labels(rollout: SimulatedRollout) -> dict[str, str]:
    """Return what the second configuration adds to the hashes."""
    status = rollout.status
    return {
        "revision": str(rollout.revision),
        "message": _message(rollout),
        "completed": str(bool(status.completed)),
        "controller_pause": "true" if status.controller_pause else "",
    }


def _message(rollout: SimulatedRollout) -> str:
    """Return status.message."""
    status = rollout.status
    if status.reason == ABORTED:
        return f"RolloutAborted: Rollout aborted update to revision {rollout.revision}"
    if status.pause is not None:
        return status.pause.reason
    return "more replicas need to be updated" if status.health == "Progressing" else ""


def _plan_rows(rollout: SimulatedRollout, to_unix_time: ToUnixTime) -> list[SampleRow]:
    strategy = rollout.spec.strategy
    is_manual = isinstance(strategy, BlueGreenStrategy) and strategy.manual
    texts = [_step_text(step, to_unix_time) for step in rollout.spec.steps]
    steps = f"[{' '.join(texts)}]" if texts else ""
    return _rows(rollout, 1, steps=steps, auto_promotion="false" if is_manual else "")


def _step_text(step: CanaryStep, to_unix_time: ToUnixTime) -> str:
    """Return a step as Go prints it; a pause has the seconds that it lasts on a real clock."""
    match step:
        case SetWeight(weight):
            return f"map[setWeight:{weight}]"
        case Pause(None):
            return "map[pause:map[]]"
        case Pause(seconds):
            return f"map[pause:map[duration:{to_unix_time(seconds or 0.0) - to_unix_time(0.0):g}s]]"
        case SetCanaryScale(replicas):
            return f"map[setCanaryScale:map[replicas:{replicas}]]"


def _weight_rows(rollout: SimulatedRollout, _: ToUnixTime) -> list[SampleRow]:
    weights, name = rollout.status.weights, rollout.spec.name
    if weights is None:
        return []
    roles = {"canary": (weights.canary, weights.canary_hash), "stable": (100 - weights.canary, weights.stable_hash)}
    return [
        row
        for role, (weight, pod_hash) in roles.items()
        for row in _rows(rollout, weight, role=role, pod_template_hash=pod_hash, service=f"{name}-{role}")
    ]


def _health_rows(rollout: SimulatedRollout, _: ToUnixTime) -> list[SampleRow]:
    return [row for health in HEALTHS for row in _rows(rollout, health == rollout.status.health, phase=health)]


def _pause_rows(rollout: SimulatedRollout, to_unix_time: ToUnixTime) -> list[SampleRow]:
    waiting = rollout.status.pause
    return _rows(rollout, int(to_unix_time(waiting.started_at)), reason=waiting.reason) if waiting else []


def _aborted_at_rows(rollout: SimulatedRollout, to_unix_time: ToUnixTime) -> list[SampleRow]:
    time = rollout.status.aborted_at
    return _rows(rollout, None if time is None else int(to_unix_time(time)))


def _hpa_replicas(rollout: SimulatedRollout) -> float:
    """Return status.HPAReplicas: pods of the active ReplicaSet, for a canary all pods."""
    active = rollout.replica_sets.get(rollout.status.active_hash)
    return active.replicas if active else rollout.status.replicas


def _field(read: Callable[[SimulatedRollout], float | None]) -> StateRows:
    """Return a function that makes a row for each rollout that has a field."""
    return lambda rollout, _: _rows(rollout, read(rollout))


FAMILIES: tuple[tuple[str, str, StateRows], ...] = (
    ("rollout_status_info", "Hashes a Rollout tracks", _hash_rows),
    ("rollout_traffic_weight", "Traffic weight last set, by role", _weight_rows),
    (
        "rollout_canary_weight",
        "status.canary.weights.canary.weight",
        _field(lambda rollout: rollout.status.weights.canary if rollout.status.weights else None),
    ),
    ("rollout_max_traffic_weight", "Scale of the weights, absent means 100", _field(lambda _: None)),
    (
        "rollout_current_step_index",
        "Step index, equals the step count when done",
        _field(lambda rollout: rollout.status.step_index),
    ),
    ("rollout_status_phase", "status.phase", _health_rows),
    ("rollout_pause_start_time", "Start of each pause condition, seconds since the epoch", _pause_rows),
    ("rollout_abort", "1 while status.abort is set", _field(lambda rollout: rollout.status.abort)),
    ("rollout_aborted_at", "status.abortedAt, seconds since the epoch", _aborted_at_rows),
    ("rollout_status_hpa_replicas", "status.HPAReplicas", _field(_hpa_replicas)),
    ("rollout_spec_replicas", "spec.replicas", _field(lambda rollout: rollout.spec.replicas)),
    ("rollout_generation", "metadata.generation", _field(lambda rollout: rollout.generation)),
    (
        "rollout_observed_generation",
        "phase is valid only when this equals rollout_generation",
        _field(lambda rollout: rollout.status.observed_generation or None),
    ),
)

DETAILED_FAMILIES: tuple[tuple[str, str, StateRows], ...] = (
    ("rollout_spec_info", "What a Rollout is asked to do", _plan_rows),
)
"""What the second configuration adds, as far as the simulator has it."""
