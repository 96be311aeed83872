"""`python -m tests.pictures [fleet] [rollout] [exporter]` draws the dashboards into charts/rollouts-exporter/pictures.

Fleet and rollout are drawn of recordings, played slower than they were recorded; the exporter's own
health of a minute and a half of a real run, with an outage in its middle. Prometheus answers every query.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.boards.synthetic_metrics import beside
from tests.boards.live_exporter import scraped
from tests.boards.queries import CHART, boards
from tests.boards.loaded_stores import prometheus_with
from tests.timeline import INTERVAL, Playback, play_recording
from tests.pictures.query_results import Scene, marks, panels
from tests.pictures.drawing import picture
from tests.real_stores import free_port, victoria_metrics
from tests.recorded import Recordings, unpack

if TYPE_CHECKING:
    from tests.boards.loaded_stores import Store

FOLDER: Final = CHART / "pictures"
FLEET: Final = {
    "eu-1": Playback("abort", slowdown=15),
    "us-1": Playback("analysis", slowdown=15),
    "us-2": Playback("bad-image", slowdown=15),
    "ap-1": Playback("basic-canary", slowdown=15),
    "ap-2": Playback("bluegreen", slowdown=15),
    "ap-3": Playback("rollback", "plain", slowdown=15),
    "ap-4": Playback("leader-failover", slowdown=8, lead_out=600),
}
"""What each cluster of the fleet goes through."""
OUTAGE: Final = (30, 30, 30)
"""Seconds with a store that takes what is pushed, without, and with it again."""


def program(name: str) -> str:
    """Find a program."""
    return shutil.which(name) or sys.exit(f"{name} is not installed")


async def recorded(folder: Path, wanted: set[str]) -> None:
    """Draw what recordings show."""
    recordings = Recordings(unpack(folder / "recordings"))
    films = {cluster: beside(play_recording(recordings, play)) for cluster, play in FLEET.items()}
    start = max(one.start for one in films.values() if one.start < min(played.start for played in films.values()) + 300)
    async with prometheus_with(films, program("prometheus"), program("promtool"), folder) as store:
        spans = {cluster: (one.start, one.start + (len(one.ticks) - 1) * INTERVAL) for cluster, one in films.items()}
        if "fleet" in wanted:
            end = min(end for _, end in spans.values())
            await draw("fleet", store, Scene(start, end, INTERVAL, _values(start, end)))
        if "rollout" in wanted:
            one = {"cluster": "us-1", "namespace": "shop", "rollout": "search", "service": "search"}
            begun, ended = spans["us-1"]
            await draw("rollout", store, Scene(begun, ended, INTERVAL, _values(begun, ended) | one))


def _values(start: float, end: float, rate: str = "1m") -> dict[str, str]:
    return {"__rate_interval": rate, "__range": f"{end - start:.0f}s"}


async def live(folder: Path) -> None:
    """Draw what a running exporter tells of itself."""
    port, store_program = free_port(), program("victoria-metrics")
    recording = unpack(folder / "recordings") / "leader-failover"
    endpoint, queue = f"http://127.0.0.1:{port}/opentelemetry", {"bytes": "2MiB", "directory": str(folder / "spool")}
    before, without, after = OUTAGE
    async with scraped(program("prometheus"), folder, recording, endpoint, queue=queue) as store:
        start = time.time()
        async with victoria_metrics(store_program, folder, port=port):
            await asyncio.sleep(before)
        await asyncio.sleep(without)
        async with victoria_metrics(store_program, folder, port=port):
            await asyncio.sleep(after)
            scene = Scene(start, time.time(), 1, _values(start, time.time(), "4s"))
            await draw("exporter", store, scene)


async def draw(name: str, store: Store, scene: Scene) -> None:
    """Draw one dashboard."""
    board = boards()[name]
    drawn = picture(board["title"], await panels(board, store, scene), await marks(board, store, scene), scene)
    (FOLDER / f"{name}.png").write_bytes(drawn)
    print(f"{name}.png: {len(drawn) / 1000:.0f} kB")


async def main() -> None:
    """Draw what is asked for, or all."""
    wanted = set(sys.argv[1:]) or set(boards())
    with tempfile.TemporaryDirectory() as directory:
        if wanted & {"fleet", "rollout"}:
            await recorded(Path(directory), wanted)
    with tempfile.TemporaryDirectory() as directory:
        if "exporter" in wanted:
            await live(Path(directory))


if __name__ == "__main__":
    asyncio.run(main())
