"""A fleet → the controller's and kube-state-metrics' pages, written as they write them, in two variants of names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.demo.simulator.kube_page import POD_FAMILIES, REPLICASET_FAMILIES
from tests.bench.pod_rows import POD_ROWS, SET_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.bench.fleet import Fleet, Pod, ReplicaSet, Rollout, Size

ARGO: Final = "argo"
KUBE: Final = "kube"
VARIANTS: Final = 2
"""How many pages of each name there are: they are served in turn."""

_ABOUT: Final = 'name="{name}",namespace="{namespace}"'
_PHASES: Final = ("Abort", "Completed", "Error", "Paused", "Progressing", "Timeout")
_BOUNDS: Final = ("0.01", "0.15", "0.25", "0.5", "1", "+Inf")
_EVENTS: Final = ("NewReplicaSetCreated", "RolloutCompleted", "RolloutUpdated", "ScalingReplicaSet", "RolloutPaused")
_PROCESS: Final = """\
# HELP argo_rollouts_controller_info Running Argo-rollouts version
# TYPE argo_rollouts_controller_info gauge
argo_rollouts_controller_info{version="v1.8.3+49fa151"} 1
# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.79544602e+09
# HELP workqueue_adds_total [ALPHA] Total number of adds handled by workqueue
# TYPE workqueue_adds_total counter
workqueue_adds_total{name="Rollouts"} 123456
"""
_ARGO_FAMILIES: Final = (
    (
        "rollout_events_total",
        "counter",
        "Count of rollout events",
        [f'rollout_events_total{{{{{_ABOUT},reason="{one}",type="Normal"}}}} {{events}}' for one in _EVENTS],
    ),
    (
        "rollout_info",
        "gauge",
        "Information about rollout.",
        [f'rollout_info{{{{{_ABOUT},phase="{{phase}}",strategy="canary",traffic_router=""}}}} 1'],
    ),
    *(
        (
            f"rollout_info_replicas_{state}",
            "gauge",
            f"The number of {state} replicas per rollout.",
            [f"rollout_info_replicas_{state}{{{{{_ABOUT}}}}} {{{state}}}"],
        )
        for state in ("available", "desired", "unavailable", "updated")
    ),
    (
        "rollout_phase",
        "gauge",
        "Information on the state of the rollout (DEPRECATED - use rollout_info)",
        [f'rollout_phase{{{{{_ABOUT},phase="{one}",strategy="canary"}}}} {{{one}}}' for one in _PHASES],
    ),
    (
        "rollout_reconcile",
        "histogram",
        "Rollout reconciliation performance.",
        [
            *(f'rollout_reconcile_bucket{{{{{_ABOUT},le="{one}"}}}} {{done}}' for one in _BOUNDS),
            f"rollout_reconcile_sum{{{{{_ABOUT}}}}} {{seconds}}",
            f"rollout_reconcile_count{{{{{_ABOUT}}}}} {{done}}",
        ],
    ),
)
SAMPLES_A_ROLLOUT: Final = sum(len(rows) for *_, rows in _ARGO_FAMILIES)
POINTS_A_ROLLOUT: Final = sum(1 if kind == "histogram" else len(rows) for _, kind, _, rows in _ARGO_FAMILIES)
SAMPLES_A_POD: Final = sum(map(len, POD_ROWS.values()))
SAMPLES_A_SET: Final = sum(map(len, SET_ROWS.values()))


def argo_page(fleet: Fleet) -> Iterator[str]:
    """Yield the controller's page, a family at a time."""
    yield _PROCESS
    told = [_told_rollout(number, one) for number, one in enumerate(fleet.rollouts)]
    for name, kind, text, rows in _ARGO_FAMILIES:
        yield _family(name, kind, text, rows, told)


def kube_page(fleet: Fleet) -> Iterator[str]:
    """Yield kube-state-metrics' page, a family at a time; families without rows are headers alone."""
    pods, sets = [_told_pod(one) for one in fleet.pods], [_told_set(one) for one in fleet.sets]
    for header in POD_FAMILIES:
        yield _family(header.name, header.type, header.help, POD_ROWS.get(header.name, ()), pods)
    for header in REPLICASET_FAMILIES:
        yield _family(header.name, header.type, header.help, SET_ROWS.get(header.name, ()), sets)


def write(fleet: Fleet, folder: Path) -> None:
    """Write both variants of every page that the fleet has."""
    _write(argo_page(fleet), fleet, folder / ARGO)
    if fleet.pods:
        _write(kube_page(fleet), fleet, folder / KUBE)


def variant(folder: Path, page: str, number: int) -> Path:
    """Return the file of what a page's `number`th scrape is answered with."""
    return folder / f"{page}.{number % VARIANTS}"


def least(size: Size) -> int:
    """Return how many points everybody has to send for a fleet: the rollouts', and one of each pod's labels."""
    return size.rollouts * POINTS_A_ROLLOUT + size.pods


def _write(blocks: Iterator[str], fleet: Fleet, path: Path) -> None:
    with variant(path.parent, path.name, 0).open("w") as first, variant(path.parent, path.name, 1).open("w") as second:
        for block in blocks:
            first.write(block)
            for old, new in fleet.renamed:
                block = block.replace(old, new)  # noqa: PLW2901 - one change after the other
            second.write(block)


def _family(name: str, kind: str, text: str, rows: Sequence[str], objects: Sequence[Mapping[str, object]]) -> str:
    lines = "".join(f"{row}\n" for row in rows)
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n" + "".join([lines.format_map(one) for one in objects])


def _told_rollout(number: int, one: Rollout) -> dict[str, object]:
    phase = "Paused" if one.paused else "Completed"
    return {
        "name": one.name,
        "namespace": one.namespace,
        "phase": phase,
        "desired": one.pods,
        "available": one.pods,
        "unavailable": 0,
        "updated": one.canary,
        "events": number % 7 + 1,
        "done": number % 9_000 + 12,
        "seconds": number * 0.0123456789,
        **{phase_name: int(phase_name == phase) for phase_name in _PHASES},
    }


def _told_pod(one: Pod) -> dict[str, object]:
    return {
        "namespace": one.owner.owner.namespace,
        "pod": one.name,
        "uid": one.uid,
        "replicaset": one.owner.name,
        "hash": one.owner.hash,
        "node": one.number % 250,
        "digest": one.uid.replace("-", "") * 2,
    }


def _told_set(one: ReplicaSet) -> dict[str, object]:
    owner = one.owner
    return {"namespace": owner.namespace, "replicaset": one.name, "owner": owner.name, "pods": one.pods}
