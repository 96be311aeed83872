from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from exporter.demo.display import ReceivedStats, ChangeLines, DisplayState, RolloutLine, TargetLine, received_line, bar, render_display, open_display

CANARY = RolloutLine("shop", "checkout", "Paused", 0.4, "ready_pods", {"stable": 6, "canary": 4, "old": 0})
RESTING = RolloutLine("shop", "cart", "Completed")
PICTURE = DisplayState(
    12.3,
    (CANARY, RESTING),
    (
        TargetLine("argo", "argo-a", "leader", "184 samples"),
        TargetLine("argo", "argo-b", "down", "connection [refused]"),
    ),
    ReceivedStats(points=1200, requests=3, series=400, stale=2, rejected=1),
)


def printed(picture: DisplayState) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    console.print(render_display(picture))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("fraction", "cells"), [(0.0, 0), (0.2, 4), (0.5, 10), (1.0, 20), (1.7, 20), (-0.1, 0), (0.999, 20)]
)
def test_a_bar_is_as_full_as_the_fraction(fraction: float, cells: int) -> None:
    assert bar(fraction) == "█" * cells + "░" * (20 - cells)


def test_no_fraction_draws_no_bar() -> None:
    assert bar(None) == ""
    assert "░" not in printed(DisplayState(0.0, (RESTING,)))


def test_the_picture_shows_rollouts_targets_and_what_arrived() -> None:
    text = printed(PICTURE)
    for word in ("shop/checkout", "Paused", "████████░", "40%", "ready_pods", "6 stable, 4 canary", "shop/cart"):
        assert word in text
    for word in ("argo-a", "leader", "argo-b", "down", "connection [refused]", "12 s"):
        assert word in text
    assert received_line(PICTURE.received) in text
    assert " old" not in text


def test_a_line_is_said_once_for_each_change() -> None:
    lines = ChangeLines()
    assert lines.new(PICTURE) == [
        "  12.3s shop/checkout Paused canary 0.40 (ready_pods) 6 stable, 4 canary",
        "  12.3s shop/cart Completed",
        "  12.3s argo argo-a leader",
        "  12.3s argo argo-b down connection [refused]",
    ]
    assert lines.new(replace(PICTURE, elapsed=13.0, received=ReceivedStats(points=9999))) == []
    moved = replace(PICTURE, elapsed=14.0, rollouts=(replace(CANARY, phase="Abort"), RESTING))
    assert lines.new(moved) == ["  14.0s shop/checkout Abort canary 0.40 (ready_pods) 6 stable, 4 canary"]


def test_output_that_is_no_terminal_gets_plain_lines() -> None:
    file = io.StringIO()
    with open_display(Console(file=file, width=40)) as show:
        show(PICTURE)
        show(PICTURE)
    assert file.getvalue().splitlines() == ChangeLines().new(PICTURE)


def test_a_terminal_gets_a_picture_that_is_redrawn() -> None:
    file = io.StringIO()
    with open_display(Console(file=file, width=120, force_terminal=True)) as show:
        show(PICTURE)
        first = file.getvalue()
        show(replace(PICTURE, elapsed=99.0))
    assert "shop/checkout" in first
    assert "99 s" in file.getvalue()
    assert "\x1b[" in first
