"""The benchmark itself: the pages it serves, the numbers it reads, the tables it prints."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from exporter.demo.simulator.kube_page import POD_FAMILIES
from tests.bench.__main__ import main
from tests.bench.fleet import Size, build_fleet
from tests.bench.measure import resident_bytes, usage
from tests.bench.micro import PARTS, measure_parts
from tests.bench.pages import (
    ARGO,
    KUBE,
    SAMPLES_PER_POD,
    SAMPLES_PER_REPLICA_SET,
    SAMPLES_PER_ROLLOUT,
    argo_page,
    kube_page,
    required_points,
    variant,
    write_pages,
)
from tests.bench.runner import BenchError, Plan, Traffic, measure
from tests.bench.subjects import SUBJECTS, Site, Subject
from tests.bench.table import BEST_PEER, Row, append_rows, best_peer, median_rows, tables
from tests.bench.workloads import WORKLOADS

SIZE = Size(3, 8)
PROCESS_SAMPLES = 3


def count_samples(text: str) -> int:
    """Return the number of samples that the reference parser finds on a page."""
    return sum(len(family.samples) for family in text_string_to_metric_families(text))


def make_plan(folder: Path, size: Size, cycles: int) -> Plan:
    write_pages(build_fleet(size), folder)
    return Plan("tiny", folder, (ARGO, KUBE), 0.3, cycles, required_points(size))


# Pages


@pytest.mark.slow
@pytest.mark.parametrize("size", [Size(1, 0), Size(2, 3), SIZE, Size(30, 120)])
def test_pages_have_samples_for_every_object_of_the_fleet(size: Size) -> None:
    fleet = build_fleet(size)
    paused = sum(rollout.paused for rollout in fleet.rollouts)
    assert len(fleet.rollouts) == size.rollouts
    assert len(fleet.replica_sets) == size.rollouts + paused
    assert len(fleet.pods) == size.pods or not size.pods
    assert count_samples("".join(argo_page(fleet))) == size.rollouts * SAMPLES_PER_ROLLOUT + PROCESS_SAMPLES
    assert (
        count_samples("".join(kube_page(fleet)))
        == len(fleet.pods) * SAMPLES_PER_POD + len(fleet.replica_sets) * SAMPLES_PER_REPLICA_SET
    )


def test_workload_sizes_are_those_of_the_recorded_peer_measurements() -> None:
    small = build_fleet(WORKLOADS["small"].size)
    assert SAMPLES_PER_ROLLOUT == 24
    assert len("".join(kube_page(small))) == pytest.approx(9.7e6, rel=0.02)
    assert len("".join(argo_page(small))) * 200 == pytest.approx(21e6, rel=0.02)


def test_every_default_family_of_pods_has_a_header() -> None:
    headers = re.findall(r"^# TYPE (kube_pod_\w+)", "".join(kube_page(build_fleet(SIZE))), re.MULTILINE)
    assert headers == [family.name for family in POD_FAMILIES]


def test_every_second_scrape_renames_one_rollout_and_one_pod(tmp_path: Path) -> None:
    write_pages(build_fleet(SIZE), tmp_path)
    names = [
        (
            set(re.findall(r'^rollout_info\{name="([^"]+)', variant(tmp_path, ARGO, scrape).read_text(), re.MULTILINE)),
            set(re.findall(r'^kube_pod_info.*pod="([^"]+)', variant(tmp_path, KUBE, scrape).read_text(), re.MULTILINE)),
        )
        for scrape in range(3)
    ]
    assert names[0] == names[2]
    for first, second, count in zip(names[0], names[1], (SIZE.rollouts, SIZE.pods), strict=True):
        assert len(first) == len(second) == count
        assert len(first - second) == 1


def test_variants_differ_only_in_the_renamed_objects(tmp_path: Path) -> None:
    write_pages(build_fleet(SIZE), tmp_path)
    lines = {
        page: [variant(tmp_path, page, scrape).read_text().split("\n") for scrape in (0, 1)] for page in (ARGO, KUBE)
    }
    changed_lines = {
        page: sum(line != other for line, other in zip(*both, strict=True)) for page, both in lines.items()
    }
    assert changed_lines == {ARGO: SAMPLES_PER_ROLLOUT, KUBE: SAMPLES_PER_POD + SAMPLES_PER_REPLICA_SET}


# Measurement


def test_memory_is_in_bytes_and_an_ended_process_raises() -> None:
    assert resident_bytes("Name:\tx\nVmHWM:\t    2000 kB\nVmRSS:\t     12 kB\n", "VmHWM") == 2_048_000
    with pytest.raises(ValueError, match="ended"):
        resident_bytes("Name:\tx\nState:\tZ (zombie)\n", "VmRSS")


def test_usage_of_this_process_agrees_with_os_times() -> None:
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    used, times = usage(os.getpid()), os.times()
    assert used.cpu == pytest.approx(times.user + times.system, abs=0.1)
    assert 1_000_000 < used.resident <= used.peak


def test_latency_is_from_a_scrape_to_the_last_push_before_the_next() -> None:
    traffic = Traffic(
        {ARGO: [10.0, 20.0, 30.0, 40.0]}, [(9.0, 1), (11.0, 1), (20.5, 1), (22.0, 1), (30.25, 1), (45.0, 1)]
    )
    assert traffic.latencies(ARGO, 1, 2) == [2.0, 0.25]


# Tables


def make_row(subject: str, cpu: float, peak: float, mode: str = "relay") -> Row:
    return {"work": "small", "mode": mode, "who": subject, "cpu_s_per_cycle": cpu, "peak_mb": peak, "latency_s": None}


def test_best_peer_has_the_minimum_of_each_number() -> None:
    rows = [make_row("exporter", 0.1, 60.0), make_row("a", 0.2, 300.0), make_row("b", 0.4, 100.0)]
    assert best_peer(rows) == {"who": BEST_PEER, "cpu_s_per_cycle": 0.2, "peak_mb": 100.0}
    assert best_peer(rows[:1]) is None


def test_table_has_the_ratio_to_each_peer_and_to_the_best() -> None:
    rows = [
        make_row("exporter", 0.1, 60.0),
        make_row("a", 0.2, 300.0),
        make_row("b", 0.4, 100.0),
        make_row("a", 0.2, 300.0, "whole"),
    ]
    relay, complete = tables(rows)
    ratios = {line.split(" | ")[0]: line.removesuffix(" |").split(" | ")[-2:] for line in relay.splitlines()[3:]}
    assert ratios == {"| a": ["0.50", "0.20"], "| b": ["0.25", "0.60"], f"| {BEST_PEER}": ["0.50", "0.60"]}
    assert complete.startswith("| small, whole |")


def test_repeated_rounds_are_reduced_to_the_median() -> None:
    rounds = [make_row("a", cpu, 100.0) for cpu in (0.3, 0.1, 0.2)]
    assert median_rows([*rounds, make_row("b", 1.0, 5.0)]) == [make_row("a", 0.2, 100.0), make_row("b", 1.0, 5.0)]


def test_work_incomplete_in_one_round_is_incomplete() -> None:
    rounds = [make_row("a", 0.1, 100.0) | {"whole_work": complete} for complete in (True, False, True)]
    assert not median_rows(rounds)[0]["whole_work"]


def test_rows_are_appended_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    append_rows([make_row("a", 0.1, 1.0)], file)
    append_rows([make_row("b", 0.2, 2.0)], file)
    assert [row["who"] for row in json.loads(file.read_text())] == ["a", "b"]


def test_unknown_subject_is_rejected_with_the_valid_names() -> None:
    result = CliRunner().invoke(main, ["--who", "nobody"])
    assert result.exit_code == 2
    assert "exporter, vmagent, prometheus, collector" in result.output


def test_the_exporter_is_measured_with_the_allocator_setting_of_its_image() -> None:
    image = (Path(__file__).parents[2] / "Dockerfile").read_text()
    assert all(f"{name}={value} " in image for name, value in SUBJECTS[0].environment.items())


# Complete runs


@pytest.mark.slow
async def test_exporter_does_all_the_work_and_is_measured(tmp_path: Path) -> None:
    folder = tmp_path / "exporter"
    folder.mkdir()
    row = await measure(SUBJECTS[0], sys.executable, make_plan(tmp_path, SIZE, cycles=2), "whole", folder)
    assert (row["work"], row["mode"], row["who"]) == ("tiny", "whole", "exporter")
    assert row["whole_work"]
    assert row["skipped"] == row["dropped"] == row["failed_scrapes"] == 0
    assert 0 < row["cpu_s_per_cycle"] < 1
    assert 20 < row["steady_mb"] <= row["peak_mb"] < 200
    assert 0 < row["latency_s"] < row["interval_s"]
    assert row["first_push_s"] > 0
    assert row["sent_kb_per_cycle"] > 0


async def test_subject_that_does_not_scrape_is_reported_with_its_log(tmp_path: Path) -> None:
    def command(program: str, _: Site, __: str) -> list[str]:
        return [program, "-c", "print('no such setting')"]

    subject = Subject("nobody", lambda: None, command)
    with pytest.raises(BenchError, match="no such setting"):
        await measure(subject, sys.executable, make_plan(tmp_path, SIZE, cycles=1), "relay", tmp_path)


@pytest.mark.slow
def test_each_part_has_a_rate() -> None:
    rates = {part.name: part.rate for part in measure_parts(Size(4, 9))}
    assert {name for name, _, _ in PARTS} <= rates.keys()
    assert all(rate > 0 for rate in rates.values())
