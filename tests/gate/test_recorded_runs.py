"""Every recorded run is simulated to the status that the real controller left."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from exporter.cli import main
from tests.gate.recorded import VERSIONS, lines, unpacked

if TYPE_CHECKING:
    from pathlib import Path

CONTRADICTORY = {
    # The controller lost a race for the status: the run is Successful, its only metric is Running with 5 of 6
    # measurements, and no two of those are successes in a row, which alone makes this run succeed.
    ("1.8.3", "b-gb-csl2fl-1"),
}
JITTER = 1.5
"""Seconds by which a real measurement may come late; statuses have whole seconds."""


@pytest.fixture(scope="module", params=VERSIONS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, Any]]:
    """What is recorded and what the command says, case by case, without what contradicts itself."""
    version = request.param
    file = unpacked(version, tmp_path_factory.mktemp("cases"))
    done = CliRunner().invoke(main, ["gate", "simulate", "--cases", str(file), "--controller", version])
    assert done.exit_code == 0, done.output
    said = [json.loads(line) for line in done.output.splitlines()]
    told = list(lines(f"cases-{version}"))
    assert [one["name"] for one in said] == [one["name"] for one in told]
    pairs = [
        (want, got["status"])
        for want, got in zip(told, said, strict=True)
        if (version, want["name"]) not in CONTRADICTORY
    ]
    assert len(pairs) == len(told) - sum(version == one for one, _ in CONTRADICTORY) >= 546
    return pairs


def plain(status: Any) -> Any:
    """Leave out times, the order of metrics, and the scrap of the answer's bytes that a decoder's message quotes."""
    if isinstance(status, dict):
        kept = {key: plain(value) for key, value in status.items() if not key.endswith("At")}
        if "metricResults" in kept:
            kept["metricResults"].sort(key=lambda one: one["name"])
        return kept
    if isinstance(status, list):
        return [plain(one) for one in status]
    if isinstance(status, str) and "unmarshalerDecoder" in status:
        return status.partition(", error found in #10 byte")[0].rstrip('"')
    return status


def test_each_case_ends_as_it_did(both: list[tuple[Any, Any]]) -> None:
    """Phases, values, messages, counts, summaries and metadata, to the letter."""
    for want, got in both:
        assert plain(got) == plain(want["status"]), want["name"]


def test_measurements_come_when_they_came(both: list[tuple[Any, Any]]) -> None:
    """The interval after a measurement, 10 s after an error, and the initial delay."""
    for want, got in both:
        for expected, simulated in zip(_gaps(want["status"]), _gaps(got), strict=True):
            assert abs(expected - simulated) <= JITTER, want["name"]


def _gaps(status: Any) -> list[float]:
    results = sorted((status or {}).get("metricResults", ()), key=lambda one: str(one["name"]))
    return [
        (_at(after["startedAt"]) - _at(before["finishedAt"]))
        for result in results
        for before, after in zip(result["measurements"], result["measurements"][1:], strict=False)
    ]


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_case_that_is_no_case_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text('{"name": "x"}\n')
    done = CliRunner().invoke(main, ["gate", "simulate", "--cases", str(file)])
    assert done.exit_code == 2
    assert f"{file}:1 is not a recorded run" in done.output


def test_a_case_that_cannot_be_judged_is_said_and_not_guessed(tmp_path: Path) -> None:
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
    done = CliRunner().invoke(main, ["gate", "simulate", "--cases", str(file)])
    assert done.exit_code == 0
    assert json.loads(done.output) == {
        "name": "x",
        "status": None,
        "unsupported": "the function date is not supported",
    }


def test_a_case_of_another_provider_is_said_and_the_next_one_goes_on(tmp_path: Path) -> None:
    web = {"metrics": [{"name": "m", "successCondition": "true", "provider": {"web": {"url": "http://a"}}}]}
    asked = {"prometheus": {"address": "http://a", "query": "q"}}
    good = {"metrics": [{"name": "m", "successCondition": "result[0] < 2", "provider": asked}]}
    file = tmp_path / "cases.jsonl"
    file.write_text("\n".join(json.dumps({"name": "x", "spec": spec, "answers": {"q": [[1]]}}) for spec in (web, good)))
    done = CliRunner().invoke(main, ["gate", "simulate", "--cases", str(file)])
    other, prometheus = map(json.loads, done.output.splitlines())
    assert other["unsupported"] == "metric 'm' uses another provider; only prometheus is simulated"
    assert prometheus["status"]["phase"] == "Successful"
