"""A fleet → the pages of the controller and of kube-state-metrics, in two variants of names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.demo.simulator.kube_page import POD_FAMILIES, REPLICASET_FAMILIES
from exporter.rollouts.inputs.kube_state_metrics import REQUIRED_FAMILIES
from tests.bench.pod_rows import POD_ROWS, REPLICA_SET_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.bench.fleet import Fleet, Pod, ReplicaSet, Rollout, Size

ARGO: Final = "argo"
KUBE: Final = "kube"
VARIANTS: Final = 2
"""Files of a page of which little changes."""

_ROLLOUT_LABELS: Final = 'name="{name}",namespace="{namespace}"'
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
        [
            f'rollout_events_total{{{{{_ROLLOUT_LABELS},reason="{event}",type="Normal"}}}} {{events}}'
            for event in _EVENTS
        ],
    ),
    (
        "rollout_info",
        "gauge",
        "Information about rollout.",
        [f'rollout_info{{{{{_ROLLOUT_LABELS},phase="{{phase}}",strategy="canary",traffic_router=""}}}} 1'],
    ),
    *(
        (
            f"rollout_info_replicas_{state}",
            "gauge",
            f"The number of {state} replicas per rollout.",
            [f"rollout_info_replicas_{state}{{{{{_ROLLOUT_LABELS}}}}} {{{state}}}"],
        )
        for state in ("available", "desired", "unavailable", "updated")
    ),
    (
        "rollout_phase",
        "gauge",
        "Information on the state of the rollout (DEPRECATED - use rollout_info)",
        [f'rollout_phase{{{{{_ROLLOUT_LABELS},phase="{phase}",strategy="canary"}}}} {{{phase}}}' for phase in _PHASES],
    ),
    (
        "rollout_reconcile",
        "histogram",
        "Rollout reconciliation performance.",
        [
            *(f'rollout_reconcile_bucket{{{{{_ROLLOUT_LABELS},le="{bound}"}}}} {{reconciled}}' for bound in _BOUNDS),
            f"rollout_reconcile_sum{{{{{_ROLLOUT_LABELS}}}}} {{seconds}}",
            f"rollout_reconcile_count{{{{{_ROLLOUT_LABELS}}}}} {{reconciled}}",
        ],
    ),
)
SAMPLES_PER_ROLLOUT: Final = sum(len(rows) for *_, rows in _ARGO_FAMILIES)
POINTS_PER_ROLLOUT: Final = sum(1 if kind == "histogram" else len(rows) for _, kind, _, rows in _ARGO_FAMILIES)
SAMPLES_PER_POD: Final = sum(map(len, POD_ROWS.values()))
SAMPLES_PER_REPLICA_SET: Final = sum(map(len, REPLICA_SET_ROWS.values()))


def argo_page(fleet: Fleet) -> Iterator[str]:
    """Yield the page of the controller, a family at a time."""
    yield _PROCESS
    values = [_rollout_values(number, rollout) for number, rollout in enumerate(fleet.rollouts)]
    for name, kind, help_text, rows in _ARGO_FAMILIES:
        yield _family(name, kind, help_text, rows, values)


def kube_page(fleet: Fleet, *, only_required: bool = False) -> Iterator[str]:
    """Yield the page of kube-state-metrics, a family at a time; families without rows are headers only.

    `only_required`: the families that the exporter reads, as the chart's own kube-state-metrics shows them.
    """
    pods = [_pod_values(pod) for pod in fleet.pods]
    replica_sets = [_replica_set_values(replica_set) for replica_set in fleet.replica_sets]
    kinds = (POD_FAMILIES, POD_ROWS, pods), (REPLICASET_FAMILIES, REPLICA_SET_ROWS, replica_sets)
    for headers, rows, objects in kinds:
        for header in headers:
            if not only_required or header.name in REQUIRED_FAMILIES:
                yield _family(header.name, header.type, header.help, rows.get(header.name, ()), objects)


def write_pages(fleet: Fleet, folder: Path, *, only_required: bool = False) -> None:
    """Write both variants of every page of the fleet; for `only_required` see `kube_page`."""
    _write_variants(argo_page(fleet), fleet, folder / ARGO)
    if fleet.pods:
        _write_variants(kube_page(fleet, only_required=only_required), fleet, folder / KUBE)


def write_growing_pages(fleet: Fleet, folder: Path, counters: str, scrapes: int) -> None:
    """Write a page of the controller for each scrape: all `counters` have grown since the one before."""
    write_pages(fleet, folder)
    pages = [variant(folder, ARGO, number).read_bytes() for number in range(VARIANTS)]
    for number in range(scrapes):
        (folder / f"{ARGO}.{number}").write_bytes(grown(pages[number % VARIANTS], counters, number))


def grown(page: bytes, counters: str, added: int) -> bytes:
    """Return a page on which the samples of the family `counters` are greater by `added`."""
    line = re.compile(rb"^(%s(?:_\w+)?\{[^}]*\}) (\S+)$" % counters.encode(), re.MULTILINE)
    return line.sub(lambda match: b"%s %.10g" % (match[1], float(match[2]) + added), page) if added else page


def variant(folder: Path, page: str, number: int) -> Path:
    """Return the file that is served at the `number`th scrape of a page: its files in turn."""
    return folder / f"{page}.{number % (len(list(folder.glob(f'{page}.*'))) or 1)}"


def required_points(size: Size) -> int:
    """Return the points that every subject has to send a cycle: those of rollouts, and one of each pod's labels."""
    return size.rollouts * POINTS_PER_ROLLOUT + size.pods


def _write_variants(blocks: Iterator[str], fleet: Fleet, path: Path) -> None:
    with (
        Path(f"{path}.0").open("w") as original,
        Path(f"{path}.1").open("w") as renamed,
    ):
        for block in blocks:
            original.write(block)
            for old, new in fleet.renames:
                block = block.replace(old, new)  # noqa: PLW2901 - one rename after the other
            renamed.write(block)


def _family(name: str, kind: str, help_text: str, rows: Sequence[str], objects: Sequence[Mapping[str, object]]) -> str:
    lines = "".join(f"{row}\n" for row in rows)
    return f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n" + "".join(
        [lines.format_map(values) for values in objects]
    )


def _rollout_values(number: int, rollout: Rollout) -> dict[str, object]:
    phase = "Paused" if rollout.paused else "Completed"
    return {
        "name": rollout.name,
        "namespace": rollout.namespace,
        "phase": phase,
        "desired": rollout.pods,
        "available": rollout.pods,
        "unavailable": 0,
        "updated": rollout.canary,
        "events": number % 7 + 1,
        "reconciled": number % 9_000 + 12,
        "seconds": number * 0.0123456789,
        **{phase_name: int(phase_name == phase) for phase_name in _PHASES},
    }


def _pod_values(pod: Pod) -> dict[str, object]:
    return {
        "namespace": pod.owner.owner.namespace,
        "pod": pod.name,
        "uid": pod.uid,
        "replicaset": pod.owner.name,
        "hash": pod.owner.hash,
        "node": pod.number % 250,
        "digest": pod.uid.replace("-", "") * 2,
    }


def _replica_set_values(replica_set: ReplicaSet) -> dict[str, object]:
    owner = replica_set.owner
    return {"namespace": owner.namespace, "replicaset": replica_set.name, "owner": owner.name, "pods": replica_set.pods}
