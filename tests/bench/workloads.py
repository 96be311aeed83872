"""The workloads: a fleet, the pages on which it is served, and how often; measured for each subject in turn."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.bench.fleet import Size, build_fleet
from tests.bench.pages import ARGO, KUBE, required_points, write_growing_pages, write_pages
from tests.bench.runner import WARM_UPS, BenchError, Plan, measure
from tests.bench.subjects import EXPORTER, PEERS, Mode
from tests.bench.table import median_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.subjects import Subject
    from tests.bench.table import Row

_SPARE_SCRAPES: Final = 4
"""Pages beyond the measured ones: the last cycle is waited for, and a page that is served twice would be a reset."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A fleet on pages that are scraped every `interval` seconds, measured over `cycles` after the warm-up.

    On each page one rollout and one pod are replaced, and all samples of `counters` have grown. `only_required`: pods
    are shown with the families that the exporter reads. `peers` are measured, too; `modes` are those of the exporter.
    """

    name: str
    size: Size
    interval: float
    cycles: int
    peers: tuple[str, ...] = PEERS
    modes: tuple[Mode, ...] = ("relay", "whole")
    counters: str = ""
    only_required: bool = False
    warm_ups: int = WARM_UPS
    one_core: bool = False

    def with_options(self, interval: float | None, cycles: int | None) -> Workload:
        """Return the workload with what the command line changes."""
        return replace(self, interval=interval or self.interval, cycles=cycles or self.cycles)

    def plan(self, folder: Path) -> Plan:
        """Write the pages into a folder; return the plan of the measurement."""
        fleet = build_fleet(self.size)
        if self.counters:
            write_growing_pages(fleet, folder, self.counters, self.warm_ups + self.cycles + _SPARE_SCRAPES)
        else:
            write_pages(fleet, folder, only_required=self.only_required)
        pages = (ARGO, KUBE) if self.size.pods else (ARGO,)
        points = required_points(self.size)
        return Plan(self.name, folder, pages, self.interval, self.cycles, points, self.warm_ups, self.one_core)


def _growth(name: str, rollouts: int, interval: float, cycles: int, **options: Any) -> Workload:
    size = Size(rollouts, 2 * rollouts)
    return Workload(name, size, interval, cycles, (), ("default",), only_required=True, **options)


GROWTH: Final = (
    _growth("1k", 1_000, 3.0, 4),
    _growth("3k", 3_000, 3.0, 4),
    _growth("10k", 10_000, 10.0, 2),
    _growth("30k", 30_000, 15.0, 2, warm_ups=4, one_core=True),  # its first pages take longer than one interval
)
"""Fleets of two pods a rollout, each about three times the one before; the largest on one core."""
WORKLOADS: Final[Mapping[str, Workload]] = {
    workload.name: workload
    for workload in (
        Workload("small", Size(50, 500), 15.0, 2, modes=("whole",)),
        Workload("argo", Size(10_000, 0), 10.0, 2),
        Workload("big", Size(10_000, 10_000), 10.0, 2),
        Workload("reconciled", Size(10_000, 0), 10.0, 2, ("vmagent",), ("whole",), counters="rollout_reconcile"),
        Workload("events", Size(10_000, 0), 8.0, 2, (), ("whole",), counters="rollout_events_total"),
        *GROWTH,
    )
}
"""The workloads by name, for a run of 20 minutes. With peers, intervals are as long as in use: of a shorter one, a
cycle costs Prometheus and vmagent less than half."""


async def measure_workload(
    workload: Workload, modes: Sequence[Mode], subjects: Sequence[tuple[Subject, str]], repeats: int = 1
) -> list[Row]:
    """Measure all subjects in turn, for the number of rounds, and return the medians.

    Without `modes` the exporter is measured in those of the workload.
    """
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        plan = await asyncio.to_thread(workload.plan, Path(folder))
        for _ in range(repeats):
            for subject, program in subjects:
                if subject.name in (EXPORTER, *workload.peers):
                    rows += await _measure_subject(subject, program, plan, modes or workload.modes)
    return median_rows(rows)


async def _measure_subject(subject: Subject, program: str, plan: Plan, modes: Sequence[Mode]) -> list[Row]:
    """Measure the exporter in each mode. A peer has no modes: it is measured once and listed in each."""
    rows: list[Row] = []
    for mode in modes if subject.name == EXPORTER else modes[:1]:
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
            try:
                rows.append(await measure(subject, program, plan, mode, Path(folder)))
            except BenchError as error:
                _report(f"{subject.name}: {error}")
    for row in rows:
        if not row["whole_work"]:
            missing = plan.required_points - row["points_per_cycle"]
            _report(f"{subject.name}, {row['mode']}: {missing:,.0f} points a cycle were not sent")
    return rows if subject.name == EXPORTER else [row | {"mode": mode} for row in rows for mode in modes]


def _report(message: str) -> None:
    print(message, file=sys.stderr)
