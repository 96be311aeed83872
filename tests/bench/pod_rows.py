"""The rows that kube-state-metrics exports for one pod and one ReplicaSet: default families and kube_pod_labels.

The pod is one of a service mesh: four containers, two init containers, two addresses, one volume, six tolerations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTAINERS: Final = ("app", "istio-proxy", "log-shipper", "metrics")
INIT_CONTAINERS: Final = ("istio-init", "migrations")
_TIME: Final = "1.79544602e+09"
_RESOURCES: Final = (("cpu", "core", "0.05"), ("memory", "byte", "3.3554432e+07"))
_CONTAINER_STATES: Final = (("ready", 1), ("running", 1), ("terminated", 0), ("waiting", 0), ("restarts_total", 0))
_INIT_STATES: Final = (("ready", 1), ("running", 0), ("terminated", 1), ("waiting", 0), ("restarts_total", 0))
_ADDRESSES: Final = 'host_ip="10.0.0.{node}",pod_ip="10.244.0.{node}",node="node-{node}",'
_OTHER_LABELS: Final = 'priority_class="",host_network="false"'
_IMAGE: Final = (
    'image_spec="registry.local/{container}:v1",image="registry.local/{container}:v1",'
    'image_id="docker-pullable://registry.local/{container}@sha256:{{digest}}",container_id="containerd://{{digest}}"'
)


def _pod(family: str, *rows: tuple[str, object]) -> tuple[str, list[str]]:
    """Return the rows of a family for a pod, each of its own labels and a value."""
    pod_labels = 'namespace="{namespace}",pod="{pod}",uid="{uid}"'
    return family, [f"{family}{{{{{pod_labels}{',' if labels else ''}{labels}}}}} {value}" for labels, value in rows]


def _replica_set(family: str, labels: str, value: object) -> tuple[str, list[str]]:
    own_labels = 'namespace="{namespace}",replicaset="{replicaset}"'
    return family, [f"{family}{{{{{own_labels}{',' if labels else ''}{labels}}}}} {value}"]


def _states(family: str, label: str, first: str, *others: str) -> tuple[str, list[str]]:
    """Return a row for each state; the first is the current one."""
    return _pod(family, (f'{label}="{first}"', 1), *((f'{label}="{other}"', 0) for other in others))


def _resources(containers: Sequence[str]) -> list[tuple[str, object]]:
    return [
        (f'container="{container}",node="node-{{node}}",resource="{resource}",unit="{unit}"', value)
        for container in containers
        for resource, unit, value in _RESOURCES
    ]


def _images(containers: Sequence[str]) -> list[tuple[str, object]]:
    return [(f'container="{container}",{_IMAGE.format(container=container)}', 1) for container in containers]


def _rows(containers: Sequence[str], value: object) -> list[tuple[str, object]]:
    return [(f'container="{container}"', value) for container in containers]


POD_ROWS: Final[Mapping[str, Sequence[str]]] = dict([
    _pod("kube_pod_container_info", *_images(CONTAINERS)),
    _pod("kube_pod_container_resource_limits", *_resources(CONTAINERS)),
    _pod("kube_pod_container_resource_requests", *_resources(CONTAINERS)),
    _pod("kube_pod_container_state_started", *_rows(CONTAINERS, _TIME)),
    *(_pod(f"kube_pod_container_status_{state}", *_rows(CONTAINERS, value)) for state, value in _CONTAINER_STATES),
    _pod("kube_pod_created", ("", _TIME)),
    _pod(
        "kube_pod_info",
        (_ADDRESSES + 'created_by_kind="ReplicaSet",created_by_name="{replicaset}",' + _OTHER_LABELS, 1),
    ),
    _pod("kube_pod_ips", ('ip="10.244.0.{node}",ip_family="4"', 1), ('ip="fd00::{node}",ip_family="6"', 1)),
    _pod("kube_pod_init_container_info", *_images(INIT_CONTAINERS)),
    _pod("kube_pod_init_container_resource_limits", *_resources(INIT_CONTAINERS)),
    _pod("kube_pod_init_container_resource_requests", *_resources(INIT_CONTAINERS)),
    *(_pod(f"kube_pod_init_container_status_{state}", *_rows(INIT_CONTAINERS, value)) for state, value in _INIT_STATES),
    _pod(
        "kube_pod_init_container_status_terminated_reason",
        *((f'container="{container}",reason="Completed"', 1) for container in INIT_CONTAINERS),
    ),
    _pod("kube_pod_labels", ('label_rollouts_pod_template_hash="{hash}"', 1)),
    _pod("kube_pod_owner", ('owner_kind="ReplicaSet",owner_name="{replicaset}",owner_is_controller="true"', 1)),
    _pod("kube_pod_restart_policy", ('type="Always"', 1)),
    _pod("kube_pod_spec_volumes_persistentvolumeclaims_info", ('volume="data",persistentvolumeclaim="{pod}"', 1)),
    _pod("kube_pod_spec_volumes_persistentvolumeclaims_readonly", ('volume="data",persistentvolumeclaim="{pod}"', 0)),
    _pod("kube_pod_start_time", ("", _TIME)),
    _states("kube_pod_status_phase", "phase", "Running", "Pending", "Succeeded", "Failed", "Unknown"),
    _states("kube_pod_status_qos_class", "qos_class", "Burstable", "BestEffort", "Guaranteed"),
    _states("kube_pod_status_ready", "condition", "true", "false", "unknown"),
    _pod("kube_pod_status_ready_time", ("", _TIME)),
    _pod("kube_pod_status_initialized_time", ("", _TIME)),
    _pod("kube_pod_status_container_ready_time", ("", _TIME)),
    _states("kube_pod_status_scheduled", "condition", "true", "false", "unknown"),
    _pod("kube_pod_status_scheduled_time", ("", _TIME)),
    _pod(
        "kube_pod_tolerations",
        *((f'key="example.com/pool-{number}",operator="Exists",effect="NoExecute"', 1) for number in range(6)),
    ),
    _pod("kube_pod_service_account", ('service_account="default"', 1)),
    _pod("kube_pod_scheduler", ('name="default-scheduler"', 1)),
])  # fmt: skip # a table

REPLICA_SET_ROWS: Final[Mapping[str, Sequence[str]]] = dict([
    _replica_set("kube_replicaset_created", "", _TIME),
    _replica_set("kube_replicaset_status_replicas", "", "{pods}"),
    _replica_set("kube_replicaset_status_fully_labeled_replicas", "", "{pods}"),
    _replica_set("kube_replicaset_status_ready_replicas", "", "{pods}"),
    _replica_set("kube_replicaset_status_observed_generation", "", 2),
    _replica_set("kube_replicaset_spec_replicas", "", "{pods}"),
    _replica_set("kube_replicaset_metadata_generation", "", 2),
    _replica_set("kube_replicaset_owner", 'owner_kind="Rollout",owner_name="{owner}",owner_is_controller="true"', 1),
])  # fmt: skip # a table
