"""`python -m tests.pictures [fleet] [rollout] [exporter]` draws the dashboards into charts/rollouts-exporter/pictures.

Fleet and rollout are drawn from recordings that are played slowly, the exporter dashboard from a real run of 90 seconds
with an outage of the backend in its middle. Prometheus runs every query.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.boards.live_exporter import scraped_exporter
from tests.boards.loaded_stores import prometheus_with
from tests.boards.queries import CHART, dashboards
from tests.boards.synthetic_metrics import with_synthetic_metrics
from tests.pictures.drawing import draw_dashboard
from tests.pictures.query_results import TimeWindow, query_annotations, query_panels
from tests.real_stores import free_port, victoria_metrics
from tests.recorded import Recordings, unpack
from tests.timeline import INTERVAL, Playback, play_recording

if TYPE_CHECKING:
    from tests.boards.loaded_stores import QueryClient

FOLDER: Final = CHART / "pictures"
PLAYBACKS: Final = {
    "eu-1": Playback("abort", slowdown=15),
    "us-1": Playback("analysis", slowdown=15),
    "us-2": Playback("bad-image", slowdown=15),
    "ap-1": Playback("basic-canary", slowdown=15),
    "ap-2": Playback("bluegreen", slowdown=15),
    "ap-3": Playback("rollback", "plain", slowdown=15),
    "ap-4": Playback("leader-failover", slowdown=8, lead_out=600),
}
"""The recording of each cluster."""
OUTAGE: Final = (30, 30, 30)
"""Seconds with a backend, without it, and with it again."""


def require_program(name: str) -> str:
    """Return the path of a program, or exit."""
    return shutil.which(name) or sys.exit(f"{name} is not installed")


async def draw_recorded(folder: Path, selected: set[str]) -> None:
    """Draw the dashboards of recordings."""
    recordings = Recordings(unpack(folder / "recordings"))
    timelines = {
        cluster: with_synthetic_metrics(play_recording(recordings, playback)) for cluster, playback in PLAYBACKS.items()
    }
    start = max(
        variables.start
        for variables in timelines.values()
        if variables.start < min(played.start for played in timelines.values()) + 300
    )
    async with prometheus_with(timelines, require_program("prometheus"), require_program("promtool"), folder) as store:
        spans = {
            cluster: (timeline.start, timeline.start + (len(timeline.ticks) - 1) * INTERVAL)
            for cluster, timeline in timelines.items()
        }
        if "fleet" in selected:
            end = min(end for _, end in spans.values())
            await draw("fleet", store, TimeWindow(start, end, INTERVAL, _variables(start, end)))
        if "rollout" in selected:
            variables = {"cluster": "us-1", "namespace": "shop", "rollout": "search", "service": "search"}
            start, end = spans["us-1"]
            await draw("rollout", store, TimeWindow(start, end, INTERVAL, _variables(start, end) | variables))


def _variables(start: float, end: float, rate: str = "1m") -> dict[str, str]:
    return {"__rate_interval": rate, "__range": f"{end - start:.0f}s"}


async def draw_live(folder: Path) -> None:
    """Draw the dashboard of a running exporter."""
    port, store_program = free_port(), require_program("victoria-metrics")
    recording = unpack(folder / "recordings") / "leader-failover"
    endpoint = f"http://127.0.0.1:{port}/opentelemetry"
    before, without, after = OUTAGE
    async with scraped_exporter(require_program("prometheus"), folder, recording, endpoint, max_bytes="2MiB") as store:
        start = time.time()
        async with victoria_metrics(store_program, folder, port=port):
            await asyncio.sleep(before)
        await asyncio.sleep(without)
        async with victoria_metrics(store_program, folder, port=port):
            await asyncio.sleep(after)
            window = TimeWindow(start, time.time(), 1, _variables(start, time.time(), "4s"))
            await draw("exporter", store, window)


async def draw(name: str, store: QueryClient, window: TimeWindow) -> None:
    """Draw a dashboard to its file."""
    board = dashboards()[name]
    png = draw_dashboard(
        board["title"], await query_panels(board, store, window), await query_annotations(board, store, window), window
    )
    (FOLDER / f"{name}.png").write_bytes(png)
    print(f"{name}.png: {len(png) / 1000:.0f} kB")


async def main() -> None:
    """Draw the selected dashboards, or all."""
    selected = set(sys.argv[1:]) or set(dashboards())
    with tempfile.TemporaryDirectory() as directory:
        if selected & {"fleet", "rollout"}:
            await draw_recorded(Path(directory), selected)
    with tempfile.TemporaryDirectory() as directory:
        if "exporter" in selected:
            await draw_live(Path(directory))


if __name__ == "__main__":
    asyncio.run(main())
