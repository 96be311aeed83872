"""The page of a simulated kube-state-metrics: pods and ReplicaSets, with the rows that a join of them needs."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from exporter.demo.exposition import Labels, Row, render
from exporter.demo.kube_families import POD_FAMILIES, REPLICASET_FAMILIES
from exporter.demo.kubelet import GRACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.demo.objects import Pod, ReplicaSet

    Stamp = Callable[[float], float]
    PodRows = Callable[[ReplicaSet, Pod, Stamp], Iterable[Row]]
    SetRows = Callable[[ReplicaSet, Stamp], Iterable[Row]]

NODES = 3
PHASES = ("Pending", "Succeeded", "Failed", "Unknown", "Running")
LISTED = ("kube_pod_labels", "kube_replicaset_annotations")
"""Families that have rows only where an allow-list names a label or annotation."""


def page(
    sets: list[ReplicaSet], orphans: list[ReplicaSet], stamp: Stamp, *, resources: frozenset[str], allow_lists: bool
) -> bytes:
    """Write the page; headers come once there is any object of a resource, rows or not."""
    pods = [(one, pod) for one in [*sets, *orphans] for pod in one.pods]
    texts = []
    for header in POD_FAMILIES if pods and "pods" in resources else ():
        rows = POD_ROWS.get(header.name) if allow_lists or header.name not in LISTED else None
        texts.append(render(header, [row for one, pod in pods for row in rows(one, pod, stamp)] if rows else ()))
    for header in REPLICASET_FAMILIES if sets and "replicasets" in resources else ():
        read = SET_ROWS.get(header.name) if allow_lists or header.name not in LISTED else None
        texts.append(render(header, [row for one in sets for row in read(one, stamp)] if read else ()))
    return "".join(texts).encode()


def _labels(one: ReplicaSet, pod: Pod) -> Labels:
    return (("namespace", one.owner.namespace), ("pod", pod.name), ("uid", pod.uid))


def _container(one: ReplicaSet, pod: Pod) -> Labels:
    return (*_labels(one, pod), ("container", "app"))


def _owner(kind: str, name: str) -> Labels:
    return (("owner_kind", kind), ("owner_name", name), ("owner_is_controller", "true"))


def _info(one: ReplicaSet, pod: Pod, _: Stamp) -> Iterable[Row]:
    node = zlib.crc32(pod.uid.encode()) % NODES + 1
    labels = (
        ("host_ip", f"192.168.49.{node + 1}"),
        ("pod_ip", f"10.244.{pod.number // 250}.{pod.number % 250 + 2}" if pod.running else ""),
        ("node", f"node-{node}"),
        ("created_by_kind", "ReplicaSet"),
        ("created_by_name", one.name),
        ("priority_class", ""),
        ("host_network", "false"),
    )
    yield Row(_labels(one, pod) + labels, 1)


def _container_info(one: ReplicaSet, pod: Pod, _: Stamp) -> Iterable[Row]:
    name, digest = one.image.rpartition(":")[0], f"{zlib.crc32(one.image.encode()):08x}" * 8
    labels = (
        ("image_spec", one.image),
        ("image", one.image),
        ("image_id", f"docker-pullable://{name}@sha256:{digest}"),
        ("container_id", f"containerd://{pod.uid.replace('-', '') * 2}"),
    )
    yield Row(_container(one, pod) + labels, 1)


def _pod_labels(one: ReplicaSet, pod: Pod, _: Stamp) -> Iterable[Row]:
    yield Row((*_labels(one, pod), ("label_rollouts_pod_template_hash", one.hash)), 1)


def _pod_owner(one: ReplicaSet, pod: Pod, _: Stamp) -> Iterable[Row]:
    yield Row(_labels(one, pod) + _owner("ReplicaSet", one.name), 1)


def _pod_phase(one: ReplicaSet, pod: Pod, _: Stamp) -> Iterable[Row]:
    current = "Running" if pod.running else "Pending"
    return [Row((*_labels(one, pod), ("phase", phase)), phase == current) for phase in PHASES]


def _pod_ready(one: ReplicaSet, pod: Pod, _: Stamp) -> Iterable[Row]:
    values = {"true": pod.ready, "false": not pod.ready, "unknown": False}
    return [Row((*_labels(one, pod), ("condition", name)), value) for name, value in values.items()]


def _deleted(one: ReplicaSet, pod: Pod, stamp: Stamp) -> Iterable[Row]:
    if pod.terminating:
        yield Row(_labels(one, pod), int(stamp(pod.deleted + GRACE)))


def _pod_time(read: Callable[[Pod], float | None]) -> PodRows:
    """Make rows of a pod's time, none where it has none."""

    def rows(one: ReplicaSet, pod: Pod, stamp: Stamp) -> Iterable[Row]:
        moment = read(pod)
        if moment is not None:
            yield Row(_labels(one, pod), int(stamp(moment)))

    return rows


def _container_value(read: Callable[[Pod], float]) -> PodRows:
    """Make one row for the pod's one container."""
    return lambda one, pod, _: [Row(_container(one, pod), read(pod))]


def _set_value(read: Callable[[ReplicaSet], float]) -> SetRows:
    """Make one row a ReplicaSet."""
    return lambda one, _: [Row(_set_labels(one), read(one))]


def _set_labels(one: ReplicaSet) -> Labels:
    return (("namespace", one.owner.namespace), ("replicaset", one.name))


def _set_owner(one: ReplicaSet, _: Stamp) -> Iterable[Row]:
    yield Row(_set_labels(one) + _owner("Rollout", one.owner.name), 1)


def _set_annotations(one: ReplicaSet, _: Stamp) -> Iterable[Row]:
    yield Row((*_set_labels(one), ("annotation_rollout_argoproj_io_revision", str(one.revision))), 1)


def _set_created(one: ReplicaSet, stamp: Stamp) -> Iterable[Row]:
    yield Row(_set_labels(one), int(stamp(one.created)))


POD_ROWS: dict[str, PodRows] = {
    "kube_pod_container_info": _container_info,
    "kube_pod_container_status_ready": _container_value(lambda pod: pod.ready),
    "kube_pod_container_status_restarts_total": _container_value(lambda _: 0),
    "kube_pod_container_status_running": _container_value(lambda pod: pod.running),
    "kube_pod_container_status_waiting": _container_value(lambda pod: not pod.running),
    "kube_pod_created": _pod_time(lambda pod: pod.created),
    "kube_pod_deletion_timestamp": _deleted,
    "kube_pod_info": _info,
    "kube_pod_labels": _pod_labels,
    "kube_pod_owner": _pod_owner,
    "kube_pod_start_time": _pod_time(lambda pod: pod.created),
    "kube_pod_status_phase": _pod_phase,
    "kube_pod_status_ready": _pod_ready,
    "kube_pod_status_ready_time": _pod_time(lambda pod: pod.ready_from if pod.ready else None),
}
SET_ROWS: dict[str, SetRows] = {
    "kube_replicaset_annotations": _set_annotations,
    "kube_replicaset_created": _set_created,
    "kube_replicaset_metadata_generation": _set_value(lambda one: one.generation),
    "kube_replicaset_owner": _set_owner,
    "kube_replicaset_spec_replicas": _set_value(lambda one: one.spec),
    "kube_replicaset_status_fully_labeled_replicas": _set_value(lambda one: one.replicas),
    "kube_replicaset_status_observed_generation": _set_value(lambda one: one.generation),
    "kube_replicaset_status_ready_replicas": _set_value(lambda one: one.available),
    "kube_replicaset_status_replicas": _set_value(lambda one: one.replicas),
}
