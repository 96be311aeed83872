"""`python -m tests.bench`: what the exporter costs, beside every peer that is installed."""

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
from tests.bench.fleet import Size, fleet
from tests.bench.pages import ARGO, KUBE, least, write
from tests.bench.runner import BenchError, Plan, run
from tests.bench.subjects import EXPORTER, SUBJECTS, Mode
from tests.bench.table import Row, keep, median_rows, tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.subjects import Subject

WORKS: Final[Mapping[str, tuple[Size, float]]] = {
    "small": (Size(50, 500), 15.0),
    "middle": (Size(1_000, 2_000), 15.0),
    "argo": (Size(10_000, 0), 10.0),
    "big": (Size(10_000, 10_000), 10.0),
}
"""Each work: the fleet that the pages tell of, and the seconds between two scrapes."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What was asked for on the command line."""

    work: Sequence[str]
    mode: Sequence[Mode]
    who: str
    cycles: int
    repeats: int
    interval: float | None
    json: Path | None
    micro: bool


@click.command()
@click.option("--work", type=click.Choice(list(WORKS)), multiple=True, help="What is scraped; default: all.")
@click.option("--mode", type=click.Choice(get_args(Mode)), multiple=True, help="What the exporter does; default: both.")
@click.option("--who", default="", help="Names, with commas; default: everybody who is installed.")
@click.option("--cycles", default=10, show_default=True, help="Cycles measured, after the warm-ups.")
@click.option("--repeats", default=1, show_default=True, help="Rounds with everybody once; the median counts.")
@click.option("--interval", type=float, help="Seconds between two scrapes; default: the work's.")
@click.option("--json", type=click.Path(dir_okay=False, path_type=Path), help="File to add the rows to.")
@click.option("--micro", is_flag=True, help="Measure parts of the exporter instead, in this process.")
def main(**options: Any) -> None:
    """Measure what the exporter and its peers use for the same pages."""
    ask = Ask(**options)
    click.echo(f"{os.cpu_count()} cores, {platform.platform()}, load {os.getloadavg()[0]:.1f}\n")
    if ask.micro:
        for finding in micro.findings():
            click.echo(finding)
        return
    chosen = _chosen(ask.who)
    for work in ask.work or list(WORKS):
        rows = asyncio.run(_measured(work, ask, chosen))
        for table in tables(rows):
            click.echo(table)
        if ask.json is not None:
            keep(rows, ask.json)


def _chosen(who: str) -> list[tuple[Subject, str]]:
    """Return who is measured, and the program that is; who is not installed is told, and left out."""
    known = {subject.name: subject for subject in SUBJECTS}
    names = who.split(",") if who else list(known)
    if strange := [name for name in names if name not in known]:
        raise click.BadParameter(f"{', '.join(strange)}: known are {', '.join(known)}", param_hint="--who")
    programs = [(known[name], known[name].program()) for name in names]
    for subject, program in programs:
        if program is None:
            click.echo(f"{subject.name} is not installed", err=True)
    return [(subject, program) for subject, program in programs if program is not None]


async def _measured(work: str, ask: Ask, chosen: Sequence[tuple[Subject, str]]) -> list[Row]:
    """Measure everybody in turn, as many rounds as were asked for, and return the medians."""
    size, interval = WORKS[work]
    modes = ask.mode or get_args(Mode)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        pages = Path(folder)
        await asyncio.to_thread(write, fleet(size), pages)
        served = (ARGO, KUBE) if size.pods else (ARGO,)
        plan = Plan(work, pages, served, ask.interval or interval, ask.cycles, least(size))
        for _ in range(ask.repeats):
            for subject, program in chosen:
                rows += await _rows(subject, program, plan, modes)
    return median_rows(rows)


async def _rows(subject: Subject, program: str, plan: Plan, modes: Sequence[Mode]) -> list[Row]:
    """Measure the exporter in each mode; a peer has only one, so it is measured once, and told in each."""
    rows: list[Row] = []
    for mode in modes if subject.name == EXPORTER else modes[:1]:
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
            try:
                rows.append(await run(subject, program, plan, mode, Path(folder)))
            except BenchError as error:
                click.echo(f"{subject.name}: {error}", err=True)
    for row in rows:
        if not row["whole_work"]:
            missing = plan.least - row["points_per_cycle"]
            click.echo(f"{subject.name}, {row['mode']}: {missing:,.0f} points a cycle were not sent", err=True)
    return rows if subject.name == EXPORTER else [row | {"mode": mode} for row in rows for mode in modes]


if __name__ == "__main__":
    main()
