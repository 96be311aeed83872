"""One rollout: its update, its pods, its analyses, and its service's own figures, canary beside stable."""

from __future__ import annotations

from typing import Final

from exporter.rollouts.inference.transitions import UPDATE_RESULTS
from tests.boards.canary import ROLES, SERVICES
from tests.boards.panels import Annotation, Board, Panel, Query, Row, Variable
from tests.boards.expressions import (
    CLUSTER,
    CLUSTER_LABEL,
    CLUSTERS,
    DEGRADED,
    ERRORS,
    EVERY,
    HEALTH_STATES,
    ONE,
    PHASE_STATES,
    RUN_STATES,
    state,
)

RUNS: Final = f'{CLUSTER},namespace=~"$namespace",name=~"$rollout-[a-z0-9]+-[0-9].*"'
"""AnalysisRuns of the rollout: `<rollout>-<hash>-<revision>…`."""


def _number(title: str, description: str, query: Query, unit: str, *steps: tuple[float | None, str]) -> Panel:
    shown = steps or ((None, "blue"),)
    return Panel(title, description, [query], kind="stat", unit=unit, width=4, height=4, steps=shown)


NOW: Final = (
    Panel(
        "Phase",
        "As the controller sees it: Completed is at rest; Progressing may be an update, a scaling or a lost pod.",
        [Query(state("argo_rollouts_phase", "phase", ONE, PHASE_STATES, "namespace, name"))],
        kind="stat",
        width=4,
        height=4,
        states=PHASE_STATES,
    ),
    _number(
        "In this phase for",
        "Since the phase was first seen.",
        Query(f"time() - max(argo_rollouts_phase_start_timestamp_seconds{{{ONE}}})"),
        "s",
    ),
    _number(
        "Canary",
        "Share of traffic on the canary, by the best method known; nothing while it is unknown.",
        Query(f"max(argo_rollouts_canary_fraction{{{ONE}}})"),
        "percentunit",
        (None, "green"),
        (0.001, "orange"),
    ),
    _number(
        "Step",
        "Index of the present canary step; with rollout state only.",
        Query(f"max(argo_rollouts_canary_step_index{{{ONE}}})"),
        "short",
    ),
    _number(
        "Paused for, and why",
        "Inconclusive… waits for a person, CanaryPauseStep for its time or a person; with rollout state only.",
        Query(f"time() - max by (reason) (argo_rollouts_pause_start_timestamp_seconds{{{ONE}}})", "{{reason}}"),
        "s",
        (None, "yellow"),
    ),
    _number(
        "Last updates took",
        "How long the last update took that ended so.",
        Query(f"max by (result) (argo_rollouts_last_update_duration_seconds{{{ONE}}})", "{{result}}"),
        "s",
    ),
)
UPDATE: Final = (
    Panel(
        "Phase and health",
        "The controller's phase; health is the object's own status.phase, with rollout state only.",
        [
            Query(state("argo_rollouts_phase", "phase", ONE, PHASE_STATES, "namespace, name"), "phase"),
            Query(f"100 + {state('argo_rollouts_health', 'health', ONE, HEALTH_STATES, 'namespace, name')}", "health"),
        ],
        kind="state-timeline",
        width=24,
        height=5,
        states={**PHASE_STATES, **{100 + number: word for number, word in HEALTH_STATES.items()}},
    ),
    Panel(
        "Canary fraction and its estimates",
        "weight: what the controller set on the router; ready_pods: ready canary pods of all ready ones; pods: the"
        " controller's own gauges; replicas: updated of desired. The thick line is the best of them.",
        [
            Query(f"max by (method) (argo_rollouts_canary_fraction_estimate{{{ONE}}})", "{{method}}"),
            Query(f"max(argo_rollouts_canary_fraction{{{ONE}}})", "canary fraction"),
        ],
        unit="percentunit",
        width=12,
        words=("canary fraction", "weight", "ready_pods", "pods", "replicas"),
        thick="canary fraction",
    ),
    Panel(
        "Pods by role",
        "Pods that are not terminating.",
        [Query(f"max by (role) (argo_rollouts_pods{{{ONE}}})", "{{role}}")],
        width=6,
        words=ROLES,
        stacked=True,
    ),
    Panel(
        "Ready pods by role",
        "Beside all pods: what is missing here has not come up.",
        [Query(f"max by (role) (argo_rollouts_pods_ready{{{ONE}}})", "{{role}}")],
        width=6,
        words=ROLES,
        stacked=True,
    ),
    Panel(
        "Replicas, as the controller counts them",
        "old: available + unavailable - updated. Pods of experiments are in none of them.",
        [Query(f"max by (state) (argo_rollouts_replicas{{{ONE}}})", "{{state}}")],
        width=8,
    ),
    Panel(
        "Analysis runs",
        "Each AnalysisRun of this rollout by its phase, as the controller shows it (analysis_run_info).",
        [Query(f"{state('analysis_run_info', 'phase', RUNS, RUN_STATES, 'name')}", "{{name}}")],
        kind="state-timeline",
        width=16,
        states=RUN_STATES,
    ),
)
EVENTS: Final = (
    Panel(
        "Events",
        "What the controller counted (rollout_events_total), by reason.",
        [
            Query(
                f"sum by (reason) (increase(rollout_events_total{{{ONE}}}[{EVERY}])) > 0",
                "{{reason}}",
            )
        ],
        width=12,
        stacked=True,
    ),
    Panel(
        "Updates that ended",
        "Since the time shown began; superseded: a newer revision came before the end.",
        [Query(f"round(sum by (result) (increase(argo_rollouts_updates_total{{{ONE}}}[$__range])))", "{{result}}")],
        kind="stat",
        width=6,
        words=tuple(result.value for result in UPDATE_RESULTS),
        steps=((None, "text"),),
    ),
    Panel(
        "Errors of the controller",
        "Reconcile errors of this rollout. A few at the start of an update are conflicts that it retries.",
        [Query(f"sum(rate({{{ERRORS},{ONE}}}[{EVERY}]))", "errors")],
        unit="ops",
        width=6,
    ),
    Panel(
        "Pods",
        "Each pod, with its role, revision and node.",
        [
            Query(
                f"max by (pod, role, revision, pod_template_hash, node) (argo_rollouts_pod_info{{{ONE}}}) == 1",
            )
        ],
        kind="table",
        width=24,
        height=7,
        more={
            "fieldConfig": {"defaults": {"custom": {"align": "left", "filterable": True}}, "overrides": []},
            "transformations": [
                {"id": "organize", "options": {"excludeByName": {"Time": True, "Value": True}, "renameByName": {}}}
            ],
        },
    ),
)

BOARD: Final = Board(
    uid="argo-rollouts-rollout",
    title="Argo Rollouts / One rollout",
    description="One rollout: its update step by step, canary beside stable, and its service's own figures.",
    variables=(
        CLUSTER_LABEL,
        CLUSTERS,
        Variable(
            "namespace",
            "Namespace",
            "Of the rollout.",
            label="namespace",
            of=f"argo_rollouts_phase{{{CLUSTER}}}",
        ),
        Variable(
            "rollout",
            "Rollout",
            "Its name.",
            label="name",
            of=f'argo_rollouts_phase{{{CLUSTER},namespace=~"$namespace"}}',
        ),
        Variable(
            "service",
            "Service",
            "The rollout's name, unless you write another: service_name of its HTTP metrics and traces.",
            label="name",
            of=f'argo_rollouts_phase{{{CLUSTER},namespace=~"$namespace",name=~"$rollout"}}',
        ),
    ),
    rows=(
        Row("Now", NOW),
        Row("The update", UPDATE),
        Row("Canary beside stable", SERVICES),
        Row("What happened", EVENTS),
    ),
    annotations=(
        Annotation(
            "Update started",
            f"changes(argo_rollouts_update_in_progress{{{ONE}}}[1m]) > 0"
            f" and argo_rollouts_update_in_progress{{{ONE}}} == 1",
            "Update of {{name}} started",
            "blue",
        ),
        Annotation(
            "Update ended",
            f"increase(argo_rollouts_updates_total{{{ONE}}}[1m]) > 0",
            "Update of {{name}} {{result}}",
            "green",
        ),
        Annotation(
            "Trouble",
            f"increase(argo_rollouts_phase_transitions_total{{{ONE},{DEGRADED}}}[1m]) > 0",
            "{{name}}: {{phase}}",
            "red",
        ),
    ),
    span="now-1h",
)
