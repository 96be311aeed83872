"""Renders the page of a simulated kube-state-metrics: all families of pods and ReplicaSets of v2.20.0, in its order.

Only families that the exporter joins have rows.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from exporter.demo.simulator.exposition import SampleRow, parse_headers, render_family
from exporter.demo.simulator.kubelet import TERMINATION_GRACE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exporter.demo.simulator.exposition import FamilyHeader, LabelPair
    from exporter.demo.simulator.objects import SimulatedPod, SimulatedReplicaSet

KubeObject = TypeVar("KubeObject")

POD_FAMILIES = parse_headers("""
kube_pod_completion_time gauge [STABLE] Completion time in unix timestamp for a pod.
kube_pod_container_info gauge [STABLE] Information about a container in a pod.
kube_pod_container_resource_limits gauge [STABLE] The number of requested limit resource by a container. It is \
recommended to use the kube_pod_resource_limits metric exposed by kube-scheduler instead, as it is more precise.
kube_pod_container_resource_requests gauge [STABLE] The number of requested request resource by a container. It is \
recommended to use the kube_pod_resource_requests metric exposed by kube-scheduler instead, as it is more precise.
kube_pod_container_state_started gauge [STABLE] Start time in unix timestamp for a pod container.
kube_pod_container_status_last_terminated_reason gauge Describes the last reason the container was in terminated state.
kube_pod_container_status_last_terminated_exitcode gauge Describes the exit code for the last container in terminated \
state.
kube_pod_container_status_last_terminated_timestamp gauge Last terminated time for a pod container in unix timestamp.
kube_pod_container_status_ready gauge [STABLE] Describes whether the containers readiness check succeeded.
kube_pod_container_status_restarts_total counter [STABLE] The number of container restarts per container.
kube_pod_container_status_running gauge [STABLE] Describes whether the container is currently in running state.
kube_pod_container_status_terminated gauge [STABLE] Describes whether the container is currently in terminated state.
kube_pod_container_status_terminated_reason gauge Describes the reason the container is currently in terminated state.
kube_pod_container_status_waiting gauge [STABLE] Describes whether the container is currently in waiting state.
kube_pod_container_status_waiting_reason gauge [STABLE] Describes the reason the container is currently in waiting \
state.
kube_pod_created gauge [STABLE] Unix creation timestamp
kube_pod_deletion_timestamp gauge Unix deletion timestamp
kube_pod_info gauge [STABLE] Information about pod.
kube_pod_ips gauge Pod IP addresses
kube_pod_init_container_info gauge [STABLE] Information about an init container in a pod.
kube_pod_init_container_resource_limits gauge The number of requested limit resource by an init container.
kube_pod_init_container_resource_requests gauge The number of requested request resource by an init container.
kube_pod_init_container_state_started gauge Start time in unix timestamp for a pod init container.
kube_pod_init_container_status_last_terminated_reason gauge Describes the last reason the init container was in \
terminated state.
kube_pod_init_container_status_last_terminated_exitcode gauge Describes the exit code for the last init container in \
terminated state.
kube_pod_init_container_status_last_terminated_timestamp gauge Last terminated time for a pod init container in unix \
timestamp.
kube_pod_init_container_status_ready gauge [STABLE] Describes whether the init containers readiness check succeeded.
kube_pod_init_container_status_restarts_total counter [STABLE] The number of restarts for the init container.
kube_pod_init_container_status_running gauge [STABLE] Describes whether the init container is currently in running \
state.
kube_pod_init_container_status_terminated gauge [STABLE] Describes whether the init container is currently in \
terminated state.
kube_pod_init_container_status_terminated_reason gauge Describes the reason the init container is currently in \
terminated state.
kube_pod_init_container_status_waiting gauge [STABLE] Describes whether the init container is currently in waiting \
state.
kube_pod_init_container_status_waiting_reason gauge Describes the reason the init container is currently in waiting \
state.
kube_pod_annotations gauge Kubernetes annotations converted to Prometheus labels.
kube_pod_labels gauge [STABLE] Kubernetes labels converted to Prometheus labels.
kube_pod_overhead_cpu_cores gauge The pod overhead in regards to cpu cores associated with running a pod.
kube_pod_overhead_memory_bytes gauge The pod overhead in regards to memory associated with running a pod.
kube_pod_owner gauge [STABLE] Information about the Pod's owner.
kube_pod_resourceclaim_info gauge Information about a DRA ResourceClaim referenced by a pod, one series per \
pod.spec.resourceClaims entry; claim_name is the pod-local reference and resourceclaim_name is the resolved \
ResourceClaim object name.
kube_pod_restart_policy gauge [STABLE] Describes the restart policy in use by this pod.
kube_pod_runtimeclass_name_info gauge The runtimeclass associated with the pod.
kube_pod_spec_volumes_persistentvolumeclaims_info gauge [STABLE] Information about persistentvolumeclaim and \
ephemeral volumes in a pod.
kube_pod_spec_volumes_persistentvolumeclaims_readonly gauge [STABLE] Describes whether a persistentvolumeclaim is \
mounted read only. Ephemeral volumes always report 0 since the ephemeral volume source does not support a read-only \
flag.
kube_pod_start_time gauge [STABLE] Start time in unix timestamp for a pod.
kube_pod_status_phase gauge [STABLE] The pods current phase.
kube_pod_status_qos_class gauge The pods current qosClass.
kube_pod_status_ready gauge [STABLE] Describes whether the pod is ready to serve requests.
kube_pod_status_ready_time gauge Readiness achieved time in unix timestamp for a pod.
kube_pod_status_initialized_time gauge Initialized time in unix timestamp for a pod.
kube_pod_status_container_ready_time gauge Readiness achieved time in unix timestamp for a pod containers.
kube_pod_status_reason gauge The pod status reasons
kube_pod_status_disruption_reason gauge The pod disruption condition reason
kube_pod_status_scheduled gauge [STABLE] Describes the status of the scheduling process for the pod.
kube_pod_status_scheduled_time gauge [STABLE] Unix timestamp when pod moved into scheduled status
kube_pod_status_unschedulable gauge [STABLE] Describes the unschedulable status for the pod.
kube_pod_status_unscheduled_time gauge Unix timestamp when pod moved into unscheduled status
kube_pod_tolerations gauge Information about the pod tolerations
kube_pod_service_account gauge The service account for a pod.
kube_pod_scheduler gauge The scheduler for a pod.
""")
REPLICASET_FAMILIES = parse_headers("""
kube_replicaset_created gauge [STABLE] Unix creation timestamp
kube_replicaset_status_replicas gauge [STABLE] The number of replicas per ReplicaSet.
kube_replicaset_status_fully_labeled_replicas gauge [STABLE] The number of fully labeled replicas per ReplicaSet.
kube_replicaset_status_ready_replicas gauge [STABLE] The number of ready replicas per ReplicaSet.
kube_replicaset_status_terminating_replicas gauge The number of terminating replicas per ReplicaSet.
kube_replicaset_status_observed_generation gauge [STABLE] The generation observed by the ReplicaSet controller.
kube_replicaset_spec_replicas gauge [STABLE] Number of desired pods for a ReplicaSet.
kube_replicaset_metadata_generation gauge [STABLE] Sequence number representing a specific generation of the desired \
state.
kube_replicaset_owner gauge [STABLE] Information about the ReplicaSet's owner.
kube_replicaset_annotations gauge Kubernetes annotations converted to Prometheus labels.
kube_replicaset_labels gauge [STABLE] Kubernetes labels converted to Prometheus labels.
""")

NODES = 3
PHASES = ("Pending", "Succeeded", "Failed", "Unknown", "Running")
CONTAINER = ("container", "app")
"""The label of a pod's only container."""
ALLOW_LISTED = ("kube_pod_labels", "kube_replicaset_annotations")
"""Families that have rows only if an allow-list names a label or annotation."""


class PodOnPage(NamedTuple):
    """A pod on the page."""

    replica_set: SimulatedReplicaSet
    pod: SimulatedPod
    to_unix_time: Callable[[float], float]

    def row(self, value: float, *labels: LabelPair) -> SampleRow:
        """Return a row about the pod."""
        namespace = self.replica_set.owner.namespace
        return SampleRow((("namespace", namespace), ("pod", self.pod.name), ("uid", self.pod.uid), *labels), value)

    def time_row(self, time: float) -> SampleRow:
        """Return a row with a time of the simulation."""
        return self.row(int(self.to_unix_time(time)))


class ReplicaSetOnPage(NamedTuple):
    """A ReplicaSet on the page."""

    replica_set: SimulatedReplicaSet
    to_unix_time: Callable[[float], float]

    def row(self, value: float, *labels: LabelPair) -> list[SampleRow]:
        """Return the only row about the ReplicaSet."""
        name, namespace = self.replica_set.name, self.replica_set.owner.namespace
        return [SampleRow((("namespace", namespace), ("replicaset", name), *labels), value)]


def render_kube_page(
    replica_sets: list[SimulatedReplicaSet],
    orphans: list[SimulatedReplicaSet],
    to_unix_time: Callable[[float], float],
    *,
    resources: frozenset[str],
    allow_lists: bool,
) -> bytes:
    """Return the page; a resource's headers are there once it has an object, even without rows."""
    hidden = () if allow_lists else ALLOW_LISTED
    texts: list[str] = []
    if "pods" in resources:
        owners = [*replica_sets, *orphans]
        pods = [PodOnPage(replica_set, pod, to_unix_time) for replica_set in owners for pod in replica_set.pods]
        texts += _render_families(POD_FAMILIES, POD_ROWS, pods, hidden)
    if "replicasets" in resources:
        on_page = [ReplicaSetOnPage(replica_set, to_unix_time) for replica_set in replica_sets]
        texts += _render_families(REPLICASET_FAMILIES, REPLICASET_ROWS, on_page, hidden)
    return "".join(texts).encode()


def _render_families(
    headers: tuple[FamilyHeader, ...],
    rows_by_family: Mapping[str, Callable[[KubeObject], list[SampleRow]]],
    objects: list[KubeObject],
    hidden: tuple[str, ...],
) -> Iterator[str]:
    for header in headers if objects else ():
        rows = rows_by_family.get(header.name) if header.name not in hidden else None
        yield render_family(header, [row for item in objects for row in rows(item)] if rows else ())


def _owner(kind: str, name: str) -> tuple[LabelPair, ...]:
    return (("owner_kind", kind), ("owner_name", name), ("owner_is_controller", "true"))


def _pod_info(item: PodOnPage) -> list[SampleRow]:
    # crc32, since hash() of a text differs from process to process.
    pod, node = item.pod, zlib.crc32(item.pod.uid.encode()) % NODES + 1
    labels = (
        ("host_ip", f"192.168.49.{node + 1}"),
        ("pod_ip", f"10.244.{pod.number // 250}.{pod.number % 250 + 2}" if pod.running else ""),
        ("node", f"node-{node}"),
        ("created_by_kind", "ReplicaSet"),
        ("created_by_name", item.replica_set.name),
        ("priority_class", ""),
        ("host_network", "false"),
    )
    return [item.row(1, *labels)]


def _container_info(item: PodOnPage) -> list[SampleRow]:
    image = item.replica_set.image
    name, digest = image.rpartition(":")[0], f"{zlib.crc32(image.encode()):08x}" * 8
    labels = (
        ("image_spec", image),
        ("image", image),
        ("image_id", f"docker-pullable://{name}@sha256:{digest}"),
        ("container_id", f"containerd://{item.pod.uid.replace('-', '') * 2}"),
    )
    return [item.row(1, CONTAINER, *labels)]


def _pod_phase(item: PodOnPage) -> list[SampleRow]:
    current = "Running" if item.pod.running else "Pending"
    return [item.row(phase == current, ("phase", phase)) for phase in PHASES]


def _pod_ready(item: PodOnPage) -> list[SampleRow]:
    values = {"true": item.pod.ready, "false": not item.pod.ready, "unknown": False}
    return [item.row(value, ("condition", name)) for name, value in values.items()]


def _deletion_timestamp(item: PodOnPage) -> list[SampleRow]:
    return [item.time_row(item.pod.deleted_at + TERMINATION_GRACE_SECONDS)] if item.pod.terminating else []


POD_ROWS: dict[str, Callable[[PodOnPage], list[SampleRow]]] = {
    "kube_pod_container_info": _container_info,
    "kube_pod_container_status_ready": lambda item: [item.row(item.pod.ready, CONTAINER)],
    "kube_pod_container_status_restarts_total": lambda item: [item.row(0, CONTAINER)],
    "kube_pod_container_status_running": lambda item: [item.row(item.pod.running, CONTAINER)],
    "kube_pod_container_status_waiting": lambda item: [item.row(not item.pod.running, CONTAINER)],
    "kube_pod_created": lambda item: [item.time_row(item.pod.created_at)],
    "kube_pod_deletion_timestamp": _deletion_timestamp,
    "kube_pod_info": _pod_info,
    "kube_pod_labels": lambda item: [item.row(1, ("label_rollouts_pod_template_hash", item.replica_set.hash))],
    "kube_pod_owner": lambda item: [item.row(1, *_owner("ReplicaSet", item.replica_set.name))],
    "kube_pod_start_time": lambda item: [item.time_row(item.pod.created_at)],
    "kube_pod_status_phase": _pod_phase,
    "kube_pod_status_ready": _pod_ready,
    "kube_pod_status_ready_time": lambda item: [item.time_row(item.pod.ready_at)] if item.pod.ready else [],
}
REVISION_LABEL = "annotation_rollout_argoproj_io_revision"
REPLICASET_ROWS: dict[str, Callable[[ReplicaSetOnPage], list[SampleRow]]] = {
    "kube_replicaset_annotations": lambda item: item.row(1, (REVISION_LABEL, str(item.replica_set.revision))),
    "kube_replicaset_created": lambda item: item.row(int(item.to_unix_time(item.replica_set.created_at))),
    "kube_replicaset_metadata_generation": lambda item: item.row(item.replica_set.generation),
    "kube_replicaset_owner": lambda item: item.row(1, *_owner("Rollout", item.replica_set.owner.name)),
    "kube_replicaset_spec_replicas": lambda item: item.row(item.replica_set.desired),
    "kube_replicaset_status_fully_labeled_replicas": lambda item: item.row(item.replica_set.replicas),
    "kube_replicaset_status_observed_generation": lambda item: item.row(item.replica_set.generation),
    "kube_replicaset_status_ready_replicas": lambda item: item.row(item.replica_set.available),
    "kube_replicaset_status_replicas": lambda item: item.row(item.replica_set.replicas),
}
