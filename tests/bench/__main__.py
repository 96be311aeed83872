"""`python -m tests.bench`: resource usage of the exporter and of every installed peer."""

from __future__ import annotations

import asyncio
import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from tests.bench import micro
from tests.bench.fleet import Size, build_fleet
from tests.bench.pages import ARGO, KUBE, required_points, write_pages
from tests.bench.runner import BenchError, Plan, measure
from tests.bench.subjects import EXPORTER, SUBJECTS, Mode
from tests.bench.table import Row, append_rows, median_rows, tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.subjects import Subject

WORKLOADS: Final[Mapping[str, tuple[Size, float]]] = {
    "small": (Size(50, 500), 15.0),
    "middle": (Size(1_000, 2_000), 15.0),
    "argo": (Size(10_000, 0), 10.0),
    "big": (Size(10_000, 10_000), 10.0),
}
"""Each workload: the fleet on the pages, and the seconds between two scrapes."""


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """The options of the command line, by their names."""

    work: Sequence[str]
    mode: Sequence[Mode]
    subjects: str
    cycles: int
    repeats: int
    interval: float | None
    json: Path | None
    micro: bool


@click.command()
@click.option("--work", type=click.Choice(list(WORKLOADS)), multiple=True, help="Workload, repeatable; default: all.")
@click.option(
    "--mode",
    type=click.Choice(get_args(Mode)),
    multiple=True,
    help="What the exporter does, repeatable; default: both.",
)
@click.option("--who", "subjects", default="", help="Subjects, separated by commas; default: all that are installed.")
@click.option("--cycles", default=10, show_default=True, help="Cycles to measure after the warm-up.")
@click.option("--repeats", default=1, show_default=True, help="Rounds over all subjects; the median is reported.")
@click.option("--interval", type=float, help="Seconds between two scrapes; default: that of the workload.")
@click.option("--json", type=click.Path(dir_okay=False, path_type=Path), help="File to append the rows to.")
@click.option("--micro", is_flag=True, help="Measure parts of the exporter in this process instead.")
def main(**options: Any) -> None:
    """Measure what the exporter and its peers use to scrape and push the same pages."""
    bench_options = BenchOptions(**options)
    click.echo(f"{os.cpu_count()} cores, {platform.platform()}, load {os.getloadavg()[0]:.1f}\n")
    if bench_options.micro:
        for measurement in micro.measure_parts():
            click.echo(measurement)
        return
    subjects = _select_subjects(bench_options.subjects)
    for work in bench_options.work or list(WORKLOADS):
        rows = asyncio.run(_measure_workload(work, bench_options, subjects))
        for table in tables(rows):
            click.echo(table)
        if bench_options.json is not None:
            append_rows(rows, bench_options.json)


def _select_subjects(selected: str) -> list[tuple[Subject, str]]:
    """Return the subjects and their programs; one that is not installed is reported and left out."""
    subjects = {subject.name: subject for subject in SUBJECTS}
    names = selected.split(",") if selected else list(subjects)
    if unknown := [name for name in names if name not in subjects]:
        raise click.BadParameter(f"{', '.join(unknown)}: valid are {', '.join(subjects)}", param_hint="--who")
    programs = [(subjects[name], subjects[name].program()) for name in names]
    for subject, program in programs:
        if program is None:
            click.echo(f"{subject.name} is not installed", err=True)
    return [(subject, program) for subject, program in programs if program is not None]


async def _measure_workload(
    work: str, bench_options: BenchOptions, subjects: Sequence[tuple[Subject, str]]
) -> list[Row]:
    """Measure all subjects in turn, for the number of rounds, and return the medians."""
    size, interval = WORKLOADS[work]
    modes = bench_options.mode or get_args(Mode)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        pages = Path(folder)
        await asyncio.to_thread(write_pages, build_fleet(size), pages)
        served = (ARGO, KUBE) if size.pods else (ARGO,)
        plan = Plan(
            work, pages, served, bench_options.interval or interval, bench_options.cycles, required_points(size)
        )
        for _ in range(bench_options.repeats):
            for subject, program in subjects:
                rows += await _measure_subject(subject, program, plan, modes)
    return median_rows(rows)


async def _measure_subject(subject: Subject, program: str, plan: Plan, modes: Sequence[Mode]) -> list[Row]:
    """Measure the exporter in each mode. A peer has no modes: it is measured once and listed in each."""
    rows: list[Row] = []
    for mode in modes if subject.name == EXPORTER else modes[:1]:
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
            try:
                rows.append(await measure(subject, program, plan, mode, Path(folder)))
            except BenchError as error:
                click.echo(f"{subject.name}: {error}", err=True)
    for row in rows:
        if not row["whole_work"]:
            missing = plan.required_points - row["points_per_cycle"]
            click.echo(f"{subject.name}, {row['mode']}: {missing:,.0f} points a cycle were not sent", err=True)
    return rows if subject.name == EXPORTER else [row | {"mode": mode} for row in rows for mode in modes]


if __name__ == "__main__":
    main()
