"""The tables of what the exporter costs, made from the figures of one run of `python -m tests.cost`."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.subjects import EXPORTER
from tests.bench.table import best_peer
from tests.bench.workloads import GROWTH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.bench.table import Row

FIGURES: Final = Path(__file__).with_name("measured.json")
_CPU, _MEMORY = "cpu_s_per_cycle", "peak_mb"
_TITLES: Final = {
    "small": "50 rollouts, 500 pods",
    "argo": "10,000 rollouts, only the controller's page",
    "big": "10,000 rollouts, 10,000 pods, 200 MB of kube-state-metrics",
    "reconciled": "10,000 rollouts, all reconciled between two scrapes",
    "events": "10,000 rollouts, all event counters moved",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """`machine` and versions in words, minutes of the run, rows of the benchmark, series by preset (`series_cost`)."""

    machine: str
    programs: dict[str, str]
    minutes: float
    rows: Sequence[Row]
    presets: dict[str, dict[str, float]]

    @property
    def peers(self) -> list[str]:
        """The other programs."""
        return list(dict.fromkeys(row["who"] for row in self.rows if row["who"] != EXPORTER))

    def of(self, work: str, mode: str = "whole") -> list[Row]:
        """Return the rows of a workload and mode, the exporter's first."""
        rows = [row for row in self.rows if (row["work"], row["mode"]) == (work, mode)]
        return sorted(rows, key=lambda row: str(row["who"]) != EXPORTER)

    def exporter(self, work: str, mode: str = "whole") -> Row:
        """Return the exporter's row."""
        return self.of(work, mode)[0]

    def ratio(self, key: str, work: str, mode: str = "whole") -> float:
        """Return the exporter's share of what the best peer needs."""
        peer = best_peer(self.of(work, mode))
        assert peer is not None
        return float(self.exporter(work, mode)[key] / peer[key])


def read_figures() -> Figures:
    """Return the figures of the last run that was written."""
    return Figures(**json.loads(FIGURES.read_text()))


def work_table(figures: Figures) -> str:
    """Return CPU and memory of each workload and program; in brackets the ratio to the best other program."""
    peers = figures.peers
    lines = [
        f"| work | {EXPORTER}, relay | {EXPORTER}, whole | "
        + " | ".join(f"{peer} {figures.programs[peer]}".strip() for peer in peers)
        + " |",
        "|---" * (3 + len(peers)) + "|",
    ]
    for work, title in _TITLES.items():
        cells = [_exporter_cell(figures, work, mode) for mode in ("relay", "whole")]
        by_name = {row["who"]: row for row in figures.of(work)}
        cells += [_usage(by_name[peer]) if peer in by_name else "" for peer in peers]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


_README_HEAD: Final = "CPU of a scrape, peak memory ([all figures](exporter/manual/cost.md))"


def readme_table(figures: Figures) -> str:
    """Return the three rows of the README."""
    peers = " and ".join(figures.peers)
    lines = [f"| {_README_HEAD} | rollouts-exporter | the best of {peers} |", "|---|---|---|"]
    for work in ("small", "argo", "big"):
        peer = best_peer(figures.of(work))
        assert peer is not None
        lines.append(f"| {_TITLES[work]} | {_usage(figures.exporter(work))} | {_usage(peer)} |")
    return "\n".join(lines)


def delivery_table(figures: Figures) -> str:
    """Return what the exporter sends and writes, and how soon."""
    columns: tuple[tuple[str, Callable[[Row], str]], ...] = (
        ("first push", lambda row: f"{row['after_scrape_s']:.1f} s"),
        ("first cycle, CPU", lambda row: f"{row['cold_cpu_s']:.1f} s"),
        ("later cycles, from scrape to last push", lambda row: f"{row['latency_s']:.2f} s"),
        ("points", lambda row: f"{row['points_per_cycle']:,.0f}"),
        ("sent", lambda row: f"{row['sent_kb_per_cycle']:,.0f} kB"),
        ("to disk", lambda row: f"{row['disk_kb_per_cycle']:,.0f} kB"),
        ("loop held, last cycle", lambda row: f"{row['hold_s'] * 1000:.0f} ms"),
    )
    lines = [f"| work | {' | '.join(name for name, _ in columns)} |", "|---" * (1 + len(columns)) + "|"]
    for work in _TITLES:
        cells = [cell(figures.exporter(work)) for _, cell in columns]
        lines.append(f"| {_TITLES[work]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def growth_table(figures: Figures) -> str:
    """Return what more rollouts cost, with the fitted exponents."""
    lines = [
        "| rollouts, pods | CPU of a cycle | peak | points | to disk |",
        "|---|---|---|---|---|",
    ]
    for workload in GROWTH:
        row = figures.exporter(workload.name, "default")
        lines.append(
            f"| {workload.size.rollouts:,}, {workload.size.pods:,} | {row[_CPU]:.2f} s"
            f" | {row[_MEMORY]:,.0f} MB | {row['points_per_cycle']:,.0f} | {row['disk_kb_per_cycle']:,.0f} kB |"
        )
    cpu, memory = (exponent(figures, key) for key in (_CPU, _MEMORY))
    fit = f"Fitted: CPU grows with the power {cpu:.2f} of the number of rollouts, memory with {memory:.2f}."
    return "\n".join((*lines, "", fit))


def exponent(figures: Figures, key: str) -> float:
    """Return the power of the number of rollouts that fits a figure best: the slope of the logarithms."""
    points = [
        (math.log(workload.size.rollouts), math.log(figures.exporter(workload.name, "default")[key]))
        for workload in GROWTH
    ]
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    slope: float = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return slope


def preset_table(figures: Figures) -> str:
    """Return series and points of a rollout by preset."""
    lines = [
        "| `series.preset` | series at rest | in an update | points of a cycle at rest | in an update |",
        "|---|---|---|---|---|",
    ]
    for preset, each in figures.presets.items():
        cells = [f"{each[state]:.0f}, {each[f'{state}, at most']:.0f} at most" for state in ("at rest", "in an update")]
        cells += [f"{each[f'points {state}']:.0f}" for state in ("at rest", "in an update")]
        lines.append(f"| `{preset}` | {' | '.join(cells)} |")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Target:
    """What was promised: `measured` of the figures is at most `limit`, both printed in `form`."""

    name: str
    measured: Callable[[Figures], float]
    limit: float
    form: str = "{:.2f}"

    def is_met(self, figures: Figures) -> bool:
        """Return whether the figure, as it is printed, is within the limit."""
        return float(self.form.format(self.measured(figures)).split()[0]) <= self.limit


def _ratios(work: str, mode: str, cpu: float, memory: float) -> Iterator[Target]:
    yield Target(f"{work}, {mode}: CPU, ratio", lambda figures: figures.ratio(_CPU, work, mode), cpu)
    yield Target(f"{work}, {mode}: memory, ratio", lambda figures: figures.ratio(_MEMORY, work, mode), memory)


def _row_target(name: str, work: str, key: str, limit: float, form: str, mode: str = "whole") -> Target:
    return Target(name, lambda figures: float(figures.exporter(work, mode)[key]), limit, form)


def _preset_target(preset: str, state: str, limit: float) -> Target:
    return Target(
        f"series of a rollout {state}, `{preset}`",
        lambda figures: figures.presets[preset][f"{state}, at most"],
        limit,
        "{:.0f}",
    )


TARGETS: Final = (
    *_ratios("small", "whole", 0.25, 0.55),
    *_ratios("argo", "relay", 0.15, 0.6),
    *_ratios("argo", "whole", 0.4, 0.9),
    *_ratios("big", "relay", 0.08, 0.08),
    *_ratios("big", "whole", 0.15, 0.12),
    Target("reconciled: CPU, ratio to vmagent", lambda figures: figures.ratio(_CPU, "reconciled"), 1.0),
    _row_target("small: peak", "small", _MEMORY, 60, "{:.0f} MB"),
    _row_target("argo: first push after the first scrape", "argo", "after_scrape_s", 2, "{:.1f} s"),
    _row_target("big: CPU of the first cycle", "big", "cold_cpu_s", 8, "{:.1f} s"),
    _row_target("events: CPU of a cycle", "events", _CPU, 2, "{:.1f} s"),
    _row_target("big: the event loop is held, last cycle", "big", "hold_s", 0.05, "{:.2f} s"),
    _row_target(
        "30,000 rollouts, 60,000 pods, one core: CPU of a cycle of 15 s", "30k", _CPU, 15, "{:.1f} s", "default"
    ),
    _row_target("30,000 rollouts, 60,000 pods, one core: peak", "30k", _MEMORY, 1000, "{:.0f} MB", "default"),
    _preset_target("lean", "at rest", 20),
    _preset_target("lean", "in an update", 30),
    _preset_target("standard", "at rest", 45),
)
"""The targets of the project, each for one run on one machine."""


def target_table(figures: Figures) -> str:
    """Return each target with what was measured."""
    lines = ["| target | at most | measured | met |", "|---|---|---|---|"]
    for target in TARGETS:
        cells = (target.form.format(target.limit), target.form.format(target.measured(figures)))
        lines.append(f"| {target.name} | {cells[0]} | {cells[1]} | {'yes' if target.is_met(figures) else '**no**'} |")
    return "\n".join(lines)


_WORK: Final = """\
CPU seconds (user and system) of a scrape cycle, and peak memory. Every program scrapes the same pages, on which one
rollout and one pod are replaced from one scrape to the next. `relay`: families pass through, as in the other programs;
`whole`: with derived series and identity attributes, up to three times as many data points. In brackets: the ratio to
the best other program."""
_GROWTH: Final = """\
With the default settings. Of pods, kube-state-metrics shows only what the exporter reads, as the chart's own does. The
largest runs on one core, on which its first pages take longer than an interval."""


def cost_page(figures: Figures) -> str:
    """Return the measured part of the manual's page of costs."""
    parts = (
        f"One run of `python -m tests.cost`, {figures.minutes:.0f} minutes on {figures.machine}.",
        f"### CPU and memory\n\n{_WORK}",
        work_table(figures),
        "### The first cycle, delivery, disk",
        delivery_table(figures),
        f"### Growth\n\n{_GROWTH}",
        growth_table(figures),
        "### Targets",
        target_table(figures),
    )
    return "\n\n".join(parts)


def _exporter_cell(figures: Figures, work: str, mode: str) -> str:
    rows = figures.of(work, mode)
    if not rows:
        return ""
    if len(rows) == 1:
        return _usage(rows[0])
    cpu, memory = (figures.ratio(key, work, mode) for key in (_CPU, _MEMORY))
    return f"{_cpu(rows[0])} ({cpu:.2f}), {_memory(rows[0])} ({memory:.2f})"


def _usage(row: Row) -> str:
    return f"{_cpu(row)}, {_memory(row)}"


def _cpu(row: Row) -> str:
    return f"{row[_CPU]:.2g} s" if row[_CPU] < 1 else f"{row[_CPU]:.1f} s"


def _memory(row: Row) -> str:
    return f"{row[_MEMORY]:,.0f} MB"
