from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console

from exporter.demo.display import (
    ChangeLines,
    DisplayState,
    RolloutLine,
    TargetLine,
    bar,
    open_display,
    received_line,
    render_display,
)
from exporter.demo.fake_backend import ReceivedMetrics

CANARY = RolloutLine("shop", "checkout", "Paused", 0.4, "ready_pods", {"stable": 6, "canary": 4, "old": 0})
SETTLED = RolloutLine("shop", "cart", "Completed")
STATE = DisplayState(
    12.3,
    (CANARY, SETTLED),
    (
        TargetLine("argo", "argo-a", "leader", "184 samples"),
        TargetLine("argo", "argo-b", "down", "connection [refused]"),
    ),
    ReceivedMetrics(3, 1200, Counter({400: 1}), {("x", ()): 0.0}, {("y", ()), ("z", ())}),
)


def print_tables(state: DisplayState) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    console.print(render_display(state))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("fraction", "cells"), [(0.0, 0), (0.2, 4), (0.5, 10), (1.0, 20), (1.7, 20), (-0.1, 0), (0.999, 20)]
)
def test_a_bar_is_as_full_as_the_fraction(fraction: float, cells: int) -> None:
    assert bar(fraction) == "█" * cells + "░" * (20 - cells)


def test_no_fraction_has_no_bar() -> None:
    assert bar(None) == ""
    assert "░" not in print_tables(DisplayState(0.0, (SETTLED,)))


def test_the_tables_show_rollouts_targets_and_received_points() -> None:
    text = print_tables(STATE)
    for word in ("shop/checkout", "Paused", "████████░", "40%", "ready_pods", "6 stable, 4 canary", "shop/cart"):
        assert word in text
    for word in ("argo-a", "leader", "argo-b", "down", "connection [refused]", "12 s"):
        assert word in text
    assert received_line(STATE.received) in text
    assert " old" not in text


def test_each_change_is_one_line() -> None:
    lines = ChangeLines()
    assert lines.new(STATE) == [
        "  12.3s shop/checkout Paused canary 0.40 (ready_pods) 6 stable, 4 canary",
        "  12.3s shop/cart Completed",
        "  12.3s argo argo-a leader",
        "  12.3s argo argo-b down connection [refused]",
    ]
    assert lines.new(replace(STATE, elapsed=13.0, received=ReceivedMetrics(points=9999))) == []
    changed = replace(STATE, elapsed=14.0, rollouts=(replace(CANARY, phase="Abort"), SETTLED))
    assert lines.new(changed) == ["  14.0s shop/checkout Abort canary 0.40 (ready_pods) 6 stable, 4 canary"]


def test_output_to_a_file_is_plain_lines() -> None:
    file = io.StringIO()
    with open_display(Console(file=file, width=40)) as show:
        show(STATE)
        show(STATE)
    assert file.getvalue().splitlines() == ChangeLines().new(STATE)


def test_on_a_terminal_the_tables_are_redrawn() -> None:
    file = io.StringIO()
    with open_display(Console(file=file, width=120, force_terminal=True)) as show:
        show(STATE)
        first = file.getvalue()
        show(replace(STATE, elapsed=99.0))
    assert "shop/checkout" in first
    assert "99 s" in file.getvalue()
    assert "\x1b[" in first
