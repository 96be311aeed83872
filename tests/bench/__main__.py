"""`python -m tests.bench`: resource usage of the exporter and of every installed peer."""

from __future__ import annotations

import asyncio
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from tests.bench import micro
from tests.bench.subjects import SUBJECTS, Mode
from tests.bench.table import append_rows, tables
from tests.bench.workloads import WORKLOADS, measure_workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.subjects import Subject


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """The options of the command line, by their names."""

    work: Sequence[str]
    mode: Sequence[Mode]
    subjects: str
    cycles: int | None
    repeats: int
    interval: float | None
    json: Path | None
    micro: bool


@click.command()
@click.option(
    "--work", type=click.Choice(list(WORKLOADS)), multiple=True, help="Workload, repeatable; default: those with peers."
)
@click.option(
    "--mode",
    type=click.Choice(get_args(Mode)),
    multiple=True,
    help="What the exporter does, repeatable; default: those of the workload.",
)
@click.option("--who", "subjects", default="", help="Subjects, separated by commas; default: all that are installed.")
@click.option("--cycles", type=int, help="Cycles to measure after the warm-up; default: those of the workload.")
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
    for work in bench_options.work or [name for name, workload in WORKLOADS.items() if workload.peers]:
        workload = WORKLOADS[work].with_options(bench_options.interval, bench_options.cycles)
        rows = asyncio.run(measure_workload(workload, bench_options.mode, subjects, bench_options.repeats))
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


if __name__ == "__main__":
    main()
