"""`gate run --plot` draws each value at its time and height, with the lines of the conditions; --every sums up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from exporter.commands.gate.load import GateError, GateSource
from exporter.commands.gate.plot import HEIGHT, WIDTH, PlottedMetric, plot_lines
from exporter.commands.gate.run import run
from tests.gate.gates import gate, run_options
from tests.net.prometheus import api, respond_with, vector

if TYPE_CHECKING:
    from pathlib import Path

EVIDENCE = PlottedMetric("evidence", ((0.0, 0.0), (60.0, 2.0), (120.0, 4.0)), (-4.0,), (4.0,))


def test_points_stand_at_their_time_and_value_between_the_lines() -> None:
    name, *rows, axis, times = plot_lines(EVIDENCE)
    assert (name, len(rows)) == ("evidence", HEIGHT)
    canvas = [row.ljust(11 + WIDTH)[11:] for row in rows]
    assert canvas[0] == "=" * (WIDTH - 1) + "o", "the last value is at the failure line"
    assert set(canvas[-1]) == {"-"}
    assert [(row, line.index("o")) for row, line in enumerate(canvas) if "o" in line] == [(0, 63), (3, 32), (6, 0)]
    assert rows[0].startswith("        4 |")
    assert rows[-1].startswith("       -4 |")
    assert axis.endswith("+" + "-" * WIDTH)
    assert times.split() == ["00:00", "00:02"]


@pytest.mark.parametrize("points", [((5.0, 1.0),), ((5.0, 1.0), (5.0, 1.0))])
def test_one_value_is_drawn(points: tuple[tuple[float, float], ...]) -> None:
    assert sum("o" in line[11:] for line in plot_lines(replace(EVIDENCE, points=points, success=(), failure=()))) == 1


async def test_plot_follows_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conditions: dict[str, Any] = {"successCondition": "result[0] < 0.5", "failureCondition": "result[0] >= 1"}
    async with api(respond_with(vector(({}, 0.25)))) as served:
        file = gate(tmp_path, served.address, "up", interval="1m", count=3, **conditions)
        await run(GateSource(file), run_options(start=0.0, plot=True))
        plain = capsys.readouterr().out
        await run(GateSource(file), run_options(start=0.0, end=600.0, step=300.0))
        several = capsys.readouterr().out.splitlines()
        with pytest.raises(GateError, match="leave out --json, --until and --every"):
            await run(GateSource(file), run_options(start=0.0, plot=True, as_json=True))
    assert "\nm\n" in plain
    assert "        1 |" + "=" * WIDTH in plain
    assert several[-1] == "3 runs: 3 Successful (median 2.0 min)"
