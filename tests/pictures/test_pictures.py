"""The pictures can be drawn: every panel has data."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final

import pytest
from PIL import Image

from tests.boards.loaded_stores import prometheus_with
from tests.boards.queries import dashboards
from tests.boards.synthetic_metrics import with_synthetic_metrics
from tests.pictures.drawing import draw_dashboard
from tests.pictures.query_results import TimeWindow, query_annotations, query_panels
from tests.timeline import INTERVAL, Playback, play_recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.recorded import Recordings

SECOND_CONFIGURATION: Final = {"Kind of step", "Timed pause ends in", "Routes to the canary"}
"""Panels that need the chart's second configuration of rollout state, which the recording does not have."""


@pytest.mark.slow
async def test_dashboard_is_drawn_with_data_in_every_panel(
    recordings: Recordings, require_program: Callable[[str], str], promtool: str, tmp_path: Path
) -> None:
    board = dashboards()["rollout"]
    timeline = with_synthetic_metrics(play_recording(recordings, Playback("analysis", slowdown=15)))
    end = timeline.start + (len(timeline.ticks) - 1) * INTERVAL
    window = TimeWindow(timeline.start, end, INTERVAL, {"rollout": "search", "service": "search", "__range": "14m"})
    async with prometheus_with({"one": timeline}, require_program("prometheus"), promtool, tmp_path) as store:
        panels = await query_panels(board, store, window)
        png = draw_dashboard(board["title"], panels, await query_annotations(board, store, window), window)
    empty = {data.panel["title"] for data in panels if not data.series and data.panel["type"] != "row"}
    assert empty == SECOND_CONFIGURATION
    with Image.open(BytesIO(png)) as image:
        assert image.width > 1400
        assert image.height > 2000
    assert len(png) < 200_000
