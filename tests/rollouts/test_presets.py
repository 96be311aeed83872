"""What each `series.preset` exports: how many series a rollout costs, and that dashboards and alerts use them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from exporter.config.pass_through import PRESET_SELECTIONS
from exporter.config.settings import SeriesSection, Settings
from exporter.metrics import Source
from exporter.rollouts.output.catalogue import DERIVED_FAMILIES, PHASE_CODES
from exporter.rollouts.output.pass_through import EVENTS
from exporter.rollouts.output.targets import TARGET_FAMILIES
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.response import ScrapeRequest
from exporter.service.wiring import tracking_policy
from tests.boards.queries import (
    CHART,
    alert_queries,
    alerts,
    annotation_queries,
    panel_queries,
    required_preset,
    rule_queries,
    used_families,
)
from tests.rollouts.pages import PageReplicaSet, PageRollout, controller_page, kube_page, parse_page, series_values
from tests.series_cost import AT_REST, IN_UPDATE, cost, count_series, exported_names

if TYPE_CHECKING:
    from tests.recorded import Recordings

LIMITS: Final = (("lean", AT_REST, 20), ("lean", IN_UPDATE, 30), ("standard", AT_REST, 45), ("standard", IN_UPDATE, 50))
"""Preset, state, and the series that every rollout costs at most."""
ORDER: Final = {preset: number for number, preset in enumerate(("lean", "standard", "full"))}
MANUAL: Final = CHART.parents[1] / "exporter/manual"
PRESETS: Final = tuple(PRESET_SELECTIONS)
REST: Final = PageRollout(events={"RolloutUpdated": 1, "RolloutCompleted": 1}, replicas=(4, 4, 4, 0))
PODS: Final = PageReplicaSet("old", 1, 4)


@pytest.mark.slow
def test_a_rollout_costs_no_more_series_than_its_preset_promises(
    recordings: Recordings, explained_recordings: Recordings
) -> None:
    counted = count_series(source.folder for source in (recordings, explained_recordings))
    for preset, state, limit in LIMITS:
        costs = [cost(preset, series) for row_state, series in counted if row_state == state]
        assert 0.8 * limit < max(costs) <= limit, (preset, state)


# Names


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_exports_its_families_and_no_others(preset: str) -> None:
    tracker = RolloutTracker(tracking_policy(Settings.parse({"series": {"preset": preset}})))
    snapshot = tracker.process(15, [controller_page(15, REST), kube_page(15, PODS)])
    everything = RolloutTracker(tracking_policy(Settings.parse({"series": {"preset": "full"}})))
    full = everything.process(15, [controller_page(15, REST), kube_page(15, PODS)])
    # Series of targets are in each preset.
    names = {family.name for family in full.families}
    assert {family.name for family in snapshot.families} == exported_names(preset, names) | names & set(TARGET_FAMILIES)


def test_explicit_pass_through_wins_over_the_preset_and_drop_over_everything() -> None:
    def passes(**series: object) -> tuple[bool, ...]:
        section = SeriesSection.parse(series)
        return tuple(map(section.passes_through, ("rollout_phase", "rollout_info", "rollout_reconcile_error")))

    assert passes() == (False, True, True)
    assert passes(preset="lean") == (False, False, True)
    assert passes(preset="article") == passes(preset="full") == (True, True, True)
    assert passes(preset="lean", pass_through=["rollout_phase"]) == (True, False, False)
    assert passes(preset="full", pass_through="none") == (False, False, False)
    assert passes(preset="full", drop=["rollout_ph.*"]) == (False, True, True)


def test_dropped_families_are_not_exported_whatever_selects_them() -> None:
    series = {"optional": ["argo_rollouts_replicas"], "drop": ["argo_rollouts_(replicas|phase)", ".*_duration_seconds"]}
    tracker = RolloutTracker(tracking_policy(Settings.parse({"series": series})))
    names = {family.name for family in tracker.process(15, [controller_page(15, REST), kube_page(15, PODS)]).families}
    assert "argo_rollouts_phase_start_timestamp_seconds" in names
    assert not names & {"argo_rollouts_replicas", "argo_rollouts_phase", "argo_rollouts_update_duration_seconds"}


def test_the_phase_code_has_the_number_of_the_catalogue() -> None:
    tracker = RolloutTracker(tracking_policy(Settings(series=SeriesSection(preset="lean"))))
    for number, (phase, code) in enumerate(PHASE_CODES.items(), 1):
        snapshot = tracker.process(15 * number, [controller_page(15 * number, replace(REST, phase=phase))])
        assert series_values(snapshot.families, "argo_rollouts_phase_code") == {(): code}
    assert list(PHASE_CODES.values()) == list(range(1, 9)), "numbers in the stores of users stay"


def event_reasons(**series: object) -> set[str]:
    """Return the reasons of the exported events of a rollout."""
    rollout = replace(REST, events={"RolloutCompleted": 1, "ScalingReplicaSet": 2, "Updated VirtualService": 3})
    labels = f'name="{rollout.name}",namespace="{rollout.namespace}"'
    warning = f'{EVENTS}{{{labels},reason="TrafficRoutingError",type="Warning"}} 4'
    run = f'{EVENTS}{{{labels},reason="AnalysisRunFailed",type="Warning"}} 5'
    page = parse_page(
        ScrapeRequest(Source.ARGO, "a", 15), *rollout.lines(), warning, run, "process_start_time_seconds 1"
    )
    tracker = RolloutTracker(tracking_policy(Settings.parse({"series": series})))
    snapshot = tracker.process(15, [page])
    return {labels[0] for labels in series_values(snapshot.families, EVENTS)}


def test_standard_exports_of_events_warnings_and_what_happened_to_the_rollout() -> None:
    selected = {"RolloutCompleted", "TrafficRoutingError"}
    every = selected | {"ScalingReplicaSet", "Updated VirtualService", "AnalysisRunFailed"}
    assert event_reasons() == event_reasons(pass_through="standard") == selected
    assert event_reasons(preset="article") == event_reasons(preset="full") == every
    assert event_reasons(pass_through=[EVENTS]) == every, "a list selects complete families"
    assert event_reasons(preset="lean") == set()


# Use


def test_every_series_of_the_default_preset_is_used_by_a_panel_an_alert_a_rule_or_a_gate() -> None:
    texts = [str(value) for alert in alerts().values() for value in alert["annotations"].values()]
    gates = [file.read_text() for file in (CHART / "gates").glob("*.yaml")]
    expressions = [e.expr for e in (*panel_queries(), *annotation_queries(), *rule_queries(), *alert_queries())]
    used = {family for expr in expressions for family in used_families(expr)}
    passed = {pattern.pattern for pattern in PRESET_SELECTIONS["standard"].patterns}
    shipped = passed | {row.name for row in DERIVED_FAMILIES if "standard" in row.presets}
    assert {
        name for name in shipped - used if not any(re.search(rf"\b{name}\b", text) for text in texts + gates)
    } == set()


@pytest.mark.parametrize("preset", ["lean", "standard", "full"])
def test_every_alert_works_with_a_preset_or_the_manual_names_it(preset: str) -> None:
    silent = {name for name, rule in alerts().items() if ORDER[required_preset([rule["expr"]])] > ORDER[preset]}
    text = (MANUAL / "cost.md").read_text()
    row = re.search(rf"^\| `{preset}` \|.*$", text.partition("## Alerts")[2], re.MULTILINE)
    assert row
    assert set(re.findall(r"`([A-Z]\w+)`", row[0])) == silent
