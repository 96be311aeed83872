"""Phases: when they start, how often they are entered, and which changes do not count."""

from __future__ import annotations

import pytest

from exporter.rollouts.inference.phases import observe_phase
from exporter.rollouts.model import PhaseHistory
from exporter.rollouts.tracker import RolloutTracker
from exporter.service.wiring import tracking_policy
from tests.recorded import ARTICLE
from tests.rollouts.pages import PageRollout, controller_page, series_values

Tick = tuple[float, str, bool]
"""Time (seconds), phase, and whether an event explains a change."""
HOLD_DOWN = 20.0


@pytest.mark.parametrize(
    ("ticks", "phase", "started_at", "counts"),
    [
        ([(15, "Completed", False)], "Completed", 0, {}),
        ([(15, "Progressing", True)], "Progressing", 15, {"Progressing": 1}),
        ([(15, "Progressing", False)], "Progressing", 15, {"Progressing": 1}),
        ([(15, "Paused", True), (30, "Progressing", False), (45, "Paused", False)], "Paused", 15, {"Paused": 1}),
        ([(15, "Paused", True), (30, "Progressing", False)], "Progressing", 15, {"Paused": 1}),
        (
            [(15, "Paused", True), (30, "Progressing", False), (45, "Progressing", False), (60, "Progressing", False)],
            "Progressing",
            30,
            {"Paused": 1, "Progressing": 1},
        ),
        (
            [(15, "Paused", True), (30, "Progressing", True), (45, "Paused", True)],
            "Paused",
            45,
            {"Paused": 2, "Progressing": 1},
        ),
        (
            [(15, "Paused", True), (30, "Progressing", False), (45, "Abort", True)],
            "Abort",
            45,
            {"Paused": 1, "Progressing": 1, "Abort": 1},
        ),
        (
            [(15, "Paused", True), (30, "Progressing", False), (45, "Paused", True)],
            "Paused",
            45,
            {"Paused": 2, "Progressing": 1},
        ),
    ],
)
def test_a_phase_starts_when_it_is_entered_and_does_not_count_if_it_ends_within_its_hold_down(
    ticks: list[Tick], phase: str, started_at: float, counts: dict[str, int]
) -> None:
    history = PhaseHistory("Completed", 0)
    for now, phase_on_page, explained in ticks:
        history = observe_phase(history, phase_on_page, now, HOLD_DOWN, explained=explained)
    assert (history.phase, history.started_at, dict(history.transition_counts)) == (phase, started_at, counts)


def test_a_phase_without_an_event_counts_once_it_lasts_even_if_nothing_else_changes() -> None:
    tracker = RolloutTracker(tracking_policy(ARTICLE))
    entries = []
    for number, phase in enumerate(["Paused", *["Progressing"] * 4], 1):
        snapshot = tracker.process(number * 15.0, [controller_page(number * 15.0, PageRollout(phase, (4, 1, 4, 0)))])
        entries.append(series_values(snapshot.families, "argo_rollouts_phase_transitions_total")["Progressing",])
    assert entries == [0, 0, 0, 1, 1]
    assert series_values(snapshot.families, "argo_rollouts_phase_start_timestamp_seconds") == {(): 30.0}


def test_the_phase_is_exported_at_once_even_during_its_hold_down() -> None:
    tracker = RolloutTracker(tracking_policy(ARTICLE))
    tracker.process(15, [controller_page(15, PageRollout("Paused", (4, 1, 4, 0)))])
    phases = series_values(
        tracker.process(30, [controller_page(30, PageRollout("Progressing", (4, 1, 4, 0)))]).families,
        "argo_rollouts_phase",
    )
    assert [phase for (phase,), value in phases.items() if value] == ["Progressing"]
