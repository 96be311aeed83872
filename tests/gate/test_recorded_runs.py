"""Every recorded run is simulated to the status that the real controller left."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from exporter.cli import main
from tests.gate.recorded import VERSIONS, lines, unpack_runs

if TYPE_CHECKING:
    from pathlib import Path

CONTRADICTORY = {
    # The controller lost a race for the status: the run is Successful, its only metric is Running with 5 of 6
    # measurements, and no two of those are successes in a row, which alone makes this run succeed.
    ("1.8.3", "b-gb-csl2fl-1"),
}
JITTER = 1.5
"""Seconds by which a real measurement may be late; statuses have whole seconds."""


@pytest.fixture(scope="module", params=VERSIONS)
def status_pairs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, Any]]:
    """Recorded run and simulated result of each run, without those that contradict themselves."""
    version = request.param
    file = unpack_runs(version, tmp_path_factory.mktemp("cases"))
    result = CliRunner().invoke(main, ["gate", "simulate", "--cases", str(file), "--controller", version])
    assert result.exit_code == 0, result.output
    simulated = [json.loads(line) for line in result.output.splitlines()]
    recorded = list(lines(f"cases-{version}"))
    assert [item["name"] for item in simulated] == [item["name"] for item in recorded]
    pairs = [
        (expected, actual["status"])
        for expected, actual in zip(recorded, simulated, strict=True)
        if (version, expected["name"]) not in CONTRADICTORY
    ]
    assert len(pairs) == len(recorded) - sum(version == contradictory for contradictory, _ in CONTRADICTORY) >= 546
    return pairs


def comparable(status: Any) -> Any:
    """Leave out times, the order of metrics, and the scrap of the answer's bytes that a decoder's message quotes."""
    if isinstance(status, dict):
        remaining = {key: comparable(value) for key, value in status.items() if not key.endswith("At")}
        if "metricResults" in remaining:
            remaining["metricResults"].sort(key=lambda result: result["name"])
        return remaining
    if isinstance(status, list):
        return [comparable(item) for item in status]
    if isinstance(status, str) and "unmarshalerDecoder" in status:
        return status.partition(", error found in #10 byte")[0].rstrip('"')
    return status


@pytest.mark.slow
def test_simulation_ends_with_the_recorded_status(status_pairs: list[tuple[Any, Any]]) -> None:
    """Phases, values, messages, counts, summaries and metadata, to the letter."""
    for expected, actual in status_pairs:
        assert comparable(actual) == comparable(expected["status"]), expected["name"]


@pytest.mark.slow
def test_simulated_measurements_have_the_recorded_timing(status_pairs: list[tuple[Any, Any]]) -> None:
    """The interval after a measurement, 10 s after an error, and the initial delay."""
    for expected, actual in status_pairs:
        for expected_gap, actual_gap in zip(_gaps(expected["status"]), _gaps(actual), strict=True):
            assert abs(expected_gap - actual_gap) <= JITTER, expected["name"]


def _gaps(status: Any) -> list[float]:
    results = sorted((status or {}).get("metricResults", ()), key=lambda result: str(result["name"]))
    return [
        (_timestamp(after["startedAt"]) - _timestamp(before["finishedAt"]))
        for result in results
        for before, after in zip(result["measurements"], result["measurements"][1:], strict=False)
    ]


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_malformed_recorded_run_is_an_error_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text('{"name": "x"}\n')
    result = CliRunner().invoke(main, ["gate", "simulate", "--cases", str(file)])
    assert result.exit_code == 2
    assert f"{file}:1 is not a recorded run" in result.output


def test_unsupported_condition_is_reported_without_a_status(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    spec = {
        "metrics": [
            {
                "name": "m",
                "successCondition": 'date("2026-01-01") < now()',
                "provider": {"prometheus": {"address": "http://a", "query": "q"}},
            }
        ]
    }
    file.write_text(json.dumps({"name": "x", "spec": spec, "answers": {"q": [[1]]}}))
    result = CliRunner().invoke(main, ["gate", "simulate", "--cases", str(file)])
    assert result.exit_code == 0
    assert json.loads(result.output) == {
        "name": "x",
        "status": None,
        "unsupported": "the function date is not supported",
    }


def test_other_provider_is_reported_and_the_next_run_is_simulated(tmp_path: Path) -> None:
    web = {"metrics": [{"name": "m", "successCondition": "true", "provider": {"web": {"url": "http://a"}}}]}
    provider = {"prometheus": {"address": "http://a", "query": "q"}}
    good = {"metrics": [{"name": "m", "successCondition": "result[0] < 2", "provider": provider}]}
    file = tmp_path / "cases.jsonl"
    file.write_text("\n".join(json.dumps({"name": "x", "spec": spec, "answers": {"q": [[1]]}}) for spec in (web, good)))
    result = CliRunner().invoke(main, ["gate", "simulate", "--cases", str(file)])
    other, prometheus = map(json.loads, result.output.splitlines())
    assert other["unsupported"] == "metric 'm' uses another provider; only prometheus is simulated"
    assert prometheus["status"]["phase"] == "Successful"
