"""Draws the evidence of three canaries over time, from runs of the gate: `python -m tests.gate.picture`.

The runs are real: a VictoriaMetrics holds a simulated service, and the rendered gate is run on it.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt

from exporter.gate.render.evidence import evidence_query
from exporter.gate.sequential import SequentialTest
from exporter.net.prometheus_api import PrometheusClient, PrometheusEndpoint
from exporter.net.prometheus_response import Matrix, QueryResult
from tests.gate.simulated_service import SimulatedService, SimulatedUpdate, load_victoria_metrics
from tests.gate.test_sequential import answers, resolved
from tests.real_stores import victoria_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

PICTURE: Final = Path(__file__).parents[2] / "charts" / "rollouts-exporter" / "pictures" / "evidence.png"
HOUR: Final = 3600
CANARIES: Final = (
    ("no worse: passes", 1.0, "#2f7d32"),
    ("twice as bad: fails", 2.0, "#c77700"),
    ("5 times as bad: fails", 5.0, "#b3261e"),
)
TEST: Final = SequentialTest()


async def measured() -> list[list[tuple[float, float]]]:
    """Return minutes and evidence of each canary, a look every two minutes until the decision."""
    start = int(time.time()) // HOUR * HOUR - 60 * HOUR
    updates = tuple(
        SimulatedUpdate((9 + 12 * number) * HOUR, (10 + 12 * number) * HOUR, factor, promoted=factor == 1)
        for number, (_, factor, _) in enumerate(CANARIES)
    )
    simulated = SimulatedService(start, 48 * HOUR, updates, requests=20.0, seed=4)
    curves = []
    with tempfile.TemporaryDirectory() as folder:
        async with victoria_metrics(which("victoria-metrics") or "", Path(folder), "-retentionPeriod=1y") as address:
            await load_victoria_metrics(address, simulated)
            for number, update in enumerate(updates, 1):
                query = resolved(evidence_query(answers("metricsql", min_events=1)), f"rev{number}")
                curves.append(await _curve(address, query, start + update.start))
    return curves


async def _curve(address: str, query: str, start: float) -> list[tuple[float, float]]:
    async with PrometheusClient(PrometheusEndpoint(address)) as client:
        result = await client.query_range(query, start + 120, start + HOUR - 60, 120)
    assert isinstance(result, QueryResult)
    assert isinstance(result.value, Matrix)
    points: list[tuple[float, float]] = [(0.0, 0.0)]
    for timestamp, value in result.value.series[0].points:
        points.append(((timestamp - start) / 60, value))
        if not TEST.success < value < TEST.failure:
            break
    return points


def draw(curves: Sequence[Sequence[tuple[float, float]]]) -> None:
    """Write the picture."""
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(9, 4.2), dpi=110)
    for (name, _, colour), points in zip(CANARIES, curves, strict=True):
        minutes, values = zip(*points, strict=True)
        axes.plot(minutes, values, "o-", color=colour, markersize=4, label=name)
    lines: tuple[tuple[float, str, Any], ...] = (
        (TEST.failure, "fails at ln(1/0.01) = 4.605", "bottom"),
        (TEST.success, "passes at ln(0.05) = -2.996", "top"),
    )
    for level, text, alignment in lines:
        axes.axhline(level, color="#444444", linewidth=1, linestyle="--")
        axes.text(30, level, f"{text} ", ha="right", va=alignment, fontsize=9, color="#444444")
    axes.set(xlim=(0, 30), xlabel="minutes since the canary started", ylabel="evidence against the canary")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
    figure.tight_layout()
    figure.savefig(PICTURE)


if __name__ == "__main__":
    draw(asyncio.run(measured()))
