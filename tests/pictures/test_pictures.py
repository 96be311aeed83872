"""The pictures can be drawn anew: every panel finds its place and its data."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from tests.boards.synthetic_metrics import beside
from tests.boards.queries import boards
from tests.boards.loaded_stores import prometheus_with
from tests.timeline import INTERVAL, Playback, play_recording
from tests.pictures.query_results import Scene, marks, panels
from tests.pictures.drawing import picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.recorded import Recordings


async def test_a_dashboard_is_drawn_whole_with_data_in_every_panel(
    recordings: Recordings, require_program: Callable[[str], str], promtool: str, tmp_path: Path
) -> None:
    board = boards()["rollout"]
    played = beside(play_recording(recordings, Playback("analysis", slowdown=15)))
    end = played.start + (len(played.ticks) - 1) * INTERVAL
    scene = Scene(played.start, end, INTERVAL, {"rollout": "search", "service": "search", "__range": "14m"})
    async with prometheus_with({"one": played}, require_program("prometheus"), promtool, tmp_path) as store:
        filled = await panels(board, store, scene)
        drawn = picture(board["title"], filled, await marks(board, store, scene), scene)
    assert [one.panel["title"] for one in filled if not one.series and one.panel["type"] != "row"] == []
    with Image.open(BytesIO(drawn)) as image:
        assert image.width > 1400
        assert image.height > 2000
    assert len(drawn) < 200_000
