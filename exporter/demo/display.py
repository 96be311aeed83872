"""Displays a running demo: tables redrawn in place on a terminal, otherwise a line for each change."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from exporter.demo.fake_backend import ReceivedMetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

BAR_WIDTH = 20
FULL, EMPTY = "█", "░"
STYLES = {
    "Completed": "green",
    "Progressing": "cyan",
    "Paused": "yellow",
    "Abort": "bold red",
    "Timeout": "bold red",
    "Error": "bold red",
    "InvalidSpec": "bold red",
    "leader": "green",
    "standby": "blue",
    "up": "green",
    "down": "bold red",
}


@dataclass(frozen=True, slots=True)
class RolloutLine:
    """A rollout as the exporter derives it; `fraction` in [0, 1] or None, by `method`; `pods` by role."""

    namespace: str
    name: str
    phase: str
    fraction: float | None = None
    method: str = ""
    pods: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TargetLine:
    """A target as the exporter scrapes it; `state` is leader, standby, starting, up or down."""

    source: str
    name: str
    state: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DisplayState:
    """Everything on display at one moment; `elapsed` are the seconds since the demo started."""

    elapsed: float
    rollouts: tuple[RolloutLine, ...] = ()
    targets: tuple[TargetLine, ...] = ()
    received: ReceivedMetrics = field(default_factory=ReceivedMetrics)


@contextmanager
def open_display(console: Console) -> Iterator[Callable[[DisplayState], None]]:
    """Yield a function that displays a state on a console."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield lambda state: live.update(render_display(state), refresh=True)
        return
    lines = ChangeLines()

    def show(state: DisplayState) -> None:
        for line in lines.new(state):
            console.print(line, highlight=False, markup=False, soft_wrap=True)

    yield show


def render_display(state: DisplayState) -> Group:
    """Return the tables for a terminal."""
    return Group(_rollout_table(state), _target_table(state), Text(received_line(state.received)))


def bar(fraction: float | None) -> str:
    """Draw a fraction in 20 cells; None is the empty string."""
    if fraction is None:
        return ""
    cells = round(min(max(fraction, 0.0), 1.0) * BAR_WIDTH)
    return FULL * cells + EMPTY * (BAR_WIDTH - cells)


def received_line(received: ReceivedMetrics) -> str:
    """Return what was received as a line."""
    series = f"{len(received.series)} active series, {len(received.stale)} stale"
    rejected = f"{received.rejected.total()} requests rejected"
    return f"received {received.points} points in {received.requests} requests, {series}, {rejected}"


class ChangeLines:
    """Turns display states into lines, one for each rollout or target that has changed since the previous state."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], str] = {}

    def new(self, state: DisplayState) -> list[str]:
        """Return the lines that a state adds."""
        lines = dict([*_rollout_lines(state), *_target_lines(state)])
        changed = [text for key, text in lines.items() if self._lines.get(key) != text]
        self._lines |= lines
        return [f"{state.elapsed:6.1f}s {text}" for text in changed]


def _rollout_lines(state: DisplayState) -> Iterator[tuple[tuple[str, str], str]]:
    for line in state.rollouts:
        fraction = "" if line.fraction is None else f" canary {line.fraction:.2f} ({line.method})"
        text = f"{line.namespace}/{line.name} {line.phase}{fraction} {_pods(line.pods)}".rstrip()
        yield (line.namespace, line.name), text


def _target_lines(state: DisplayState) -> Iterator[tuple[tuple[str, str], str]]:
    for line in state.targets:
        detail = line.detail if line.state == "down" else ""
        yield (line.source, line.name), f"{line.source} {line.name} {line.state} {detail}".rstrip()


def _rollout_table(state: DisplayState) -> Table:
    table = Table("rollout", "phase", "canary", "", "method", "pods", title=f"{state.elapsed:.0f} s", expand=True)
    for line in state.rollouts:
        percent = "" if line.fraction is None else f"{line.fraction:.0%}"
        phase = Text(line.phase, STYLES.get(line.phase, ""))
        name = f"{line.namespace}/{line.name}"
        table.add_row(name, phase, bar(line.fraction), percent, line.method, _pods(line.pods))
    return table


def _target_table(state: DisplayState) -> Table:
    table = Table("source", "target", "state", "", expand=True)
    for line in state.targets:
        table.add_row(line.source, line.name, Text(line.state, STYLES.get(line.state, "")), Text(line.detail))
    return table


def _pods(pods: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {role}" for role, count in pods.items() if count)
