"""Shows the demo as it runs: a live picture on a terminal, a line for each change anywhere else."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

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
    """A rollout as the exporter sees it; `fraction` in [0, 1] or None, told by `method`; `pods` counts them by role."""

    namespace: str
    name: str
    phase: str
    fraction: float | None = None
    method: str = ""
    pods: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TargetLine:
    """A target as the exporter sees it; `state` is leader, standby, up or down, `detail` says more, if need be."""

    source: str
    name: str
    state: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReceivedStats:
    """What has arrived at the stand-in."""

    points: int = 0
    requests: int = 0
    series: int = 0
    stale: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class DisplayState:
    """All that is shown at one moment; `elapsed` is seconds since the demo began."""

    elapsed: float
    rollouts: tuple[RolloutLine, ...] = ()
    targets: tuple[TargetLine, ...] = ()
    received: ReceivedStats = ReceivedStats()


@contextmanager
def open_display(console: Console) -> Iterator[Callable[[DisplayState], None]]:
    """Show pictures on a console until the end: redrawn in place on a terminal, as lines elsewhere."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield lambda picture: live.update(render_display(picture), refresh=True)
        return
    lines = ChangeLines()

    def show(picture: DisplayState) -> None:
        for line in lines.new(picture):
            console.print(line, highlight=False, markup=False, soft_wrap=True)

    yield show


def render_display(picture: DisplayState) -> Group:
    """Draw a picture for a terminal."""
    return Group(_rollout_table(picture), _target_table(picture), Text(received_line(picture.received)))


def bar(fraction: float | None) -> str:
    """Draw a fraction in 20 cells, the empty string where there is none."""
    if fraction is None:
        return ""
    cells = round(min(max(fraction, 0.0), 1.0) * BAR_WIDTH)
    return FULL * cells + EMPTY * (BAR_WIDTH - cells)


def received_line(arrived: ReceivedStats) -> str:
    """Say in a line what has arrived."""
    text = f"arrived: {arrived.points} points in {arrived.requests} requests, {arrived.series} series alive"
    return f"{text}, {arrived.stale} ended, {arrived.rejected} requests refused"


class ChangeLines:
    """Turns pictures into lines, one for each rollout or target whose state has changed since the last picture."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, str], str] = {}

    def new(self, picture: DisplayState) -> list[str]:
        """Return the lines that this picture adds."""
        lines = dict([*_rollout_lines(picture), *_target_lines(picture)])
        changed = [text for key, text in lines.items() if self._shown.get(key) != text]
        self._shown |= lines
        return [f"{picture.elapsed:6.1f}s {text}" for text in changed]


def _rollout_lines(picture: DisplayState) -> Iterator[tuple[tuple[str, str], str]]:
    for one in picture.rollouts:
        fraction = "" if one.fraction is None else f" canary {one.fraction:.2f} ({one.method})"
        text = f"{one.namespace}/{one.name} {one.phase}{fraction} {_pods(one.pods)}".rstrip()
        yield (one.namespace, one.name), text


def _target_lines(picture: DisplayState) -> Iterator[tuple[tuple[str, str], str]]:
    for one in picture.targets:
        detail = one.detail if one.state == "down" else ""
        yield (one.source, one.name), f"{one.source} {one.name} {one.state} {detail}".rstrip()


def _rollout_table(picture: DisplayState) -> Table:
    table = Table("rollout", "phase", "canary", "", "told by", "pods", title=f"{picture.elapsed:.0f} s", expand=True)
    for one in picture.rollouts:
        percent = "" if one.fraction is None else f"{one.fraction:.0%}"
        phase = Text(one.phase, STYLES.get(one.phase, ""))
        table.add_row(f"{one.namespace}/{one.name}", phase, bar(one.fraction), percent, one.method, _pods(one.pods))
    return table


def _target_table(picture: DisplayState) -> Table:
    table = Table("scraped", "target", "state", "", expand=True)
    for one in picture.targets:
        table.add_row(one.source, one.name, Text(one.state, STYLES.get(one.state, "")), Text(one.detail))
    return table


def _pods(pods: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {role}" for role, count in pods.items() if count)
