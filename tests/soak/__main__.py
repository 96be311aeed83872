"""`python -m tests.soak --minutes 10 --outages 3 --kills 3`: exit 1 when a point is missing."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from exporter.config.values import seconds
from tests.soak.course import run
from tests.soak.plan import plan
from tests.soak.report import lines, whole


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--outages", type=int, default=3)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--tick", default="500ms", help="interval of every source")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> int:
    """Soak, tell, and return the exit status."""
    told = _arguments()
    tick = float(str(seconds(told.tick)))
    what = plan(60 * told.minutes, told.outages, told.kills, told.seed)
    with tempfile.TemporaryDirectory() as folder:
        course = asyncio.run(run(Path(folder), what, tick, told.seed, lambda line: print(line, flush=True)))
    for line in lines(course, tick):
        print(line)
    return 0 if whole(course) else 1


if __name__ == "__main__":
    sys.exit(main())
