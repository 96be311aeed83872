"""The page of a simulated kube-state-metrics: pods and ReplicaSets, with the rows that a join of them needs."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from exporter.demo.simulator.exposition import FamilyHeader, LabelPairs, SampleRow, render_family
from exporter.demo.simulator.kubelet import TERMINATION_GRACE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.demo.simulator.objects import SimulatedPod, SimulatedReplicaSet

    ToUnixTime = Callable[[float], float]
    PodRows = Callable[[SimulatedReplicaSet, SimulatedPod, ToUnixTime], Iterable[SampleRow]]
    ReplicaSetRows = Callable[[SimulatedReplicaSet, ToUnixTime], Iterable[SampleRow]]


# The headers of kube-state-metrics v2.20.0 for pods and ReplicaSets, in the order of its page.


def _gauge(name: str, text: str) -> FamilyHeader:
    return FamilyHeader(name, "gauge", text)


def _counter(name: str, text: str) -> FamilyHeader:
    return FamilyHeader(name, "counter", text)


POD_FAMILIES = (
    _gauge("kube_pod_completion_time", "[STABLE] Completion time in unix timestamp for a pod."),
    _gauge("kube_pod_container_info", "[STABLE] Information about a container in a pod."),
    _gauge(
        "kube_pod_container_resource_limits",
        "[STABLE] The number of requested limit resource by a container. It is recommended to use the "
        "kube_pod_resource_limits metric exposed by kube-scheduler instead, as it is more precise.",
    ),
    _gauge(
        "kube_pod_container_resource_requests",
        "[STABLE] The number of requested request resource by a container. It is recommended to use the "
        "kube_pod_resource_requests metric exposed by kube-scheduler instead, as it is more precise.",
    ),
    _gauge("kube_pod_container_state_started", "[STABLE] Start time in unix timestamp for a pod container."),
    _gauge(
        "kube_pod_container_status_last_terminated_reason",
        "Describes the last reason the container was in terminated state.",
    ),
    _gauge(
        "kube_pod_container_status_last_terminated_exitcode",
        "Describes the exit code for the last container in terminated state.",
    ),
    _gauge(
        "kube_pod_container_status_last_terminated_timestamp",
        "Last terminated time for a pod container in unix timestamp.",
    ),
    _gauge("kube_pod_container_status_ready", "[STABLE] Describes whether the containers readiness check succeeded."),
    _counter("kube_pod_container_status_restarts_total", "[STABLE] The number of container restarts per container."),
    _gauge(
        "kube_pod_container_status_running",
        "[STABLE] Describes whether the container is currently in running state.",
    ),
    _gauge(
        "kube_pod_container_status_terminated",
        "[STABLE] Describes whether the container is currently in terminated state.",
    ),
    _gauge(
        "kube_pod_container_status_terminated_reason",
        "Describes the reason the container is currently in terminated state.",
    ),
    _gauge(
        "kube_pod_container_status_waiting",
        "[STABLE] Describes whether the container is currently in waiting state.",
    ),
    _gauge(
        "kube_pod_container_status_waiting_reason",
        "[STABLE] Describes the reason the container is currently in waiting state.",
    ),
    _gauge("kube_pod_created", "[STABLE] Unix creation timestamp"),
    _gauge("kube_pod_deletion_timestamp", "Unix deletion timestamp"),
    _gauge("kube_pod_info", "[STABLE] Information about pod."),
    _gauge("kube_pod_ips", "Pod IP addresses"),
    _gauge("kube_pod_init_container_info", "[STABLE] Information about an init container in a pod."),
    _gauge("kube_pod_init_container_resource_limits", "The number of requested limit resource by an init container."),
    _gauge(
        "kube_pod_init_container_resource_requests",
        "The number of requested request resource by an init container.",
    ),
    _gauge("kube_pod_init_container_state_started", "Start time in unix timestamp for a pod init container."),
    _gauge(
        "kube_pod_init_container_status_last_terminated_reason",
        "Describes the last reason the init container was in terminated state.",
    ),
    _gauge(
        "kube_pod_init_container_status_last_terminated_exitcode",
        "Describes the exit code for the last init container in terminated state.",
    ),
    _gauge(
        "kube_pod_init_container_status_last_terminated_timestamp",
        "Last terminated time for a pod init container in unix timestamp.",
    ),
    _gauge(
        "kube_pod_init_container_status_ready",
        "[STABLE] Describes whether the init containers readiness check succeeded.",
    ),
    _counter(
        "kube_pod_init_container_status_restarts_total",
        "[STABLE] The number of restarts for the init container.",
    ),
    _gauge(
        "kube_pod_init_container_status_running",
        "[STABLE] Describes whether the init container is currently in running state.",
    ),
    _gauge(
        "kube_pod_init_container_status_terminated",
        "[STABLE] Describes whether the init container is currently in terminated state.",
    ),
    _gauge(
        "kube_pod_init_container_status_terminated_reason",
        "Describes the reason the init container is currently in terminated state.",
    ),
    _gauge(
        "kube_pod_init_container_status_waiting",
        "[STABLE] Describes whether the init container is currently in waiting state.",
    ),
    _gauge(
        "kube_pod_init_container_status_waiting_reason",
        "Describes the reason the init container is currently in waiting state.",
    ),
    _gauge("kube_pod_annotations", "Kubernetes annotations converted to Prometheus labels."),
    _gauge("kube_pod_labels", "[STABLE] Kubernetes labels converted to Prometheus labels."),
    _gauge("kube_pod_overhead_cpu_cores", "The pod overhead in regards to cpu cores associated with running a pod."),
    _gauge("kube_pod_overhead_memory_bytes", "The pod overhead in regards to memory associated with running a pod."),
    _gauge("kube_pod_owner", "[STABLE] Information about the Pod's owner."),
    _gauge(
        "kube_pod_resourceclaim_info",
        "Information about a DRA ResourceClaim referenced by a pod, one series per pod.spec.resourceClaims "
        "entry; claim_name is the pod-local reference and resourceclaim_name is the resolved ResourceClaim "
        "object name.",
    ),
    _gauge("kube_pod_restart_policy", "[STABLE] Describes the restart policy in use by this pod."),
    _gauge("kube_pod_runtimeclass_name_info", "The runtimeclass associated with the pod."),
    _gauge(
        "kube_pod_spec_volumes_persistentvolumeclaims_info",
        "[STABLE] Information about persistentvolumeclaim and ephemeral volumes in a pod.",
    ),
    _gauge(
        "kube_pod_spec_volumes_persistentvolumeclaims_readonly",
        "[STABLE] Describes whether a persistentvolumeclaim is mounted read only. Ephemeral volumes always "
        "report 0 since the ephemeral volume source does not support a read-only flag.",
    ),
    _gauge("kube_pod_start_time", "[STABLE] Start time in unix timestamp for a pod."),
    _gauge("kube_pod_status_phase", "[STABLE] The pods current phase."),
    _gauge("kube_pod_status_qos_class", "The pods current qosClass."),
    _gauge("kube_pod_status_ready", "[STABLE] Describes whether the pod is ready to serve requests."),
    _gauge("kube_pod_status_ready_time", "Readiness achieved time in unix timestamp for a pod."),
    _gauge("kube_pod_status_initialized_time", "Initialized time in unix timestamp for a pod."),
    _gauge("kube_pod_status_container_ready_time", "Readiness achieved time in unix timestamp for a pod containers."),
    _gauge("kube_pod_status_reason", "The pod status reasons"),
    _gauge("kube_pod_status_disruption_reason", "The pod disruption condition reason"),
    _gauge("kube_pod_status_scheduled", "[STABLE] Describes the status of the scheduling process for the pod."),
    _gauge("kube_pod_status_scheduled_time", "[STABLE] Unix timestamp when pod moved into scheduled status"),
    _gauge("kube_pod_status_unschedulable", "[STABLE] Describes the unschedulable status for the pod."),
    _gauge("kube_pod_status_unscheduled_time", "Unix timestamp when pod moved into unscheduled status"),
    _gauge("kube_pod_tolerations", "Information about the pod tolerations"),
    _gauge("kube_pod_service_account", "The service account for a pod."),
    _gauge("kube_pod_scheduler", "The scheduler for a pod."),
)
REPLICASET_FAMILIES = (
    _gauge("kube_replicaset_created", "[STABLE] Unix creation timestamp"),
    _gauge("kube_replicaset_status_replicas", "[STABLE] The number of replicas per ReplicaSet."),
    _gauge(
        "kube_replicaset_status_fully_labeled_replicas",
        "[STABLE] The number of fully labeled replicas per ReplicaSet.",
    ),
    _gauge("kube_replicaset_status_ready_replicas", "[STABLE] The number of ready replicas per ReplicaSet."),
    _gauge("kube_replicaset_status_terminating_replicas", "The number of terminating replicas per ReplicaSet."),
    _gauge(
        "kube_replicaset_status_observed_generation",
        "[STABLE] The generation observed by the ReplicaSet controller.",
    ),
    _gauge("kube_replicaset_spec_replicas", "[STABLE] Number of desired pods for a ReplicaSet."),
    _gauge(
        "kube_replicaset_metadata_generation",
        "[STABLE] Sequence number representing a specific generation of the desired state.",
    ),
    _gauge("kube_replicaset_owner", "[STABLE] Information about the ReplicaSet's owner."),
    _gauge("kube_replicaset_annotations", "Kubernetes annotations converted to Prometheus labels."),
    _gauge("kube_replicaset_labels", "[STABLE] Kubernetes labels converted to Prometheus labels."),
)


# rooms


NODES = 3
PHASES = ("Pending", "Succeeded", "Failed", "Unknown", "Running")
ALLOW_LISTED = ("kube_pod_labels", "kube_replicaset_annotations")
"""Families that have rows only where an allow-list names a label or annotation."""


def kube_page(
    sets: list[SimulatedReplicaSet], orphans: list[SimulatedReplicaSet], to_unix_time: ToUnixTime, *, resources: frozenset[str], allow_lists: bool
) -> bytes:
    """Write the page; headers come once there is any object of a resource, rows or not."""
    pods = [(one, pod) for one in [*sets, *orphans] for pod in one.pods]
    texts = []
    for header in POD_FAMILIES if pods and "pods" in resources else ():
        rows = POD_ROWS.get(header.name) if allow_lists or header.name not in ALLOW_LISTED else None
        texts.append(render_family(header, [row for one, pod in pods for row in rows(one, pod, to_unix_time)] if rows else ()))
    for header in REPLICASET_FAMILIES if sets and "replicasets" in resources else ():
        read = REPLICASET_ROWS.get(header.name) if allow_lists or header.name not in ALLOW_LISTED else None
        texts.append(render_family(header, [row for one in sets for row in read(one, to_unix_time)] if read else ()))
    return "".join(texts).encode()


def _labels(one: SimulatedReplicaSet, pod: SimulatedPod) -> LabelPairs:
    return (("namespace", one.owner.namespace), ("pod", pod.name), ("uid", pod.uid))


def _container(one: SimulatedReplicaSet, pod: SimulatedPod) -> LabelPairs:
    return (*_labels(one, pod), ("container", "app"))


def _owner(kind: str, name: str) -> LabelPairs:
    return (("owner_kind", kind), ("owner_name", name), ("owner_is_controller", "true"))


def _info(one: SimulatedReplicaSet, pod: SimulatedPod, _: ToUnixTime) -> Iterable[SampleRow]:
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
    yield SampleRow(_labels(one, pod) + labels, 1)


def _container_info(one: SimulatedReplicaSet, pod: SimulatedPod, _: ToUnixTime) -> Iterable[SampleRow]:
    name, digest = one.image.rpartition(":")[0], f"{zlib.crc32(one.image.encode()):08x}" * 8
    labels = (
        ("image_spec", one.image),
        ("image", one.image),
        ("image_id", f"docker-pullable://{name}@sha256:{digest}"),
        ("container_id", f"containerd://{pod.uid.replace('-', '') * 2}"),
    )
    yield SampleRow(_container(one, pod) + labels, 1)


def _pod_labels(one: SimulatedReplicaSet, pod: SimulatedPod, _: ToUnixTime) -> Iterable[SampleRow]:
    yield SampleRow((*_labels(one, pod), ("label_rollouts_pod_template_hash", one.hash)), 1)


def _pod_owner(one: SimulatedReplicaSet, pod: SimulatedPod, _: ToUnixTime) -> Iterable[SampleRow]:
    yield SampleRow(_labels(one, pod) + _owner("ReplicaSet", one.name), 1)


def _pod_phase(one: SimulatedReplicaSet, pod: SimulatedPod, _: ToUnixTime) -> Iterable[SampleRow]:
    current = "Running" if pod.running else "Pending"
    return [SampleRow((*_labels(one, pod), ("phase", phase)), phase == current) for phase in PHASES]


def _pod_ready(one: SimulatedReplicaSet, pod: SimulatedPod, _: ToUnixTime) -> Iterable[SampleRow]:
    values = {"true": pod.ready, "false": not pod.ready, "unknown": False}
    return [SampleRow((*_labels(one, pod), ("condition", name)), value) for name, value in values.items()]


def _deleted(one: SimulatedReplicaSet, pod: SimulatedPod, stamp: ToUnixTime) -> Iterable[SampleRow]:
    if pod.terminating:
        yield SampleRow(_labels(one, pod), int(stamp(pod.deleted_at + TERMINATION_GRACE_SECONDS)))


def _pod_time(read: Callable[[SimulatedPod], float | None]) -> PodRows:
    """Make rows of a pod's time, none where it has none."""

    def rows(one: SimulatedReplicaSet, pod: SimulatedPod, stamp: ToUnixTime) -> Iterable[SampleRow]:
        moment = read(pod)
        if moment is not None:
            yield SampleRow(_labels(one, pod), int(stamp(moment)))

    return rows


def _container_value(read: Callable[[SimulatedPod], float]) -> PodRows:
    """Make one row for the pod's one container."""
    return lambda one, pod, _: [SampleRow(_container(one, pod), read(pod))]


def _set_value(read: Callable[[SimulatedReplicaSet], float]) -> ReplicaSetRows:
    """Make one row a ReplicaSet."""
    return lambda one, _: [SampleRow(_set_labels(one), read(one))]


def _set_labels(one: SimulatedReplicaSet) -> LabelPairs:
    return (("namespace", one.owner.namespace), ("replicaset", one.name))


def _set_owner(one: SimulatedReplicaSet, _: ToUnixTime) -> Iterable[SampleRow]:
    yield SampleRow(_set_labels(one) + _owner("Rollout", one.owner.name), 1)


def _set_annotations(one: SimulatedReplicaSet, _: ToUnixTime) -> Iterable[SampleRow]:
    yield SampleRow((*_set_labels(one), ("annotation_rollout_argoproj_io_revision", str(one.revision))), 1)


def _set_created(one: SimulatedReplicaSet, stamp: ToUnixTime) -> Iterable[SampleRow]:
    yield SampleRow(_set_labels(one), int(stamp(one.created_at)))


POD_ROWS: dict[str, PodRows] = {
    "kube_pod_container_info": _container_info,
    "kube_pod_container_status_ready": _container_value(lambda pod: pod.ready),
    "kube_pod_container_status_restarts_total": _container_value(lambda _: 0),
    "kube_pod_container_status_running": _container_value(lambda pod: pod.running),
    "kube_pod_container_status_waiting": _container_value(lambda pod: not pod.running),
    "kube_pod_created": _pod_time(lambda pod: pod.created_at),
    "kube_pod_deletion_timestamp": _deleted,
    "kube_pod_info": _info,
    "kube_pod_labels": _pod_labels,
    "kube_pod_owner": _pod_owner,
    "kube_pod_start_time": _pod_time(lambda pod: pod.created_at),
    "kube_pod_status_phase": _pod_phase,
    "kube_pod_status_ready": _pod_ready,
    "kube_pod_status_ready_time": _pod_time(lambda pod: pod.ready_at if pod.ready else None),
}
REPLICASET_ROWS: dict[str, ReplicaSetRows] = {
    "kube_replicaset_annotations": _set_annotations,
    "kube_replicaset_created": _set_created,
    "kube_replicaset_metadata_generation": _set_value(lambda one: one.generation),
    "kube_replicaset_owner": _set_owner,
    "kube_replicaset_spec_replicas": _set_value(lambda one: one.desired),
    "kube_replicaset_status_fully_labeled_replicas": _set_value(lambda one: one.replicas),
    "kube_replicaset_status_observed_generation": _set_value(lambda one: one.generation),
    "kube_replicaset_status_ready_replicas": _set_value(lambda one: one.available),
    "kube_replicaset_status_replicas": _set_value(lambda one: one.replicas),
}
