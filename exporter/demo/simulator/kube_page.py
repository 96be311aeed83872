"""Renders the page of a simulated kube-state-metrics: all families of pods and ReplicaSets of v2.20.0, in its order.

Only families that the exporter joins have rows.
"""

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

NODES = 3
PHASES = ("Pending", "Succeeded", "Failed", "Unknown", "Running")
ALLOW_LISTED = ("kube_pod_labels", "kube_replicaset_annotations")
"""Families that have rows only if an allow-list names a label or annotation."""


def render_kube_page(
    replica_sets: list[SimulatedReplicaSet],
    orphans: list[SimulatedReplicaSet],
    to_unix_time: ToUnixTime,
    *,
    resources: frozenset[str],
    allow_lists: bool,
) -> bytes:
    """Return the page; a resource's headers are there once it has an object, even without rows."""
    pods = [(replica_set, pod) for replica_set in [*replica_sets, *orphans] for pod in replica_set.pods]
    texts = []
    for header in POD_FAMILIES if pods and "pods" in resources else ():
        rows = POD_ROWS.get(header.name) if allow_lists or header.name not in ALLOW_LISTED else None
        texts.append(
            render_family(
                header,
                [row for replica_set, pod in pods for row in rows(replica_set, pod, to_unix_time)] if rows else (),
            )
        )
    for header in REPLICASET_FAMILIES if replica_sets and "replicasets" in resources else ():
        read = REPLICASET_ROWS.get(header.name) if allow_lists or header.name not in ALLOW_LISTED else None
        texts.append(
            render_family(
                header, [row for replica_set in replica_sets for row in read(replica_set, to_unix_time)] if read else ()
            )
        )
    return "".join(texts).encode()


def _pod_labels(replica_set: SimulatedReplicaSet, pod: SimulatedPod) -> LabelPairs:
    return (("namespace", replica_set.owner.namespace), ("pod", pod.name), ("uid", pod.uid))


def _container_labels(replica_set: SimulatedReplicaSet, pod: SimulatedPod) -> LabelPairs:
    return (*_pod_labels(replica_set, pod), ("container", "app"))


def _owner_labels(kind: str, name: str) -> LabelPairs:
    return (("owner_kind", kind), ("owner_name", name), ("owner_is_controller", "true"))


def _pod_info(replica_set: SimulatedReplicaSet, pod: SimulatedPod, _: ToUnixTime) -> Iterable[SampleRow]:
    node = zlib.crc32(pod.uid.encode()) % NODES + 1
    labels = (
        ("host_ip", f"192.168.49.{node + 1}"),
        ("pod_ip", f"10.244.{pod.number // 250}.{pod.number % 250 + 2}" if pod.running else ""),
        ("node", f"node-{node}"),
        ("created_by_kind", "ReplicaSet"),
        ("created_by_name", replica_set.name),
        ("priority_class", ""),
        ("host_network", "false"),
    )
    yield SampleRow(_pod_labels(replica_set, pod) + labels, 1)


def _container_info(replica_set: SimulatedReplicaSet, pod: SimulatedPod, _: ToUnixTime) -> Iterable[SampleRow]:
    name, digest = replica_set.image.rpartition(":")[0], f"{zlib.crc32(replica_set.image.encode()):08x}" * 8
    labels = (
        ("image_spec", replica_set.image),
        ("image", replica_set.image),
        ("image_id", f"docker-pullable://{name}@sha256:{digest}"),
        ("container_id", f"containerd://{pod.uid.replace('-', '') * 2}"),
    )
    yield SampleRow(_container_labels(replica_set, pod) + labels, 1)


def _pod_label_row(replica_set: SimulatedReplicaSet, pod: SimulatedPod, _: ToUnixTime) -> Iterable[SampleRow]:
    yield SampleRow((*_pod_labels(replica_set, pod), ("label_rollouts_pod_template_hash", replica_set.hash)), 1)


def _pod_owner(replica_set: SimulatedReplicaSet, pod: SimulatedPod, _: ToUnixTime) -> Iterable[SampleRow]:
    yield SampleRow(_pod_labels(replica_set, pod) + _owner_labels("ReplicaSet", replica_set.name), 1)


def _pod_phase(replica_set: SimulatedReplicaSet, pod: SimulatedPod, _: ToUnixTime) -> Iterable[SampleRow]:
    current = "Running" if pod.running else "Pending"
    return [SampleRow((*_pod_labels(replica_set, pod), ("phase", phase)), phase == current) for phase in PHASES]


def _pod_ready(replica_set: SimulatedReplicaSet, pod: SimulatedPod, _: ToUnixTime) -> Iterable[SampleRow]:
    values = {"true": pod.ready, "false": not pod.ready, "unknown": False}
    return [SampleRow((*_pod_labels(replica_set, pod), ("condition", name)), value) for name, value in values.items()]


def _deletion_timestamp(
    replica_set: SimulatedReplicaSet, pod: SimulatedPod, to_unix_time: ToUnixTime
) -> Iterable[SampleRow]:
    if pod.terminating:
        yield SampleRow(_pod_labels(replica_set, pod), int(to_unix_time(pod.deleted_at + TERMINATION_GRACE_SECONDS)))


def _pod_time(read: Callable[[SimulatedPod], float | None]) -> PodRows:
    """Return a function that makes a row for a pod's timestamp, if it has that."""

    def rows(replica_set: SimulatedReplicaSet, pod: SimulatedPod, to_unix_time: ToUnixTime) -> Iterable[SampleRow]:
        time = read(pod)
        if time is not None:
            yield SampleRow(_pod_labels(replica_set, pod), int(to_unix_time(time)))

    return rows


def _container_value(read: Callable[[SimulatedPod], float]) -> PodRows:
    """Return a function that makes a row for the pod's only container."""
    return lambda replica_set, pod, _: [SampleRow(_container_labels(replica_set, pod), read(pod))]


def _replica_set_value(read: Callable[[SimulatedReplicaSet], float]) -> ReplicaSetRows:
    """Return a function that makes a row for each ReplicaSet."""
    return lambda replica_set, _: [SampleRow(_replica_set_labels(replica_set), read(replica_set))]


def _replica_set_labels(replica_set: SimulatedReplicaSet) -> LabelPairs:
    return (("namespace", replica_set.owner.namespace), ("replicaset", replica_set.name))


def _replica_set_owner(replica_set: SimulatedReplicaSet, _: ToUnixTime) -> Iterable[SampleRow]:
    yield SampleRow(_replica_set_labels(replica_set) + _owner_labels("Rollout", replica_set.owner.name), 1)


def _replica_set_annotations(replica_set: SimulatedReplicaSet, _: ToUnixTime) -> Iterable[SampleRow]:
    yield SampleRow(
        (*_replica_set_labels(replica_set), ("annotation_rollout_argoproj_io_revision", str(replica_set.revision))), 1
    )


def _replica_set_created(replica_set: SimulatedReplicaSet, to_unix_time: ToUnixTime) -> Iterable[SampleRow]:
    yield SampleRow(_replica_set_labels(replica_set), int(to_unix_time(replica_set.created_at)))


POD_ROWS: dict[str, PodRows] = {
    "kube_pod_container_info": _container_info,
    "kube_pod_container_status_ready": _container_value(lambda pod: pod.ready),
    "kube_pod_container_status_restarts_total": _container_value(lambda _: 0),
    "kube_pod_container_status_running": _container_value(lambda pod: pod.running),
    "kube_pod_container_status_waiting": _container_value(lambda pod: not pod.running),
    "kube_pod_created": _pod_time(lambda pod: pod.created_at),
    "kube_pod_deletion_timestamp": _deletion_timestamp,
    "kube_pod_info": _pod_info,
    "kube_pod_labels": _pod_label_row,
    "kube_pod_owner": _pod_owner,
    "kube_pod_start_time": _pod_time(lambda pod: pod.created_at),
    "kube_pod_status_phase": _pod_phase,
    "kube_pod_status_ready": _pod_ready,
    "kube_pod_status_ready_time": _pod_time(lambda pod: pod.ready_at if pod.ready else None),
}
REPLICASET_ROWS: dict[str, ReplicaSetRows] = {
    "kube_replicaset_annotations": _replica_set_annotations,
    "kube_replicaset_created": _replica_set_created,
    "kube_replicaset_metadata_generation": _replica_set_value(lambda replica_set: replica_set.generation),
    "kube_replicaset_owner": _replica_set_owner,
    "kube_replicaset_spec_replicas": _replica_set_value(lambda replica_set: replica_set.desired),
    "kube_replicaset_status_fully_labeled_replicas": _replica_set_value(lambda replica_set: replica_set.replicas),
    "kube_replicaset_status_observed_generation": _replica_set_value(lambda replica_set: replica_set.generation),
    "kube_replicaset_status_ready_replicas": _replica_set_value(lambda replica_set: replica_set.available),
    "kube_replicaset_status_replicas": _replica_set_value(lambda replica_set: replica_set.replicas),
}
