"""The headers of kube-state-metrics v2.20.0 for pods and ReplicaSets, in the order of its page."""

from __future__ import annotations

from exporter.demo.exposition import Header


def _gauge(name: str, text: str) -> Header:
    return Header(name, "gauge", text)


def _counter(name: str, text: str) -> Header:
    return Header(name, "counter", text)


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
