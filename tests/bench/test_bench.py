"""The benchmark's own promises: what it serves, what it reads, what it tells."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from exporter.demo.simulator.kube_page import POD_FAMILIES
from tests.bench.__main__ import WORKS, main
from tests.bench.fleet import Size, fleet
from tests.bench.measure import cpu_seconds, resident_bytes, usage
from tests.bench.micro import PARTS, findings
from tests.bench.pages import (
    ARGO,
    KUBE,
    SAMPLES_A_POD,
    SAMPLES_A_ROLLOUT,
    SAMPLES_A_SET,
    argo_page,
    kube_page,
    least,
    variant,
    write,
)
from tests.bench.runner import BenchError, Heard, Plan, run
from tests.bench.subjects import SUBJECTS, Place, Subject
from tests.bench.table import BEST, Row, best, keep, median_rows, tables

if TYPE_CHECKING:
    from pathlib import Path

SIZE = Size(3, 8)
OF_THE_PROCESS = 3


def samples(text: str) -> int:
    """Count a page's samples as the reference parser does."""
    return sum(len(family.samples) for family in text_string_to_metric_families(text))


def plan(folder: Path, size: Size, cycles: int) -> Plan:
    write(fleet(size), folder)
    return Plan("tiny", folder, (ARGO, KUBE), 0.3, cycles, least(size))


# What is served -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [Size(1, 0), Size(2, 3), SIZE, Size(30, 120)])
def test_pages_have_as_many_samples_as_the_fleet_has_objects(size: Size) -> None:
    made = fleet(size)
    paused = sum(one.paused for one in made.rollouts)
    assert len(made.rollouts) == size.rollouts
    assert len(made.sets) == size.rollouts + paused
    assert len(made.pods) == size.pods or not size.pods
    assert samples("".join(argo_page(made))) == size.rollouts * SAMPLES_A_ROLLOUT + OF_THE_PROCESS
    assert samples("".join(kube_page(made))) == len(made.pods) * SAMPLES_A_POD + len(made.sets) * SAMPLES_A_SET


def test_the_works_are_as_large_as_the_measurements_of_peers_were() -> None:
    small = fleet(WORKS["small"][0])
    assert SAMPLES_A_ROLLOUT == 24
    assert len("".join(kube_page(small))) == pytest.approx(9.7e6, rel=0.02)
    assert len("".join(argo_page(small))) * 200 == pytest.approx(21e6, rel=0.02)


def test_every_default_family_of_pods_has_a_header() -> None:
    headers = re.findall(r"^# TYPE (kube_pod_\w+)", "".join(kube_page(fleet(SIZE))), re.MULTILINE)
    assert headers == [family.name for family in POD_FAMILIES]


def test_in_every_second_scrape_one_rollout_and_one_pod_have_another_name(tmp_path: Path) -> None:
    write(fleet(SIZE), tmp_path)
    seen = [
        (
            set(re.findall(r'^rollout_info\{name="([^"]+)', variant(tmp_path, ARGO, scrape).read_text(), re.MULTILINE)),
            set(re.findall(r'^kube_pod_info.*pod="([^"]+)', variant(tmp_path, KUBE, scrape).read_text(), re.MULTILINE)),
        )
        for scrape in range(3)
    ]
    assert seen[0] == seen[2]
    for first, second, many in zip(seen[0], seen[1], (SIZE.rollouts, SIZE.pods), strict=True):
        assert len(first) == len(second) == many
        assert len(first - second) == 1


def test_nothing_but_what_has_another_name_differs(tmp_path: Path) -> None:
    write(fleet(SIZE), tmp_path)
    lines = {
        page: [variant(tmp_path, page, scrape).read_text().split("\n") for scrape in (0, 1)] for page in (ARGO, KUBE)
    }
    differing = {page: sum(one != other for one, other in zip(*both, strict=True)) for page, both in lines.items()}
    assert differing == {ARGO: SAMPLES_A_ROLLOUT, KUBE: SAMPLES_A_POD + SAMPLES_A_SET}


# What is read ------------------------------------------------------------------------------------------------------


def test_cpu_time_is_user_and_system_whatever_the_name_of_the_process() -> None:
    stat = "17 (a) S (b 1) R " + " ".join(str(number) for number in range(4, 53))
    assert cpu_seconds(stat, 100) == pytest.approx((14 + 15) / 100)


def test_memory_is_told_in_bytes_and_a_process_that_ended_has_none() -> None:
    assert resident_bytes("Name:\tx\nVmHWM:\t    2000 kB\nVmRSS:\t     12 kB\n", "VmHWM") == 2_048_000
    with pytest.raises(ValueError, match="ended"):
        resident_bytes("Name:\tx\nState:\tZ (zombie)\n", "VmRSS")


def test_what_this_process_has_used_is_what_it_is_told_otherwise() -> None:
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    used, times = usage(os.getpid()), os.times()
    assert used.cpu == pytest.approx(times.user + times.system, abs=0.1)
    assert 1_000_000 < used.resident <= used.peak


def test_a_cycle_lasts_from_its_scrape_to_the_last_answer_before_the_next() -> None:
    heard = Heard({ARGO: [10.0, 20.0, 30.0, 40.0]}, [(9.0, 1), (11.0, 1), (20.5, 1), (22.0, 1), (30.25, 1), (45.0, 1)])
    assert heard.latencies(ARGO, 1, 2) == [2.0, 0.25]


# What is told ------------------------------------------------------------------------------------------------------


def row(who: str, cpu: float, peak: float, mode: str = "relay") -> Row:
    return {"work": "small", "mode": mode, "who": who, "cpu_s_per_cycle": cpu, "peak_mb": peak, "latency_s": None}


def test_the_best_peer_has_the_least_of_each_number() -> None:
    rows = [row("exporter", 0.1, 60.0), row("a", 0.2, 300.0), row("b", 0.4, 100.0)]
    assert best(rows) == {"who": BEST, "cpu_s_per_cycle": 0.2, "peak_mb": 100.0}
    assert best(rows[:1]) is None


def test_the_table_tells_our_ratio_to_each_peer_and_to_the_best() -> None:
    rows = [row("exporter", 0.1, 60.0), row("a", 0.2, 300.0), row("b", 0.4, 100.0), row("a", 0.2, 300.0, "whole")]
    relay, whole = tables(rows)
    ratios = {line.split(" | ")[0]: line.removesuffix(" |").split(" | ")[-2:] for line in relay.splitlines()[3:]}
    assert ratios == {"| a": ["0.50", "0.20"], "| b": ["0.25", "0.60"], f"| {BEST}": ["0.50", "0.60"]}
    assert whole.startswith("| small, whole |")


def test_of_several_rounds_the_median_counts() -> None:
    rounds = [row("a", cpu, 100.0) for cpu in (0.3, 0.1, 0.2)]
    assert median_rows([*rounds, row("b", 1.0, 5.0)]) == [row("a", 0.2, 100.0), row("b", 1.0, 5.0)]


def test_work_that_was_not_done_in_one_round_was_not_done() -> None:
    rounds = [row("a", 0.1, 100.0) | {"whole_work": whole} for whole in (True, False, True)]
    assert not median_rows(rounds)[0]["whole_work"]


def test_rows_are_added_to_those_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    keep([row("a", 0.1, 1.0)], file)
    keep([row("b", 0.2, 2.0)], file)
    assert [one["who"] for one in json.loads(file.read_text())] == ["a", "b"]


def test_somebody_unknown_is_refused_with_the_names_that_are_known() -> None:
    done = CliRunner().invoke(main, ["--who", "nobody"])
    assert done.exit_code == 2
    assert "exporter, vmagent, prometheus, collector" in done.output


# Everything --------------------------------------------------------------------------------------------------------


async def test_the_exporter_does_the_whole_work_and_is_measured_doing_it(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    told = await run(SUBJECTS[0], sys.executable, plan(tmp_path, SIZE, cycles=2), "whole", folder)
    assert (told["work"], told["mode"], told["who"]) == ("tiny", "whole", "exporter")
    assert told["whole_work"]
    assert told["skipped"] == told["dropped"] == told["failed_scrapes"] == 0
    assert 0 < told["cpu_s_per_cycle"] < 1
    assert 20 < told["steady_mb"] <= told["peak_mb"] < 200
    assert 0 < told["latency_s"] < told["interval_s"]
    assert told["first_push_s"] > 0
    assert told["sent_kb_per_cycle"] > 0


async def test_who_does_not_scrape_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    def command(program: str, _: Place, __: str) -> list[str]:
        return [program, "-c", "print('no such setting')"]

    nobody = Subject("nobody", lambda: None, command)
    with pytest.raises(BenchError, match="no such setting"):
        await run(nobody, sys.executable, plan(tmp_path, SIZE, cycles=1), "relay", tmp_path)


def test_each_part_is_found_to_do_something() -> None:
    found = {one.name: one.rate for one in findings(Size(4, 9))}
    assert {name for name, _, _ in PARTS} <= found.keys()
    assert all(rate > 0 for rate in found.values())
