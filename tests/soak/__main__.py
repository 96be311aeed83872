"""`python -m tests.soak --minutes 10 --outages 3 --kills 3`: exit 1 if a point is missing."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from exporter.config.values import parse_duration
from tests.soak.plan import plan
from tests.soak.report import passed, report_lines
from tests.soak.run import run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--outages", type=int, default=3)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--tick", default="500ms", help="interval of every source")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> int:
    """Run a soak, print the report, and return the exit status."""
    arguments = _arguments()
    tick = float(str(parse_duration(arguments.tick)))
    soak_plan = plan(60 * arguments.minutes, arguments.outages, arguments.kills, arguments.seed)
    with tempfile.TemporaryDirectory() as directory:
        soak = asyncio.run(run(Path(directory), soak_plan, tick, arguments.seed, lambda line: print(line, flush=True)))
    for line in report_lines(soak, tick):
        print(line)
    return 0 if passed(soak) else 1


if __name__ == "__main__":
    sys.exit(main())
