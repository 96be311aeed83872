"""The tables of costs: what is computed from the figures of a run, and that the run measured everything."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.bench.report import TARGETS, Figures, exponent, growth_table, read_figures, target_table, work_table
from tests.bench.subjects import EXPORTER
from tests.bench.workloads import GROWTH, WORKLOADS

FIGURES = read_figures()


def with_row(figures: Figures, work: str, mode: str, **changes: float) -> Figures:
    rows = [
        row | changes if (row["work"], row["mode"], row["who"]) == (work, mode, EXPORTER) else row
        for row in figures.rows
    ]
    return replace(figures, rows=rows)


def test_the_run_measured_every_workload_in_each_mode_and_nothing_went_wrong() -> None:
    expected = {(workload.name, mode) for workload in WORKLOADS.values() for mode in workload.modes}
    rows = {(row["work"], row["mode"]): row for row in FIGURES.rows if row["who"] == EXPORTER}
    assert rows.keys() == expected
    assert all(row["whole_work"] and not row["dropped"] for row in rows.values())
    # The first pages of the largest take longer than the timeout on its one core.
    assert not [name for (name, _), row in rows.items() if name != GROWTH[-1].name and row["failed_scrapes"]]


def test_the_run_took_at_most_twenty_minutes() -> None:
    assert FIGURES.minutes <= 20


def test_ratios_are_to_the_best_peer() -> None:
    rows = [row for row in FIGURES.rows if (row["work"], row["mode"]) == ("argo", "relay")]
    best = min(row["cpu_s_per_cycle"] for row in rows if row["who"] != EXPORTER)
    figures = with_row(FIGURES, "argo", "relay", cpu_s_per_cycle=best / 4)
    assert figures.ratio("cpu_s_per_cycle", "argo", "relay") == pytest.approx(0.25)
    assert "(0.25)" in work_table(figures)


def test_the_exponent_is_1_if_the_cost_is_proportional_and_0_if_it_is_constant() -> None:
    figures = FIGURES
    for workload in GROWTH:
        cost = workload.size.rollouts / 1000
        figures = with_row(figures, workload.name, "default", cpu_s_per_cycle=cost, peak_mb=100.0)
    assert exponent(figures, "cpu_s_per_cycle") == pytest.approx(1)
    assert exponent(figures, "peak_mb") == pytest.approx(0)
    assert "power 1.00 of the number of rollouts, memory with 0.00" in growth_table(figures)


@pytest.mark.parametrize(("peak", "met"), [(60.4, True), (60.6, False)])
def test_a_target_is_met_if_the_printed_figure_is_within_the_limit(peak: float, *, met: bool) -> None:
    (target,) = (target for target in TARGETS if target.name == "small: peak")
    figures = with_row(FIGURES, "small", "whole", peak_mb=peak)
    assert target.is_met(figures) is met
    row = re.search(r"^\| small: peak .*$", target_table(figures), re.MULTILINE)
    assert row
    assert row[0].endswith("| yes |" if met else "| **no** |")
