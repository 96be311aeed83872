"""Dashboard of the exporter: delivery, queue, targets, event loop."""

from __future__ import annotations

from typing import Final

from exporter.otlp.delivery.accounting import DeliveryState
from tests.boards.expressions import CLUSTER, CLUSTER_LABEL, CLUSTERS, WINDOW, number_states, state_number
from tests.boards.panels import Dashboard, Panel, Query, Row, Variable, stat

EXPORTER: Final = f'{CLUSTER},instance=~"$instance"'
DELIVERY_STATES: Final = number_states(*(state.value for state in DeliveryState))
TARGET_LABELS: Final = "$cluster_label, source, installation, instance"
TARGET_LEGEND: Final = "{{source}} {{instance}}"


def _rate(name: str, by: str = "instance") -> str:
    return f"sum by ({by}) (rate(rollouts_exporter_{name}{{{EXPORTER}}}[{WINDOW}]))"


OVERVIEW: Final = (
    Panel(
        "Delivery",
        "delivering; retrying: the endpoint does not respond; holding: credential or address is rejected, and the queue"
        " is held; refused: the endpoint rejects requests permanently.",
        [
            Query(
                state_number("rollouts_exporter_delivery_state", "state", EXPORTER, DELIVERY_STATES, "instance"),
                "{{instance}}",
            )
        ],
        kind="stat",
        width=4,
        height=4,
        states=DELIVERY_STATES,
    ),
    stat(
        "Delivery lag",
        "Time from scrape to acknowledgement of the last request.",
        f"max(rollouts_exporter_delivery_lag_seconds{{{EXPORTER}}})",
        "s",
        (None, "green"),
        (60, "yellow"),
        (600, "red"),
    ),
    stat(
        "Queue usage",
        "Share of storage.max_bytes; at the limit the oldest requests are dropped.",
        f"max(rollouts_exporter_queue_bytes{{{EXPORTER}}} / rollouts_exporter_queue_limit_bytes{{{EXPORTER}}})",
        "percentunit",
        (None, "green"),
        (0.5, "yellow"),
        (0.8, "red"),
    ),
    stat(
        "Targets down",
        "Targets whose last scrape failed.",
        f"count(max by ({TARGET_LABELS}) (rollouts_exporter_target_up{{{CLUSTER}}}) == 0) or vector(0)",
        "short",
        (None, "green"),
        (1, "red"),
    ),
    stat(
        "Exported series",
        "Series exported in the last cycle.",
        f"max(rollouts_exporter_series{{{EXPORTER}}})",
        "short",
        (None, "blue"),
    ),
    Panel(
        "Version",
        "Versions of the running exporters.",
        [Query(f"max by (version) (rollouts_exporter_build_info{{{EXPORTER}}})", "{{version}}")],
        kind="stat",
        width=4,
        height=4,
        steps=((None, "blue"),),
        extra={"options": {"textMode": "name", "reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "none"}},
    ),
)
DELIVERY: Final = (
    Panel(
        "Data points",
        "Data points per second. made = delivered + rejected + dropped + queued at any time.",
        [
            Query(f"sum(rate(rollouts_exporter_points_{word}_total{{{EXPORTER}}}[{WINDOW}]))", word)
            for word in ("made", "delivered", "rejected", "dropped")
        ],
        unit="ops",
        coloured_series=("made", "delivered", "rejected", "dropped"),
    ),
    Panel(
        "Queue",
        "Size of the queue on disk or in memory, and its limit.",
        [
            Query(f"max by (instance) (rollouts_exporter_queue_bytes{{{EXPORTER}}})", "{{instance}}"),
            Query(f"max(rollouts_exporter_queue_limit_bytes{{{EXPORTER}}})", "limit"),
        ],
        unit="bytes",
        coloured_series=("limit",),
    ),
    Panel(
        "Age of the oldest request",
        "Requests older than storage.max_age are dropped.",
        [Query(f"max by (instance) (rollouts_exporter_queue_oldest_age_seconds{{{EXPORTER}}})", "{{instance}}")],
        unit="s",
    ),
    Panel(
        "Delivery",
        "State of delivery over time.",
        [
            Query(
                state_number("rollouts_exporter_delivery_state", "state", EXPORTER, DELIVERY_STATES, "instance"),
                "{{instance}}",
            )
        ],
        kind="state-timeline",
        states=DELIVERY_STATES,
    ),
    Panel(
        "Requests",
        "Requests by HTTP or gRPC status, or by the reason of a missing response.",
        [Query(_rate("requests_total", "code"), "{{code}}"), Query(_rate("requests_retried_total"), "retried")],
        unit="reqps",
    ),
    Panel(
        "Request duration",
        "Time until the response of the endpoint.",
        [
            Query(
                f"histogram_quantile({quantile}, sum by (le) (rate("
                f"rollouts_exporter_request_seconds_bucket{{{EXPORTER}}}[{WINDOW}])))",
                name,
            )
            for quantile, name in ((0.5, "median"), (0.99, "99th percentile"))
        ],
        unit="s",
    ),
)
TARGETS: Final = (
    Panel(
        "Target and leader states",
        "Each address of the configured targets. The page of a standby has no rollouts, which is normal.",
        [
            Query(f"max by ({TARGET_LABELS}) (rollouts_exporter_target_up{{{CLUSTER}}})", TARGET_LEGEND),
            Query(
                f"10 + max by ({TARGET_LABELS}) (argo_rollouts_controller_leader{{{CLUSTER}}})", "leader: {{instance}}"
            ),
        ],
        kind="state-timeline",
        width=12,
        states={0: "down", 1: "up", 10: "standby", 11: "leader"},
    ),
    Panel(
        "Age of the last scrape",
        "Time since the last successful scrape of each target.",
        [Query(f"max by ({TARGET_LABELS}) (rollouts_exporter_source_age_seconds{{{CLUSTER}}})", TARGET_LEGEND)],
        unit="s",
        width=12,
    ),
    Panel(
        "Scrape duration",
        "Duration of the last scrape.",
        [
            Query(
                f"max by ({TARGET_LABELS}) (rollouts_exporter_target_scrape_duration_seconds{{{CLUSTER}}})",
                TARGET_LEGEND,
            )
        ],
        unit="s",
    ),
    Panel(
        "Samples per scrape",
        "Samples of the used families.",
        [Query(f"max by ({TARGET_LABELS}) (rollouts_exporter_target_samples{{{CLUSTER}}})", TARGET_LEGEND)],
    ),
    Panel(
        "Scrapes",
        "Scrapes by source and result (ok, or the reason of the failure), and lines that could not be parsed.",
        [
            Query(_rate("scrapes_total", "source, result"), "{{source}} {{result}}"),
            Query(_rate("malformed_lines_total", "source, reason"), "{{source}} {{reason}}"),
        ],
        unit="ops",
    ),
)
EVENT_LOOP: Final = (
    Panel(
        "Cycle duration",
        "Duration of the last cycle, and the longest time that the event loop was blocked.",
        [
            Query(f"max by (instance) (rollouts_exporter_cycle_seconds{{{EXPORTER}}})", "cycle {{instance}}"),
            Query(
                f"max by (instance) (rollouts_exporter_event_loop_longest_hold_seconds{{{EXPORTER}}})", "longest block"
            ),
        ],
        unit="s",
    ),
    Panel(
        "Cycles",
        "Completed cycles, and cycles skipped because the previous one was still running; if so, raise argo.interval.",
        [Query(_rate("cycles_total"), "completed"), Query(_rate("cycles_skipped_total"), "skipped")],
        unit="ops",
    ),
    Panel(
        "Series",
        "Series exported per cycle, and series beyond series.limit.",
        [
            Query(f"max by (instance) (rollouts_exporter_series{{{EXPORTER}}})", "exported"),
            Query(_rate("series_overflow_total"), "beyond the limit, per second"),
        ],
    ),
    Panel(
        "CPU",
        "CPU cores of the process; only if Prometheus scrapes the exporter.",
        [
            Query(
                f"rate(process_cpu_seconds_total[{WINDOW}])"
                f" and on (instance) rollouts_exporter_build_info{{{EXPORTER}}}",
                "{{instance}}",
            )
        ],
        unit="none",
    ),
    Panel(
        "Memory",
        "Resident memory of the process; only if Prometheus scrapes the exporter.",
        [
            Query(
                f"process_resident_memory_bytes and on (instance) rollouts_exporter_build_info{{{EXPORTER}}}",
                "{{instance}}",
            )
        ],
        unit="bytes",
    ),
    Panel(
        "Storage and configuration",
        "Commits by result, 1 while the disk fails, and configuration warnings (see `rollouts-exporter check`).",
        [
            Query(_rate("storage_commits_total", "result"), "commits per second: {{result}}"),
            Query(f"max by (instance) (rollouts_exporter_storage_degraded{{{EXPORTER}}})", "degraded"),
            Query(f"max by (instance) (rollouts_exporter_config_warnings{{{EXPORTER}}})", "warnings"),
        ],
    ),
)

BOARD: Final = Dashboard(
    uid="argo-rollouts-exporter",
    title="Argo Rollouts / Exporter",
    description="Health of the exporter: delivery, queue, targets, event loop.",
    variables=(
        CLUSTER_LABEL,
        CLUSTERS,
        Variable(
            "instance",
            "Exporter",
            "An exporter process.",
            label="instance",
            family=f"rollouts_exporter_build_info{{{CLUSTER}}}",
            multiple=True,
            include_all=True,
        ),
    ),
    rows=(
        Row("Now", OVERVIEW),
        Row("Delivery", DELIVERY),
        Row("Targets", TARGETS),
        Row("Cycles and resources", EVENT_LOOP),
    ),
)
