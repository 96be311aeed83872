"""Dashboard of all rollouts: updates in progress, problems, results of updates, controllers."""

from __future__ import annotations

from typing import Final

from exporter.rollouts.explain.model import Activity
from exporter.rollouts.inference.transitions import UPDATE_RESULTS
from exporter.rollouts.output.catalogue import PHASE_CODES
from exporter.rollouts.output.namespace_counters import ABORT_CAUSES
from tests.boards.expressions import (
    CLUSTER,
    CLUSTER_LABEL,
    CLUSTERS,
    DEGRADED,
    ERRORS,
    KEY,
    PHASE_STATES,
    ROLLOUT_LEGEND,
    VISIBLE,
    WINDOW,
    phase_number,
)
from tests.boards.panels import Dashboard, Panel, Query, Row, Variable, label_table, stat

ROLLOUTS: Final = f'{CLUSTER},namespace=~"$namespace"'
COMPLETED, PAUSED = (int(PHASE_CODES[phase]) for phase in ("Completed", "Paused"))
DEGRADED_CODES: Final = [int(PHASE_CODES[phase]) for phase in ("Abort", "Timeout", "Error", "InvalidSpec")]
PHASE_CODE: Final = f"max by ({KEY}) (argo_rollouts_phase_code{{{ROLLOUTS}}})"
ACTIVE: Final = (
    f'max by ({KEY}, phase) (argo_rollouts_phase{{{ROLLOUTS},phase!="Completed"}}) == 1'
    f' or on ({KEY}) count_values by ({KEY}) ("phase", {PHASE_CODE} != {COMPLETED})'
)
RECENTLY_UPDATED: Final = (
    f"max by ({KEY}) (max_over_time(argo_rollouts_update_in_progress{{{ROLLOUTS}}}[$__range] @ end()))"
)
FINAL_RESULTS: Final = "promoted|aborted|rolled_back"

ROLLOUT_LINK: Final = (
    "/d/argo-rollouts-rollout?var-datasource=${datasource}&var-cluster_label=${cluster_label}&${cluster:queryparam}"
    "&var-namespace=${__data.fields.namespace}&var-rollout=${__data.fields.name}&${__url_time_range}"
)
PHASE_NAMES: Final = {str(code): {"text": phase} for code, phase in PHASE_STATES.items()}
TABLE: Final = {
    "fieldConfig": {
        "defaults": {"custom": {"align": "left", "filterable": True}},
        "overrides": [
            {
                "matcher": {"id": "byName", "options": "name"},
                "properties": [{"id": "links", "value": [{"title": "Open this rollout", "url": ROLLOUT_LINK}]}],
            },
            {
                "matcher": {"id": "byName", "options": "phase"},
                "properties": [{"id": "mappings", "value": [{"type": "value", "options": PHASE_NAMES}]}],
            },
            {
                "matcher": {"id": "byName", "options": "Canary"},
                "properties": [{"id": "unit", "value": "percentunit"}],
            },
            {
                "matcher": {"id": "byName", "options": "Time in phase"},
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
                "renameByName": {"Value #B": "Canary", "Value #C": "Time in phase"},
            },
        },
    ],
}


OVERVIEW: Final = (
    stat(
        "Rollouts",
        "Rollouts exported by a leading controller.",
        f"count(max by ({KEY}) ({VISIBLE}{{{ROLLOUTS}}}))",
    ),
    stat(
        "Updating",
        "Rollouts whose current revision differs from the stable one. Progressing alone does not mean an update.",
        f"sum(max by ({KEY}) (argo_rollouts_update_in_progress{{{ROLLOUTS}}})) or vector(0)",
    ),
    stat(
        "Paused updates",
        "Paused for a duration, until a promotion, or after an inconclusive analysis.",
        f'count((max by ({KEY}) (argo_rollouts_phase{{{ROLLOUTS},phase="Paused"}}) == 1 or {PHASE_CODE} == {PAUSED})'
        f" and on ({KEY}) max by ({KEY}) (argo_rollouts_update_in_progress{{{ROLLOUTS}}}) == 1) or vector(0)",
        "short",
        (None, "blue"),
    ),
    stat(
        "Degraded",
        "Rollouts in phase Abort, Timeout, Error or InvalidSpec.",
        f"count(max by ({KEY}) (argo_rollouts_phase{{{ROLLOUTS},{DEGRADED}}}) == 1"
        f" or {' or '.join(f'{PHASE_CODE} == {code}' for code in DEGRADED_CODES)}) or vector(0)",
        "short",
        (None, "green"),
        (1, "red"),
    ),
    stat(
        "Unknown state",
        "Rollouts with unknown state; the panel at the bottom shows the reasons.",
        f"count(max by ({KEY}) (argo_rollouts_unknown{{{ROLLOUTS}}}) == 1) or vector(0)",
        "short",
        (None, "green"),
        (1, "yellow"),
    ),
    stat(
        "Leading controllers",
        "One per installation of Argo Rollouts. Without a leader no rollout is reconciled or aborted.",
        f"sum(max by ($cluster_label, installation, instance) (argo_rollouts_controller_leader{{{CLUSTER}}}))",
        "short",
        (None, "red"),
        (1, "green"),
    ),
)
IN_PROGRESS: Final = (
    Panel(
        "Active rollouts",
        "All rollouts that are not Completed. Click a name to open the rollout.",
        [
            Query(ACTIVE),
            Query(
                f"max by ({KEY}) (argo_rollouts_canary_fraction{{{ROLLOUTS}}}) and on ({KEY}) ({ACTIVE})",
            ),
            Query(
                f"time() - max by ({KEY}) (argo_rollouts_phase_start_timestamp_seconds{{{ROLLOUTS}}})"
                f" and on ({KEY}) ({ACTIVE})",
            ),
        ],
        kind="table",
        width=10,
        height=9,
        extra=TABLE,
    ),
    Panel(
        "Phases of updated rollouts",
        "Rollouts with an update in the selected time range.",
        [
            Query(
                f"{phase_number(ROLLOUTS)} and on ({KEY}) {RECENTLY_UPDATED} == 1",
                ROLLOUT_LEGEND,
            )
        ],
        kind="state-timeline",
        width=14,
        height=9,
        states=PHASE_STATES,
    ),
    Panel(
        "Canary fraction",
        "Share of traffic on the canary during an update, by the best available method.",
        [
            Query(
                f"max by ({KEY}) (argo_rollouts_canary_fraction{{{ROLLOUTS}}})"
                f" and on ({KEY}) max by ({KEY}) (argo_rollouts_update_in_progress{{{ROLLOUTS}}}) == 1",
                ROLLOUT_LEGEND,
            )
        ],
        unit="percentunit",
        width=12,
    ),
    Panel(
        "Pods by role",
        "Pods of all rollouts that are not terminating, from kube-state-metrics.",
        [Query(f"sum by (role) (argo_rollouts_pods{{{ROLLOUTS}}})", "{{role}}")],
        width=12,
        coloured_series=("stable", "canary", "preview", "old", "experiment", "unknown"),
        stacked=True,
    ),
)
RESULTS: Final = (
    Panel(
        "Completed updates",
        "Updates by result; superseded: replaced by a newer revision before the end.",
        [Query(f"sum by (result) (increase(argo_rollouts_updates_total{{{ROLLOUTS}}}[{WINDOW}]))", "{{result}}")],
        coloured_series=tuple(result.value for result in UPDATE_RESULTS),
        stacked=True,
    ),
    Panel(
        "Promotion rate",
        "Share of promoted updates among promoted, aborted and rolled back ones in the selected time range.",
        [
            Query(
                f'sum(increase(argo_rollouts_updates_total{{{ROLLOUTS},result="promoted"}}[$__range]))'
                f' / (sum(increase(argo_rollouts_updates_total{{{ROLLOUTS},result=~"{FINAL_RESULTS}"}}[$__range])) > 0)'
            )
        ],
        kind="stat",
        unit="percentunit",
        width=4,
        steps=((None, "red"), (0.8, "yellow"), (0.95, "green")),
    ),
    Panel(
        "Time to promote",
        "Duration of promoted updates in the selected time range.",
        [
            Query(
                f"histogram_quantile({quantile}, sum by (le) (increase("
                f'argo_rollouts_update_duration_seconds_bucket{{{ROLLOUTS},result="promoted"}}[$__range])))',
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
        "Finished AnalysisRuns",
        "AnalysisRuns by phase, counted when they finish. Error: a metric could not be measured.",
        [
            Query(
                f"sum by (phase) (increase(argo_rollouts_analysis_runs_total{{{ROLLOUTS}}}[{WINDOW}]))",
                "{{phase}}",
            )
        ],
        coloured_series=("Successful", "Failed", "Error", "Inconclusive"),
        stacked=True,
    ),
)
FAILED: Final = "aborted|rolled_back"
FAILED_DURATION: Final = f'argo_rollouts_update_duration_seconds_sum{{{ROLLOUTS},result=~"{FAILED}"}}'
DELIVERY: Final = (
    stat(
        "Deployment frequency",
        "Promoted updates a day. With progressive delivery a deployment counts once all traffic is on it.",
        f'sum(increase(argo_rollouts_updates_total{{{ROLLOUTS},result="promoted"}}[$__range])) / ($__range_s / 86400)',
        "short",
        height=5,
    ),
    stat(
        "Change failure rate",
        "Share of updates that were aborted or rolled back. An abort is a failure that the canary contained.",
        f'sum(increase(argo_rollouts_updates_total{{{ROLLOUTS},result=~"{FAILED}"}}[$__range]))'
        f' / (sum(increase(argo_rollouts_updates_total{{{ROLLOUTS},result=~"{FINAL_RESULTS}"}}[$__range])) > 0)',
        "percentunit",
        height=5,
    ),
    stat(
        "Time to restore",
        "From the start of an update that failed to its abort or roll-back, on average: how long some users had it.",
        f"sum(increase({FAILED_DURATION}[$__range]))"
        f" / (sum(increase({FAILED_DURATION.replace('_sum', '_count')}[$__range])) > 0)",
        "s",
        height=5,
    ),
    stat(
        "Lead time",
        "From commit to promotion, on average of each rollout's last promotion. Requires lifecycle.commit_time.",
        f"avg(max by ({KEY}) (argo_rollouts_last_lead_time_seconds{{{ROLLOUTS}}}))",
        "s",
        height=5,
    ),
    stat(
        "Waiting for people",
        "Time of updates that only a person could end: open pauses, inconclusive analyses. Timers are not in it.",
        f'sum(increase(argo_rollouts_update_seconds_total{{{ROLLOUTS},activity="person"}}[$__range]))',
        "s",
        height=5,
    ),
    stat(
        "Exposure of canaries",
        "Integral of the canary fraction over time: a minute of all traffic of one rollout is 60 s.",
        f"sum(increase(argo_rollouts_canary_exposure_seconds_total{{{ROLLOUTS}}}[$__range]))",
        "s",
        height=5,
    ),
    Panel(
        "Where the time of updates goes",
        "Seconds of updates per second, by what they waited for; the sum is the number of updates under way.",
        [
            Query(
                f"sum by (activity) (rate(argo_rollouts_update_seconds_total{{{ROLLOUTS}}}[{WINDOW}]))", "{{activity}}"
            )
        ],
        width=12,
        coloured_series=tuple(Activity),
        stacked=True,
    ),
    Panel(
        "Causes of aborts",
        "Aborted updates by cause. unknown: rollout state is not scraped, or its message has no known words.",
        [Query(f"sum by (cause) (increase(argo_rollouts_aborts_total{{{ROLLOUTS}}}[{WINDOW}]))", "{{cause}}")],
        width=12,
        coloured_series=ABORT_CAUSES,
        stacked=True,
    ),
)
CONTROLLERS: Final = (
    Panel(
        "Reconcile errors",
        "The ten rollouts with the most reconcile errors. A few at the start of an update are retried conflicts.",
        [
            Query(
                f"topk(10, sum by ({KEY}) (rate({{{ERRORS},{ROLLOUTS}}}[{WINDOW}])) > 0)",
                ROLLOUT_LEGEND,
            )
        ],
        unit="ops",
    ),
    Panel(
        "Time to reconcile",
        "Duration of a reconciliation of a rollout by the controller.",
        [
            Query(
                f"histogram_quantile({quantile}, sum by (le) (rate(rollout_reconcile_bucket{{{ROLLOUTS}}}[{WINDOW}])))",
                name,
            )
            for quantile, name in ((0.5, "median"), (0.99, "99th percentile"))
        ],
        unit="s",
    ),
    label_table(
        "Versions of the controllers",
        "One row for each version that a leading controller has.",
        f"count by (version) (argo_rollouts_controller_info{{{CLUSTER}}})",
        6,
    ),
    label_table(
        "Strategies",
        "Strategies and traffic routers that rollouts have.",
        f"count by (strategy, traffic_router) (rollout_info{{{ROLLOUTS}}})",
        6,
    ),
    Panel(
        "Reasons of unknown state",
        "Rollouts by reason: no_leader, not_shown, never_shown, update, fraction, pods, roles, role_label, phase.",
        [Query(f"count by (reason) (argo_rollouts_unknown{{{ROLLOUTS}}} == 1)", "{{reason}}")],
    ),
)

BOARD: Final = Dashboard(
    uid="argo-rollouts-fleet",
    title="Argo Rollouts / All rollouts",
    description="All rollouts: updates in progress, rollouts with problems, results of updates, controllers.",
    variables=(
        CLUSTER_LABEL,
        CLUSTERS,
        Variable(
            "namespace",
            "Namespace",
            "Namespace of the rollouts.",
            label="namespace",
            family=f"{VISIBLE}{{{CLUSTER}}}",
            multiple=True,
            include_all=True,
        ),
    ),
    rows=(
        Row("Now", OVERVIEW),
        Row("Updates in progress", IN_PROGRESS),
        Row("Results of updates", RESULTS),
        Row("Delivery", DELIVERY),
        Row("Controllers", CONTROLLERS),
    ),
)
