"""Measures what the exporter costs, in one run of 20 minutes on two cores: `python -m tests.cost --write`.

All workloads of `tests.bench`, for the exporter and every installed peer, and the series of a rollout by preset. It
prints the page. With `--write` the figures are kept in `tests/bench/measured.json`, and page and README are made from
them, which `python -m tests.readme --write` does without measuring.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from tests import readme
from tests.bench.report import FIGURES, Figures, cost_page
from tests.bench.subjects import EXPORTER, SUBJECTS
from tests.bench.workloads import WORKLOADS, measure_workload
from tests.series_cost import preset_figures

if TYPE_CHECKING:
    from tests.bench.table import Row


def measure() -> dict[str, Any]:
    """Measure everything; return the figures as `Figures` takes them."""
    started = time.monotonic()
    subjects = [(subject, program) for subject in SUBJECTS if (program := subject.program()) is not None]
    rows: list[Row] = []
    for workload in WORKLOADS.values():
        click.echo(f"{workload.name}, {(time.monotonic() - started) / 60:.1f} minutes, load {os.getloadavg()[0]:.1f}")
        rows += asyncio.run(measure_workload(workload, (), subjects))
    return {
        "machine": f"{os.cpu_count()} cores",
        "programs": {subject.name: version(program) for subject, program in subjects if subject.name != EXPORTER},
        "minutes": (time.monotonic() - started) / 60,
        "rows": rows,
        "presets": preset_figures(),
    }


def version(program: str) -> str:
    """Return the version of a Go program: that of its module, or the one that it prints; "" if neither is there."""
    go = shutil.which("go")
    commands = [[program, "--version"], *([[go, "version", "-m", program]] if go else [])]
    for command in commands:
        output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if match := re.search(r"(?:version |^\tmod\t\S+\t)v?(\d+\.\d+)", output.stdout + output.stderr, re.MULTILINE):
            return match[1]
    return ""


@click.command()
@click.option("--write", is_flag=True, help=f"Write {FIGURES.name}, the page and the README.")
def main(*, write: bool) -> None:
    """Measure, and print or write the figures."""
    figures = measure()
    click.echo(cost_page(Figures(**figures)))
    if write:
        FIGURES.write_text(f"{json.dumps(figures, indent=1)}\n")
        readme.main()


if __name__ == "__main__":
    sys.exit(main())
