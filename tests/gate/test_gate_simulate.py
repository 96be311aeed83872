"""`gate simulate` ends as the controller would with the same query results."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from exporter.cli import main
from exporter.commands.gate.display import status_table, step_display
from exporter.gate.analysis_run import AnalysisPlan, make_plan
from exporter.gate.controller import parse_version
from exporter.gate.simulation import AnswerSequence, RunContext, simulate
from exporter.gate.template import read_spec
from tests.gate.gates import article, gate

if TYPE_CHECKING:
    from pathlib import Path


def run_simulate(file: str, answers: Any, folder: Path, *options: str) -> Any:
    (folder / "answers.json").write_text(json.dumps(answers))
    arguments = ["gate", "simulate", file, "--answers", str(folder / "answers.json"), *options]
    return CliRunner().invoke(main, arguments)


def test_gate_of_the_article_fails_at_the_fourth_failure(tmp_path: Path) -> None:
    file = article(tmp_path, "https://read.example")
    result = run_simulate(file, {"error-rate": [[0.01], [0.2]]}, tmp_path, "--arg", "service-name=a", "--json")
    assert result.exit_code == 1, result.output
    status = json.loads(result.output)
    assert status["message"] == 'Metric "error-rate" assessed Failed due to failed (4) > failureLimit (3)'
    assert [item["value"] for item in status["metricResults"][0]["measurements"]] == ["[0.01]", *4 * ["[0.2]"]]
    assert 'service="a"' in status["metricResults"][0]["metadata"]["ResolvedPrometheusQuery"]


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.8.3", "reflect: slice index out of range"),
        (
            "1.10.0-rc1",
            (
                'could not evaluate successCondition "result[0] < 0.05": metric result is nil or empty: no data '
                "returned from the metric provider"
            ),
        ),
    ],
)
def test_empty_result_has_the_message_of_each_version(tmp_path: Path, version: str, message: str) -> None:
    file = gate(tmp_path, "http://a", "up", successCondition="result[0] < 0.05")
    result = run_simulate(file, {"up": [[]]}, tmp_path, "--controller", version, "--json")
    assert result.exit_code == 2
    metric_result = json.loads(result.output)["metricResults"][0]
    assert (metric_result["message"], metric_result["consecutiveError"]) == (message, 5)


def test_endless_gate_is_undecided(tmp_path: Path) -> None:
    file = gate(tmp_path, "http://a", "up", interval="10m")
    result = run_simulate(file, {"up": [[1]]}, tmp_path, "--for", "1h")
    assert result.exit_code == 4
    assert "m: Running, 7 of 7 successful" in result.output
    assert "Running: not decided yet" in result.output


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"up": ["x"]}, "'x' is not a query result; it must be a list of numbers"),
        ({"up": [200]}, "200 is not a query result"),
        ({"up": []}, "there is no result for the query 'up' of metric 'm'"),
        ([], 'must be one JSON object: {"QUERY": [result, result, …]}'),
    ],
)
def test_unknown_result_format_is_an_error(tmp_path: Path, answers: Any, expected: str) -> None:
    result = run_simulate(gate(tmp_path, "http://a", "up"), answers, tmp_path)
    assert result.exit_code == 2
    assert expected in result.output


@pytest.mark.parametrize(
    ("address", "header", "message"),
    [
        ("read.last9.io", "x", "prometheus address is not is url format"),
        ("", "x", "prometheus address is not configured"),
        ("http://a\n", "x", "prometheus address is not is url format"),
        (" http://a", "x", "prometheus address is not is url format"),
        ("http://a:9090 ", "x", "prometheus address is not is url format"),
        ("http://user:word@", "x", "prometheus address is not is url format"),
        ("ftp://u:word@a", "x", 'Post "ftp://u:***@a/api/v1/query": unsupported protocol scheme "ftp"'),
        ("http://a/api/v1/query", "x", "client_error: client error: 404"),
        ("http://a/hot/v1/metrics/c/sender/o", "a\nb", 'net/http: invalid header field value for "Authorization"'),
        ("http://a/hot/v1/metrics/c/sender/o", " a\t", None),
    ],
)
def test_bad_address_or_header_is_an_error_whatever_the_answer(
    tmp_path: Path, address: str, header: str, message: str | None
) -> None:
    headers = [{"key": "authorization", "value": header}]
    file = gate(tmp_path, address, "up", prometheus={"headers": headers}, consecutiveErrorLimit=0)
    result = run_simulate(file, {"up": [[1]]}, tmp_path, "--json")
    status = json.loads(result.output)
    assert result.exit_code == (0 if message is None else 2)
    assert message is None or message in status["metricResults"][0]["message"]


def test_file_or_cases_is_required() -> None:
    result = CliRunner().invoke(main, ["gate", "simulate"])
    assert result.exit_code == 2
    assert "give a FILE and --answers, or --cases" in result.output


def test_terminal_shows_a_table() -> None:
    metrics = [
        {
            "name": "a[b]",
            "interval": "1m",
            "count": 5,
            "failureLimit": 1,
            "provider": {"prometheus": {"address": "http://a", "query": "q"}},
        },
        {"name": "late", "initialDelay": "1h", "provider": {"prometheus": {"address": "http://a", "query": "q"}}},
    ]
    spec = read_spec({"metrics": metrics, "dryRun": [{"metricName": "late"}]})
    plan = make_plan(spec, parse_version())
    assert isinstance(plan, AnalysisPlan)
    result = simulate(spec, AnswerSequence({"q": [[0.5], [0.7]]}).next, RunContext(parse_version(), 0.0, 70.0))
    console = Console(file=StringIO(), width=160, force_terminal=True, color_system=None)
    with step_display(console, plan) as show_step:
        show_step(result.status, result.traces, 120.0)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert "next measurement 1970-01-01 00:02:00Z" in output
    assert "2 of 5" in output
    assert "[0.7]" in output
    assert "late (dry run)" in output
    assert status_table(plan, result.status).row_count == 2


def test_missing_secret_ends_a_recorded_run_before_it_starts(tmp_path: Path) -> None:
    metric = {"name": "m", "provider": {"prometheus": {"address": "http://a", "query": "q"}}}
    args = [{"name": "auth", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}]
    case = {"name": "x", "spec": {"args": args, "metrics": [metric]}, "answers": {"q": [[1]]}}
    (tmp_path / "cases.jsonl").write_text(json.dumps(case))
    result = CliRunner().invoke(main, ["gate", "simulate", "--cases", str(tmp_path / "cases.jsonl")])
    assert json.loads(result.output)["status"] == {
        "message": 'Unable to resolve metric arguments: secrets "none" not found',
        "phase": "Error",
    }


def test_query_without_a_response_has_the_given_message(tmp_path: Path) -> None:
    file = gate(tmp_path, "http://a", "up")
    result = run_simulate(file, {"up": [{"error": "dial tcp: connection refused"}, [1]]}, tmp_path, "--json")
    assert result.exit_code == 0
    first, second = json.loads(result.output)["metricResults"][0]["measurements"]
    assert (first["message"], second["value"]) == ("dial tcp: connection refused", "[1]")
