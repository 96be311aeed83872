"""The fleet: what is under way, what is in trouble, how deliveries go, how the controllers are."""

from __future__ import annotations

from typing import Final

from exporter.rollouts.inference.transitions import UPDATE_RESULTS
from tests.boards.panels import Board, Panel, Query, Row, Variable
from tests.boards.expressions import (
    CLUSTER,
    CLUSTER_LABEL,
    CLUSTERS,
    DEGRADED,
    ERRORS,
    EVERY,
    KEY,
    NAMED,
    PHASE_STATES,
    state,
)

FLEET: Final = f'{CLUSTER},namespace=~"$namespace"'
BUSY: Final = f'max by ({KEY}, phase) (argo_rollouts_phase{{{FLEET},phase!="Completed"}}) == 1'
UPDATED_LATELY: Final = f"max by ({KEY}) (max_over_time(argo_rollouts_update_in_progress{{{FLEET}}}[$__range] @ end()))"
ENDED: Final = "promoted|aborted|rolled_back"

OPEN: Final = (
    "/d/argo-rollouts-rollout?var-datasource=${datasource}&var-cluster_label=${cluster_label}&${cluster:queryparam}"
    "&var-namespace=${__data.fields.namespace}&var-rollout=${__data.fields.name}&${__url_time_range}"
)
TABLE: Final = {
    "fieldConfig": {
        "defaults": {"custom": {"align": "left", "filterable": True}},
        "overrides": [
            {
                "matcher": {"id": "byName", "options": "name"},
                "properties": [{"id": "links", "value": [{"title": "Open this rollout", "url": OPEN}]}],
            },
            {
                "matcher": {"id": "byName", "options": "Canary"},
                "properties": [{"id": "unit", "value": "percentunit"}],
            },
            {
                "matcher": {"id": "byName", "options": "In this phase for"},
                "properties": [{"id": "unit", "value": "s"}],
            },
        ],
    },
    "transformations": [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {"Time": True, "Value #A": True},
                "indexByName": {"namespace": 0, "name": 1, "phase": 2, "Value #B": 3, "Value #C": 4},
                "renameByName": {"Value #B": "Canary", "Value #C": "In this phase for"},
            },
        },
    ],
}


def _number(title: str, description: str, expr: str, *steps: tuple[float | None, str]) -> Panel:
    return Panel(title, description, [Query(expr)], kind="stat", width=4, height=4, steps=steps or ((None, "blue"),))


NOW: Final = (
    _number(
        "Rollouts",
        "Rollouts that a leading controller shows.",
        f'count(max by ({KEY}) (argo_rollouts_phase{{{FLEET},phase="Completed"}}))',
    ),
    _number(
        "Updating",
        "Rollouts whose wanted revision differs from the stable one. Progressing alone does not say that.",
        f"sum(max by ({KEY}) (argo_rollouts_update_in_progress{{{FLEET}}})) or vector(0)",
    ),
    _number(
        "Paused in an update",
        "Waiting: for a time, for a person, or after an analysis that decided nothing.",
        f'count(max by ({KEY}) (argo_rollouts_phase{{{FLEET},phase="Paused"}}) == 1'
        f" and on ({KEY}) max by ({KEY}) (argo_rollouts_update_in_progress{{{FLEET}}}) == 1) or vector(0)",
        (None, "blue"),
    ),
    _number(
        "Degraded",
        "Aborted, timed out, failing or invalid.",
        f"sum(max by ({KEY}) (argo_rollouts_phase{{{FLEET},{DEGRADED}}})) or vector(0)",
        (None, "green"),
        (1, "red"),
    ),
    _number(
        "Not known",
        "Rollouts of which something is not known; the panel at the bottom says what.",
        f"count(max by ({KEY}) (argo_rollouts_unknown{{{FLEET}}}) == 1) or vector(0)",
        (None, "green"),
        (1, "yellow"),
    ),
    _number(
        "Leading controllers",
        "One for each installation of Argo Rollouts; with none, nothing moves and nothing aborts.",
        f"sum(max by ($cluster_label, installation, instance) (argo_rollouts_controller_leader{{{CLUSTER}}}))",
        (None, "red"),
        (1, "green"),
    ),
)
GOING_ON: Final = (
    Panel(
        "Not at rest",
        "Every rollout that is not Completed. Open one by its name.",
        [
            Query(BUSY),
            Query(
                f"max by ({KEY}) (argo_rollouts_canary_fraction{{{FLEET}}}) and on ({KEY}) ({BUSY})",
            ),
            Query(
                f"time() - max by ({KEY}) (argo_rollouts_phase_start_timestamp_seconds{{{FLEET}}})"
                f" and on ({KEY}) ({BUSY})",
            ),
        ],
        kind="table",
        width=10,
        height=9,
        more=TABLE,
    ),
    Panel(
        "Phases of what was updated in this time",
        "Each rollout that had an update under way in the time shown.",
        [
            Query(
                f"{state('argo_rollouts_phase', 'phase', FLEET, PHASE_STATES)} and on ({KEY}) {UPDATED_LATELY} == 1",
                NAMED,
            )
        ],
        kind="state-timeline",
        width=14,
        height=9,
        states=PHASE_STATES,
    ),
    Panel(
        "Canary fraction",
        "Share of traffic on the canary, by the best method known, while an update is under way.",
        [
            Query(
                f"max by ({KEY}) (argo_rollouts_canary_fraction{{{FLEET}}})"
                f" and on ({KEY}) max by ({KEY}) (argo_rollouts_update_in_progress{{{FLEET}}}) == 1",
                NAMED,
            )
        ],
        unit="percentunit",
        width=12,
    ),
    Panel(
        "Pods by role",
        "Pods of all rollouts that are not terminating, as kube-state-metrics shows them.",
        [Query(f"sum by (role) (argo_rollouts_pods{{{FLEET}}})", "{{role}}")],
        width=12,
        words=("stable", "canary", "preview", "old", "experiment", "unknown"),
        stacked=True,
    ),
)
DELIVERIES: Final = (
    Panel(
        "Updates that ended",
        "By how they ended; superseded: a newer revision came before the end.",
        [Query(f"sum by (result) (increase(argo_rollouts_updates_total{{{FLEET}}}[{EVERY}]))", "{{result}}")],
        words=tuple(result.value for result in UPDATE_RESULTS),
        stacked=True,
    ),
    Panel(
        "Promoted",
        "Of the updates that ended by themselves in the time shown, the share that was promoted.",
        [
            Query(
                f'sum(increase(argo_rollouts_updates_total{{{FLEET},result="promoted"}}[$__range]))'
                f' / (sum(increase(argo_rollouts_updates_total{{{FLEET},result=~"{ENDED}"}}[$__range])) > 0)'
            )
        ],
        kind="stat",
        unit="percentunit",
        width=4,
        steps=((None, "red"), (0.8, "yellow"), (0.95, "green")),
    ),
    Panel(
        "Time to promote",
        "How long promoted updates took, of those in the time shown.",
        [
            Query(
                f"histogram_quantile({quantile}, sum by (le) (increase("
                f'argo_rollouts_update_duration_seconds_bucket{{{FLEET},result="promoted"}}[$__range])))',
                name,
            )
            for quantile, name in ((0.5, "median"), (0.95, "95th percentile"))
        ],
        kind="stat",
        unit="s",
        width=4,
        steps=((None, "blue"),),
    ),
    Panel(
        "AnalysisRuns that finished",
        "Error: a metric could not be measured. Counted as they finish; the runs that controllers keep are no news.",
        [Query(f"sum by (phase) (increase(argo_rollouts_analysis_runs_total{{{FLEET}}}[{EVERY}]))", "{{phase}}")],
        words=("Successful", "Failed", "Error", "Inconclusive"),
        stacked=True,
    ),
)
CONTROLLERS: Final = (
    Panel(
        "Errors of the controller",
        "Reconcile errors of the ten worst rollouts. A few at the start of an update are conflicts that it retries.",
        [
            Query(
                f"topk(10, sum by ({KEY}) (rate({{{ERRORS},{FLEET}}}[{EVERY}])) > 0)",
                NAMED,
            )
        ],
        unit="ops",
    ),
    Panel(
        "Time to reconcile",
        "How long the controller takes for one look at a rollout.",
        [
            Query(
                f"histogram_quantile({quantile}, sum by (le) (rate(rollout_reconcile_bucket{{{FLEET}}}[{EVERY}])))",
                name,
            )
            for quantile, name in ((0.5, "median"), (0.99, "99th percentile"))
        ],
        unit="s",
    ),
    Panel(
        "What is not known",
        "Rollouts by what is not known of them: no_leader, not_shown, update, fraction, pods, roles, phase.",
        [Query(f"count by (reason) (argo_rollouts_unknown{{{FLEET}}} == 1)", "{{reason}}")],
    ),
)

BOARD: Final = Board(
    uid="argo-rollouts-fleet",
    title="Argo Rollouts / Fleet",
    description="Every rollout: what is under way, what is in trouble, how deliveries go.",
    variables=(
        CLUSTER_LABEL,
        CLUSTERS,
        Variable(
            "namespace",
            "Namespace",
            "Of the rollouts.",
            label="namespace",
            of=f"argo_rollouts_phase{{{CLUSTER}}}",
            many=True,
            everything=True,
        ),
    ),
    rows=(
        Row("Now", NOW),
        Row("Under way", GOING_ON),
        Row("How deliveries go", DELIVERIES),
        Row("The controllers", CONTROLLERS),
    ),
)
