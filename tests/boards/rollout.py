"""Dashboard of one rollout: update, pods, analyses, and metrics of its service by role."""

from __future__ import annotations

from typing import Final

from exporter.rollouts.inference.transitions import UPDATE_RESULTS
from tests.boards.canary import PANELS, ROLES
from tests.boards.expressions import (
    ACTIVITY_STATES,
    CLUSTER,
    CLUSTER_LABEL,
    CLUSTERS,
    DEGRADED,
    ERRORS,
    HEALTH_STATES,
    PHASE_STATES,
    ROLLOUT,
    RUN_STATES,
    VISIBLE,
    WINDOW,
    phase_number,
    state_number,
)
from tests.boards.panels import Annotation, Dashboard, Panel, Query, Row, Variable, label_table, stat

ANALYSIS_RUNS: Final = f'{CLUSTER},namespace=~"$namespace",name=~"$rollout-[a-z0-9]+-[0-9].*"'
"""AnalysisRuns of the rollout: `<rollout>-<hash>-<revision>…`."""


OVERVIEW: Final = (
    Panel(
        "Phase",
        "Phase in the controller's metrics. Completed: no update; Progressing: an update, a scaling or a lost pod.",
        [Query(phase_number(ROLLOUT, "namespace, name"))],
        kind="stat",
        width=4,
        height=4,
        states=PHASE_STATES,
    ),
    stat(
        "Time in phase",
        "Time since the phase was first seen.",
        Query(f"time() - max(argo_rollouts_phase_start_timestamp_seconds{{{ROLLOUT}}})"),
        "s",
    ),
    stat(
        "Canary",
        "Share of traffic on the canary, by the best available method; absent if unknown.",
        Query(f"max(argo_rollouts_canary_fraction{{{ROLLOUT}}})"),
        "percentunit",
        (None, "green"),
        (0.001, "orange"),
    ),
    stat(
        "Step",
        "Index of the current canary step, and number of steps; at the end both are the same. Requires rollout state.",
        (
            Query(f"max(argo_rollouts_canary_step_index{{{ROLLOUT}}})", "step"),
            Query(f"max(argo_rollouts_canary_steps{{{ROLLOUT}}})", "of"),
        ),
        "short",
    ),
    stat(
        "Time paused, by reason",
        "Inconclusive…: until a promotion; CanaryPauseStep: for its duration or until one. Requires rollout state.",
        Query(f"time() - max by (reason) (argo_rollouts_pause_start_timestamp_seconds{{{ROLLOUT}}})", "{{reason}}"),
        "s",
        (None, "yellow"),
    ),
    stat(
        "Last update duration",
        "Duration of the last update with each result.",
        Query(f"max by (result) (argo_rollouts_last_update_duration_seconds{{{ROLLOUT}}})", "{{result}}"),
        "s",
    ),
)
EXPLANATION: Final = (
    Panel(
        "What the update waits for",
        "person: a promotion or a decision; timer: the end of a timed pause; unknown: the sources do not show it.",
        [
            Query(
                state_number("argo_rollouts_update_waiting", "activity", ROLLOUT, ACTIVITY_STATES, "namespace, name"),
                "waits for",
            )
        ],
        kind="state-timeline",
        width=16,
        height=5,
        states=ACTIVITY_STATES,
    ),
    label_table(
        "Last update",
        "Result of the last update; of an abort with its cause and the metric that failed.",
        f"max by (result, cause, analysis_metric) (argo_rollouts_last_update_info{{{ROLLOUT}}}) == 1",
        8,
    ),
    stat(
        "Kind of step",
        "Kind of the current canary step; done: behind the last one. Requires rollout state.",
        Query(f"max by (kind) (argo_rollouts_canary_step_info{{{ROLLOUT}}}) == 1", "{{kind}}"),
        "short",
        text="name",
    ),
    stat(
        "Timed pause ends in",
        "Time until the pause under way ends by itself; absent without a timed pause. Requires rollout state.",
        Query(f"max(argo_rollouts_pause_end_timestamp_seconds{{{ROLLOUT}}}) - time()"),
        "s",
    ),
    stat(
        "Routes to the canary",
        "Header and mirror routes: they reach the canary at weight 0, and are not in the canary fraction.",
        Query(f"max by (kind) (argo_rollouts_canary_routes{{{ROLLOUT}}})", "{{kind}}"),
        "short",
        (None, "orange"),
        text="value_and_name",
    ),
    stat(
        "Canary exposure",
        "Integral of the canary fraction in the selected time range: a minute of all traffic is 60 s.",
        Query(f"sum(increase(argo_rollouts_canary_exposure_seconds_total{{{ROLLOUT}}}[$__range]))"),
        "s",
    ),
    label_table(
        "Versions",
        "Images of the stable and of the new revision, from pods or from the template.",
        f"max by (role, image, tag) (argo_rollouts_version_info{{{ROLLOUT}}}) == 1",
        8,
    ),
)
UPDATE: Final = (
    Panel(
        "Phase and health",
        "Phase of the controller; health is status.phase of the object and requires rollout state.",
        [
            Query(phase_number(ROLLOUT, "namespace, name"), "phase"),
            Query(
                f"100 + {state_number('argo_rollouts_health', 'health', ROLLOUT, HEALTH_STATES, 'namespace, name')}",
                "health",
            ),
        ],
        kind="state-timeline",
        width=24,
        height=5,
        states={**PHASE_STATES, **{100 + number: word for number, word in HEALTH_STATES.items()}},
    ),
    Panel(
        "Canary fraction and its estimates",
        "weight: set by the controller on the traffic router; ready_pods: share of ready pods; pods: from the"
        " controller's gauges; replicas: updated ÷ desired replicas. The thick line is the best available method.",
        [
            Query(f"max by (method) (argo_rollouts_canary_fraction_estimate{{{ROLLOUT}}})", "{{method}}"),
            Query(f"max(argo_rollouts_canary_fraction{{{ROLLOUT}}})", "canary fraction"),
        ],
        unit="percentunit",
        width=12,
        coloured_series=("canary fraction", "weight", "ready_pods", "pods", "replicas"),
        thick_series="canary fraction",
    ),
    Panel(
        "Pods by role",
        "Pods that are not terminating.",
        [Query(f"max by (role) (argo_rollouts_pods{{{ROLLOUT}}})", "{{role}}")],
        width=6,
        coloured_series=ROLES,
        stacked=True,
    ),
    Panel(
        "Ready pods by role",
        "Ready pods; the other pods are not ready yet.",
        [Query(f"max by (role) (argo_rollouts_pods_ready{{{ROLLOUT}}})", "{{role}}")],
        width=6,
        coloured_series=ROLES,
        stacked=True,
    ),
    Panel(
        "Replicas",
        "Replica counts of the controller; old: available + unavailable - updated. Without pods of experiments.",
        [Query(f"max by (state) (argo_rollouts_replicas{{{ROLLOUT}}})", "{{state}}")],
        width=8,
    ),
    Panel(
        "AnalysisRuns",
        "Phase of each AnalysisRun of this rollout (analysis_run_info).",
        [Query(f"{state_number('analysis_run_info', 'phase', ANALYSIS_RUNS, RUN_STATES, 'name')}", "{{name}}")],
        kind="state-timeline",
        width=16,
        states=RUN_STATES,
    ),
)
EVENTS: Final = (
    Panel(
        "Events",
        "Events of the controller by reason (rollout_events_total). With series.preset standard: warnings, and what "
        "happened to the rollout.",
        [
            Query(
                f"sum by (reason) (increase(rollout_events_total{{{ROLLOUT}}}[{WINDOW}])) > 0",
                "{{reason}}",
            )
        ],
        width=12,
        stacked=True,
    ),
    Panel(
        "Completed updates",
        "Updates by result in the selected time range; superseded: replaced by a newer revision before the end.",
        [Query(f"round(sum by (result) (increase(argo_rollouts_updates_total{{{ROLLOUT}}}[$__range])))", "{{result}}")],
        kind="stat",
        width=6,
        coloured_series=tuple(result.value for result in UPDATE_RESULTS),
        steps=((None, "text"),),
    ),
    Panel(
        "Reconcile errors",
        "Reconcile errors of this rollout. A few at the start of an update are retried conflicts.",
        [Query(f"sum(rate({{{ERRORS},{ROLLOUT}}}[{WINDOW}]))", "errors")],
        unit="ops",
        width=6,
    ),
    label_table(
        "Pods",
        "Role, revision and node of each pod.",
        f"max by (pod, role, revision, pod_template_hash, node) (argo_rollouts_pod_info{{{ROLLOUT}}}) == 1",
        24,
        7,
        filterable=True,
    ),
)

BOARD: Final = Dashboard(
    uid="argo-rollouts-rollout",
    title="Argo Rollouts / One rollout",
    description="One rollout: steps of its update, comparison of canary and stable, metrics of its service.",
    variables=(
        CLUSTER_LABEL,
        CLUSTERS,
        Variable(
            "namespace",
            "Namespace",
            "Namespace of the rollout.",
            label="namespace",
            family=f"{VISIBLE}{{{CLUSTER}}}",
        ),
        Variable(
            "rollout",
            "Rollout",
            "Name of the rollout.",
            label="name",
            family=f'{VISIBLE}{{{CLUSTER},namespace=~"$namespace"}}',
        ),
        Variable(
            "service",
            "Service",
            "service_name of its HTTP metrics and traces; default: the name of the rollout.",
            label="name",
            family=f'{VISIBLE}{{{CLUSTER},namespace=~"$namespace",name=~"$rollout"}}',
        ),
    ),
    rows=(
        Row("Now", OVERVIEW),
        Row("Why", EXPLANATION),
        Row("Update", UPDATE),
        Row("Canary and stable", PANELS),
        Row("History", EVENTS),
    ),
    annotations=(
        Annotation(
            "Update started",
            f"changes(argo_rollouts_update_in_progress{{{ROLLOUT}}}[1m]) > 0"
            f" and argo_rollouts_update_in_progress{{{ROLLOUT}}} == 1",
            "Update of {{name}} started",
            "blue",
        ),
        Annotation(
            "Update ended",
            f"increase(argo_rollouts_updates_total{{{ROLLOUT}}}[1m]) > 0",
            "Update of {{name}} {{result}}",
            "green",
        ),
        Annotation(
            "Degraded",
            f"argo_rollouts_phase{{{ROLLOUT},{DEGRADED}}} == 1"
            f" unless argo_rollouts_phase{{{ROLLOUT},{DEGRADED}}} offset 1m == 1",
            "{{name}}: {{phase}}",
            "red",
        ),
    ),
    time_range="now-1h",
)
