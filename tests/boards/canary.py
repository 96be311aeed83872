"""Canary beside stable: what a service and its pods use, answer and fail, by role."""

from __future__ import annotations

from typing import Final

from tests.boards.panels import Panel, Query
from tests.boards.expressions import EVERY, ONE

ROLES: Final = ("stable", "canary", "preview", "old", "experiment", "unknown")

BY_POD: Final = (
    f"on (namespace, pod) group_left (role) max by (namespace, pod, role) (argo_rollouts_pod_info{{{ONE}}} == 1)"
)
"""Joins what is said of pods to their roles."""
CONTAINERS: Final = 'namespace=~"$namespace",container!=""'
"""Not by the pods' names: those of a long-named rollout are cut."""
RESTARTS: Final = 'kube_pod_container_status_restarts_total{namespace=~"$namespace"}'

SERVICE: Final = 'service_name=~"$service"'
COUNT: Final = f"http_server_request_duration_seconds_count{{{SERVICE}}}"
FAILED: Final = f'http_server_request_duration_seconds_count{{{SERVICE},http_response_status_code=~"5.."}}'
BUCKETS: Final = f"http_server_request_duration_seconds_bucket{{{SERVICE}}}"
TRACED: Final = f'trace_endpoint_count{{{SERVICE},span_kind="SPAN_KIND_SERVER"}}'
TRACED_FAILED: Final = f'trace_endpoint_count{{{SERVICE},span_kind="SPAN_KIND_SERVER",http_status_code=~"5.."}}'


def _by_role(expr: str, *labels: str) -> str:
    """Sum what a service says of its own pods (k8s_pod_name) by their roles."""
    spelt = f'label_replace({expr}, "pod", "$1", "k8s_pod_name", "(.+)")'
    roles = f"max by (pod, role) (argo_rollouts_pod_info{{{ONE}}} == 1)"
    return f"sum by ({', '.join(('role', *labels))}) ({spelt} * on (pod) group_left (role) {roles})"


def _share(part: str, whole: str) -> str:
    """Divide; a part that was never counted is 0, and of nothing there is no share."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def _average(expr: str) -> str:
    """Average over the pods of each role."""
    return f"avg by (role) (sum by (namespace, pod) ({expr}) * {BY_POD})"


SERVICES: Final = (
    Panel(
        "Error rate",
        "Answers with a 5xx status of all answers of the service, by OpenTelemetry's HTTP metrics; by role where they"
        " carry k8s_pod_name; and by the metrics that Last9 makes of traces, where there are any.",
        [
            Query(_share(f"sum(rate({FAILED}[{EVERY}]))", f"sum(rate({COUNT}[{EVERY}]))"), "service"),
            Query(_share(_by_role(f"rate({FAILED}[{EVERY}])"), _by_role(f"rate({COUNT}[{EVERY}])")), "{{role}}"),
            Query(
                _share(f"sum(rate({TRACED_FAILED}[{EVERY}]))", f"sum(rate({TRACED}[{EVERY}]))"),
                "service, by its traces",
            ),
        ],
        unit="percentunit",
        words=(*ROLES, "service", "service, by its traces"),
    ),
    Panel(
        "Latency, 95th percentile",
        "Of the service as a whole, and by role where its metrics carry k8s_pod_name.",
        [
            Query(f"histogram_quantile(0.95, sum by (le) (rate({BUCKETS}[{EVERY}])))", "service"),
            Query(f"histogram_quantile(0.95, {_by_role(f'rate({BUCKETS}[{EVERY}])', 'le')})", "{{role}}"),
        ],
        unit="s",
        words=(*ROLES, "service"),
    ),
    Panel(
        "Requests",
        "Answers a second, by role where they carry k8s_pod_name: the traffic that the canary really gets.",
        [
            Query(f"sum(rate({COUNT}[{EVERY}]))", "service"),
            Query(_by_role(f"rate({COUNT}[{EVERY}])"), "{{role}}"),
        ],
        unit="reqps",
        words=(*ROLES, "service"),
    ),
    Panel(
        "CPU of a pod",
        "Cores used, averaged over the pods of each role (cAdvisor's metrics joined through argo_rollouts_pod_info).",
        [Query(_average(f"rate(container_cpu_usage_seconds_total{{{CONTAINERS}}}[{EVERY}])"), "{{role}}")],
        unit="none",
        words=ROLES,
    ),
    Panel(
        "Memory of a pod",
        "Working set, averaged over the pods of each role.",
        [Query(_average(f"container_memory_working_set_bytes{{{CONTAINERS}}}"), "{{role}}")],
        unit="bytes",
        words=ROLES,
    ),
    Panel(
        "Restarts of containers",
        "By role: restarts of the canary alone speak against it.",
        [
            Query(
                f"sum by (role) (increase({RESTARTS}[{EVERY}]) * {BY_POD})",
                "{{role}}",
            )
        ],
        words=ROLES,
        stacked=True,
    ),
)
