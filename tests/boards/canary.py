"""Panels that compare canary and stable: errors, latency, requests and resources, by role."""

from __future__ import annotations

from typing import Final

from tests.boards.expressions import ROLLOUT, WINDOW
from tests.boards.panels import Panel, Query

ROLES: Final = ("stable", "canary", "preview", "old", "experiment", "unknown")

ROLE_OF_POD: Final = (
    f"on (namespace, pod) group_left (role) max by (namespace, pod, role) (argo_rollouts_pod_info{{{ROLLOUT}}} == 1)"
)
"""Join of pod metrics with roles."""
CONTAINERS: Final = 'namespace=~"$namespace",container!=""'
"""Not selected by pod name, since Kubernetes truncates the pod names of rollouts with long names."""
RESTARTS: Final = 'kube_pod_container_status_restarts_total{namespace=~"$namespace"}'

SERVICE: Final = 'service_name=~"$service"'
REQUEST_COUNT: Final = f"http_server_request_duration_seconds_count{{{SERVICE}}}"
FAILED_REQUEST_COUNT: Final = (
    f'http_server_request_duration_seconds_count{{{SERVICE},http_response_status_code=~"5.."}}'
)
REQUEST_BUCKETS: Final = f"http_server_request_duration_seconds_bucket{{{SERVICE}}}"
TRACED_COUNT: Final = f'trace_endpoint_count{{{SERVICE},span_kind="SPAN_KIND_SERVER"}}'
TRACED_FAILED_COUNT: Final = f'trace_endpoint_count{{{SERVICE},span_kind="SPAN_KIND_SERVER",http_status_code=~"5.."}}'


def _by_role(expr: str, *labels: str) -> str:
    """Sum metrics of a service with the label k8s_pod_name by role."""
    with_pod = f'label_replace({expr}, "pod", "$1", "k8s_pod_name", "(.+)")'
    roles = f"max by (pod, role) (argo_rollouts_pod_info{{{ROLLOUT}}} == 1)"
    return f"sum by ({', '.join(('role', *labels))}) ({with_pod} * on (pod) group_left (role) {roles})"


def _ratio(part: str, total: str) -> str:
    """Return the ratio of two sums: 0 if the part has no series, absent if the total is 0."""
    return f"({part} or 0 * {total}) / ({total} > 0)"


def _average(expr: str) -> str:
    """Return the average over the pods of each role."""
    return f"avg by (role) (sum by (namespace, pod) ({expr}) * {ROLE_OF_POD})"


PANELS: Final = (
    Panel(
        "Error rate",
        "Share of responses with a 5xx status in OpenTelemetry's HTTP metrics, by role if these have k8s_pod_name;"
        " and in Last9's trace metrics, if present.",
        [
            Query(
                _ratio(f"sum(rate({FAILED_REQUEST_COUNT}[{WINDOW}]))", f"sum(rate({REQUEST_COUNT}[{WINDOW}]))"),
                "service",
            ),
            Query(
                _ratio(
                    _by_role(f"rate({FAILED_REQUEST_COUNT}[{WINDOW}])"),
                    _by_role(f"rate({REQUEST_COUNT}[{WINDOW}])"),
                ),
                "{{role}}",
            ),
            Query(
                _ratio(f"sum(rate({TRACED_FAILED_COUNT}[{WINDOW}]))", f"sum(rate({TRACED_COUNT}[{WINDOW}]))"),
                "service, from traces",
            ),
        ],
        unit="percentunit",
        coloured_series=(*ROLES, "service", "service, from traces"),
    ),
    Panel(
        "Latency, 95th percentile",
        "Latency of the service, and by role if its metrics have k8s_pod_name.",
        [
            Query(f"histogram_quantile(0.95, sum by (le) (rate({REQUEST_BUCKETS}[{WINDOW}])))", "service"),
            Query(f"histogram_quantile(0.95, {_by_role(f'rate({REQUEST_BUCKETS}[{WINDOW}])', 'le')})", "{{role}}"),
        ],
        unit="s",
        coloured_series=(*ROLES, "service"),
    ),
    Panel(
        "Requests",
        "Responses per second, by role if the metrics have k8s_pod_name: the measured traffic of the canary.",
        [
            Query(f"sum(rate({REQUEST_COUNT}[{WINDOW}]))", "service"),
            Query(_by_role(f"rate({REQUEST_COUNT}[{WINDOW}])"), "{{role}}"),
        ],
        unit="reqps",
        coloured_series=(*ROLES, "service"),
    ),
    Panel(
        "CPU per pod",
        "Average CPU cores of the pods of each role (cAdvisor metrics joined with argo_rollouts_pod_info).",
        [Query(_average(f"rate(container_cpu_usage_seconds_total{{{CONTAINERS}}}[{WINDOW}])"), "{{role}}")],
        unit="none",
        coloured_series=ROLES,
    ),
    Panel(
        "Memory per pod",
        "Average working set of the pods of each role.",
        [Query(_average(f"container_memory_working_set_bytes{{{CONTAINERS}}}"), "{{role}}")],
        unit="bytes",
        coloured_series=ROLES,
    ),
    Panel(
        "Container restarts",
        "Restarts by role; restarts only in the canary indicate a problem with it.",
        [
            Query(
                f"sum by (role) (increase({RESTARTS}[{WINDOW}]) * {ROLE_OF_POD})",
                "{{role}}",
            )
        ],
        coloured_series=ROLES,
        stacked=True,
    ),
)
