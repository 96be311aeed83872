"""Phases: since when, how often entered, and which changes are only a flicker."""

from __future__ import annotations

import pytest

from exporter.config.settings import Settings
from exporter.rollouts.inference.phases import PhaseLog
from exporter.rollouts.tracker import RolloutTracker
from exporter.service.wiring import rules
from tests.rollouts.told import Told, controller, named

Tick = tuple[float, str, bool]
HOLD_DOWN = 20.0


@pytest.mark.parametrize(
    ("ticks", "phase", "start", "entries"),
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
def test_a_phase_starts_when_it_is_entered_and_a_flicker_enters_nothing(
    ticks: list[Tick], phase: str, start: float, entries: dict[str, int]
) -> None:
    log = PhaseLog("Completed", 0)
    for at, told, moved in ticks:
        log = log.seen(told, at, HOLD_DOWN, moved=moved)
    assert (log.phase, log.start, dict(log.entries)) == (phase, start, entries)


def test_a_phase_without_an_event_counts_once_it_has_lasted_though_nothing_else_changes() -> None:
    watch = RolloutTracker(rules(Settings()))
    entered = []
    for number, phase in enumerate(["Paused", *["Progressing"] * 4], 1):
        cycle = watch.process(number * 15.0, [controller(number * 15.0, Told(phase, (4, 1, 4, 0)))])
        entered.append(named(cycle.families, "argo_rollouts_phase_transitions_total")["Progressing",])
    assert entered == [0, 0, 0, 1, 1]
    assert named(cycle.families, "argo_rollouts_phase_start_timestamp_seconds") == {(): 30.0}


def test_the_phase_itself_is_told_at_once_flicker_or_not() -> None:
    watch = RolloutTracker(rules(Settings()))
    watch.process(15, [controller(15, Told("Paused", (4, 1, 4, 0)))])
    phases = named(
        watch.process(30, [controller(30, Told("Progressing", (4, 1, 4, 0)))]).families, "argo_rollouts_phase"
    )
    assert [phase for (phase,), value in phases.items() if value] == ["Progressing"]
