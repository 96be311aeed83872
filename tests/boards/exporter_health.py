"""The exporter's own health: delivery, queue, targets, loop."""

from __future__ import annotations

from typing import Final

from exporter.otlp.delivery.accounting import DeliveryState
from tests.boards.panels import Board, Panel, Query, Row, Variable
from tests.boards.expressions import CLUSTER, CLUSTER_LABEL, CLUSTERS, EVERY, state, states

OWN: Final = f'{CLUSTER},instance=~"$instance"'
DELIVERY_STATES: Final = states(*(one.value for one in DeliveryState))
TARGET: Final = "$cluster_label, source, installation, instance"
TARGET_NAME: Final = "{{source}} {{instance}}"


def _number(title: str, description: str, expr: str, unit: str, *steps: tuple[float | None, str]) -> Panel:
    return Panel(title, description, [Query(expr)], kind="stat", unit=unit, width=4, height=4, steps=steps)


def _rate(name: str, by: str = "instance") -> str:
    return f"sum by ({by}) (rate(rollouts_exporter_{name}{{{OWN}}}[{EVERY}]))"


NOW: Final = (
    Panel(
        "Delivery",
        "delivering; retrying: nobody answers; holding: the credential or the address is refused, and the queue is"
        " kept; refused: the endpoint turns requests down for good.",
        [Query(state("rollouts_exporter_delivery_state", "state", OWN, DELIVERY_STATES, "instance"), "{{instance}}")],
        kind="stat",
        width=4,
        height=4,
        states=DELIVERY_STATES,
    ),
    _number(
        "From scrape to acknowledgement",
        "Of the last request.",
        f"max(rollouts_exporter_delivery_lag_seconds{{{OWN}}})",
        "s",
        (None, "green"),
        (60, "yellow"),
        (600, "red"),
    ),
    _number(
        "Queue, of its limit",
        "At the limit (otlp.queue.bytes) the oldest is given up.",
        f"max(rollouts_exporter_queue_bytes{{{OWN}}} / rollouts_exporter_queue_limit_bytes{{{OWN}}})",
        "percentunit",
        (None, "green"),
        (0.5, "yellow"),
        (0.8, "red"),
    ),
    _number(
        "Targets that do not answer",
        "Their last answer was none, or not whole.",
        f"count(max by ({TARGET}) (rollouts_exporter_target_up{{{CLUSTER}}}) == 0) or vector(0)",
        "short",
        (None, "green"),
        (1, "red"),
    ),
    _number(
        "Series said",
        "In the last cycle.",
        f"max(rollouts_exporter_series{{{OWN}}})",
        "short",
        (None, "blue"),
    ),
    Panel(
        "Version",
        "Of the exporters that run.",
        [Query(f"max by (version) (rollouts_exporter_build_info{{{OWN}}})", "{{version}}")],
        kind="stat",
        width=4,
        height=4,
        steps=((None, "blue"),),
        more={"options": {"textMode": "name", "reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "none"}},
    ),
)
DELIVERY: Final = (
    Panel(
        "Points",
        "Made = delivered + rejected + dropped + queued, at every moment.",
        [
            Query(f"sum(rate(rollouts_exporter_points_{word}_total{{{OWN}}}[{EVERY}]))", word)
            for word in ("made", "delivered", "rejected", "dropped")
        ],
        unit="ops",
        words=("made", "delivered", "rejected", "dropped"),
    ),
    Panel(
        "Queue",
        "What waits on disk, or in memory, and how much may.",
        [
            Query(f"max by (instance) (rollouts_exporter_queue_bytes{{{OWN}}})", "{{instance}}"),
            Query(f"max(rollouts_exporter_queue_limit_bytes{{{OWN}}})", "limit"),
        ],
        unit="bytes",
        words=("limit",),
    ),
    Panel(
        "Age of the oldest that waits",
        "At otlp.queue.age it is given up.",
        [Query(f"max by (instance) (rollouts_exporter_queue_oldest_age_seconds{{{OWN}}})", "{{instance}}")],
        unit="s",
    ),
    Panel(
        "Delivery",
        "What delivery was doing.",
        [Query(state("rollouts_exporter_delivery_state", "state", OWN, DELIVERY_STATES, "instance"), "{{instance}}")],
        kind="state-timeline",
        states=DELIVERY_STATES,
    ),
    Panel(
        "Requests",
        "By HTTP or gRPC status, or why no answer came.",
        [Query(_rate("requests_total", "code"), "{{code}}"), Query(_rate("requests_retried_total"), "sent again")],
        unit="reqps",
    ),
    Panel(
        "Time of a request",
        "Until the endpoint answered.",
        [
            Query(
                f"histogram_quantile({quantile}, sum by (le) (rate("
                f"rollouts_exporter_request_seconds_bucket{{{OWN}}}[{EVERY}])))",
                name,
            )
            for quantile, name in ((0.5, "median"), (0.99, "99th percentile"))
        ],
        unit="s",
    ),
)
TARGETS: Final = (
    Panel(
        "Targets that answer, and who leads",
        "Each address behind a configured name. A standby's page has no rollouts; that is no fault.",
        [
            Query(f"max by ({TARGET}) (rollouts_exporter_target_up{{{CLUSTER}}})", TARGET_NAME),
            Query(f"10 + max by ({TARGET}) (argo_rollouts_controller_leader{{{CLUSTER}}})", "leads: {{instance}}"),
        ],
        kind="state-timeline",
        width=12,
        states={0: "down", 1: "up", 10: "standby", 11: "leader"},
    ),
    Panel(
        "Age of what is known",
        "Since the target's last whole answer.",
        [Query(f"max by ({TARGET}) (rollouts_exporter_source_age_seconds{{{CLUSTER}}})", TARGET_NAME)],
        unit="s",
        width=12,
    ),
    Panel(
        "Time of a scrape",
        "Of the last answer.",
        [Query(f"max by ({TARGET}) (rollouts_exporter_target_scrape_duration_seconds{{{CLUSTER}}})", TARGET_NAME)],
        unit="s",
    ),
    Panel(
        "Samples of a scrape",
        "Of the families that are wanted.",
        [Query(f"max by ({TARGET}) (rollouts_exporter_target_samples{{{CLUSTER}}})", TARGET_NAME)],
    ),
    Panel(
        "Scrapes",
        "By source and result: ok, or why it failed; and lines that were no exposition text.",
        [
            Query(_rate("scrapes_total", "source, result"), "{{source}} {{result}}"),
            Query(_rate("malformed_lines_total", "source, reason"), "{{source}} {{reason}}"),
        ],
        unit="ops",
    ),
)
LOOP: Final = (
    Panel(
        "A cycle",
        "How long the last cycle took, and the longest time that it held the event loop.",
        [
            Query(f"max by (instance) (rollouts_exporter_cycle_seconds{{{OWN}}})", "cycle {{instance}}"),
            Query(f"max by (instance) (rollouts_exporter_event_loop_longest_hold_seconds{{{OWN}}})", "longest hold"),
        ],
        unit="s",
    ),
    Panel(
        "Cycles",
        "Ended, and skipped since the one before was still under way: then a longer argo.interval is wanted.",
        [Query(_rate("cycles_total"), "ended"), Query(_rate("cycles_skipped_total"), "skipped")],
        unit="ops",
    ),
    Panel(
        "Series",
        "Said in a cycle, and left out since series.limit was reached.",
        [
            Query(f"max by (instance) (rollouts_exporter_series{{{OWN}}})", "said"),
            Query(_rate("series_overflow_total"), "left out a second"),
        ],
    ),
    Panel(
        "CPU",
        "Cores that the process uses; known where it is scraped.",
        [
            Query(
                f"rate(process_cpu_seconds_total[{EVERY}]) and on (instance) rollouts_exporter_build_info{{{OWN}}}",
                "{{instance}}",
            )
        ],
        unit="none",
    ),
    Panel(
        "Memory",
        "Resident memory of the process; known where it is scraped.",
        [
            Query(
                f"process_resident_memory_bytes and on (instance) rollouts_exporter_build_info{{{OWN}}}",
                "{{instance}}",
            )
        ],
        unit="bytes",
    ),
    Panel(
        "Memory on disk, configuration",
        "Writes of what outlives a restart, by result; warnings that `rollouts-exporter check` explains.",
        [
            Query(_rate("memory_writes_total", "result"), "writes a second: {{result}}"),
            Query(f"max by (instance) (rollouts_exporter_config_warnings{{{OWN}}})", "warnings"),
        ],
    ),
)

BOARD: Final = Board(
    uid="argo-rollouts-exporter",
    title="Argo Rollouts / Exporter",
    description="Whether what the other dashboards show arrives: delivery, queue, targets, loop.",
    variables=(
        CLUSTER_LABEL,
        CLUSTERS,
        Variable(
            "instance",
            "Exporter",
            "An exporter process.",
            label="instance",
            of=f"rollouts_exporter_build_info{{{CLUSTER}}}",
            many=True,
            everything=True,
        ),
    ),
    rows=(Row("Now", NOW), Row("Delivery", DELIVERY), Row("Targets", TARGETS), Row("The loop", LOOP)),
)
