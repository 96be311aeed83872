"""The first gate, in a real PromQL engine and with the conditions that a Rollout would be judged by."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.chart.helm import CHART, only
from tests.chart.reference import README
from tests.chart.schemas import faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.chart.conftest import Manifests

GATES: Final = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(CHART.glob("gates/*.yaml"))}
ROLLOUT: Final = yaml.safe_load((CHART / "examples" / "rollout.yaml").read_text())
POD: Final = 'argo_rollouts_pod_info{namespace="shop", name="checkout", pod="%s", role="%s"}'
REQUESTS: Final = 'http_requests_total{service="checkout", namespace="shop", pod="%s", status="%s"}'
STABLE: Final = [(POD % ("old", "stable"), "1x20"), (REQUESTS % ("old", "200"), "0+5400x20")]
CANARY: Final = (POD % ("new", "canary"), "1x20")


@pytest.mark.parametrize("gate", GATES)
def test_each_gate_is_a_template_that_stands_by_itself(gate: str) -> None:
    assert faults(GATES[gate]) == []


@pytest.mark.parametrize("gate", GATES)
def test_each_gate_reads_the_whole_header_from_a_secret_and_asks_where_it_is_told(gate: str) -> None:
    args = {arg["name"]: arg for arg in GATES[gate]["spec"]["args"]}
    assert args["authorization"]["valueFrom"] == {"secretKeyRef": {"name": "last9-read", "key": "authorization"}}
    assert "app.last9.io" not in args["address"]["value"], "no store answers there"
    for metric in GATES[gate]["spec"]["metrics"]:
        asked = metric["provider"]["prometheus"]
        assert asked["address"] == "{{args.address}}"
        assert asked["headers"] == [{"key": "Authorization", "value": "{{args.authorization}}"}]


@pytest.mark.parametrize("gate", GATES)
def test_each_gate_comes_to_an_end(gate: str) -> None:
    """Without a count, an interval means for ever, and the step of a Rollout would never end."""
    for metric in GATES[gate]["spec"]["metrics"]:
        assert "interval" not in metric or int(metric["count"]) > 0


def metric() -> dict[str, Any]:
    (found,) = GATES["error-rate"]["spec"]["metrics"]
    assert isinstance(found, dict)
    return found


def query() -> str:
    text: str = metric()["provider"]["prometheus"]["query"]
    return text.replace("{{args.service-name}}", "checkout")


@pytest.mark.parametrize(
    ("canary", "answer"),
    [
        pytest.param([("200", "0+300x20"), ("500", "0+300x20")], 0.5, id="half of the canary's requests fail"),
        pytest.param([("200", "0+600x20")], 0.0, id="no error, and no series of errors"),
        pytest.param([("200", "0+600x20"), ("503", "0x20")], 0.0, id="errors that stand still"),
        pytest.param([], None, id="no requests"),
        pytest.param([("200", "600x20")], None, id="requests that stand still, which is 0/0"),
    ],
)
def test_it_says_the_canarys_own_error_rate_and_nothing_where_there_is_no_traffic(
    promtool: str, tmp_path: Path, canary: list[tuple[str, str]], answer: float | None
) -> None:
    series = [*STABLE, CANARY, *((REQUESTS % ("new", status), values) for status, values in canary)]
    samples = [] if answer is None else [{"labels": "{}", "value": answer}]
    asked(promtool, tmp_path, series, f"({query()}) >= 0", samples)


def test_over_all_pods_the_same_canary_would_pass(promtool: str, tmp_path: Path) -> None:
    """What the article's query says of a canary that fails half of a tenth of the traffic."""
    series = [*STABLE, CANARY, (REQUESTS % ("new", "200"), "0+300x20"), (REQUESTS % ("new", "500"), "0+300x20")]
    everybody = (
        'sum(rate(http_requests_total{service="checkout", status=~"5.."}[5m])) '
        '/ sum(rate(http_requests_total{service="checkout"}[5m]))'
    )
    asked(promtool, tmp_path, series, f"{everybody} < 0.051", [{"labels": "{}", "value": 0.05}])


def test_a_pod_that_was_the_canary_is_not_asked_for_any_more(promtool: str, tmp_path: Path) -> None:
    former = [(POD % ("new", "canary"), "0x20"), (POD % ("new", "stable"), "1x20")]
    asked(promtool, tmp_path, [*former, (REQUESTS % ("new", "500"), "0+300x20")], query(), [])


def asked(promtool: str, folder: Path, series: list[tuple[str, str]], expression: str, samples: list[Any]) -> None:
    """Ask a real PromQL engine, after ten minutes of the series."""
    unit = {
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series],
                "promql_expr_test": [{"expr": expression, "eval_time": "10m", "exp_samples": samples}],
            }
        ],
    }
    file = folder / "unit.yaml"
    file.write_text(yaml.safe_dump(unit))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        ([0.0], "Successful"),
        ([0.049], "Successful"),
        ([0.05], "Failed"),
        ([1.0], "Failed"),
        ([], "Inconclusive"),
        ([float("nan")], "Inconclusive"),
    ],
)
def test_no_data_is_neither_good_nor_bad(result: list[float], verdict: str) -> None:
    """As the controller judges: failure wins, neither is inconclusive; `&&` does not look at what is not there."""

    def holds(condition: str) -> bool:
        python = condition.replace("{{args.max-error-rate}}", "0.05").replace("&&", "and")
        return bool(eval(python, {"__builtins__": {}}, {"len": len, "result": result}))  # the file's own condition

    if holds(metric()["failureCondition"]):
        found = "Failed"
    else:
        found = "Successful" if holds(metric()["successCondition"]) else "Inconclusive"
    assert found == verdict


def test_the_chart_makes_each_gate_in_each_namespace_with_the_values_set(manifests: Callable[[str], Manifests]) -> None:
    made = [one for one in manifests("gates") if one["kind"] == "AnalysisTemplate"]
    assert {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in made} == {
        (namespace, gate["metadata"]["name"]) for namespace in ("shop", "pay") for gate in GATES.values()
    }
    for one in made:
        args = {arg["name"]: arg.get("value") for arg in one["spec"]["args"]}
        assert args["address"] == "https://read-app-tsdb.last9.io/hot/v1/metrics/0000-1111/sender/acme"
        if one["metadata"]["name"] == "last9-error-rate":
            assert args["max-error-rate"] == "0.02"
            assert one["spec"]["metrics"] == GATES["error-rate"]["spec"]["metrics"]


def test_the_chart_names_the_secret_that_the_values_name(manifests: Callable[[str], Manifests]) -> None:
    made = only(manifests("everything"), "AnalysisTemplate", "error-rate")
    secret = next(arg for arg in made["spec"]["args"] if arg["name"] == "authorization")
    assert secret["valueFrom"] == {"secretKeyRef": {"name": "reader", "key": "header"}}


def test_the_example_rollout_passes_what_the_gate_asks_for_and_no_secret() -> None:
    assert faults(ROLLOUT) == []
    known = {arg["name"]: arg for arg in GATES["error-rate"]["spec"]["args"]}
    needed = {name for name, arg in known.items() if set(arg) == {"name"}}
    steps = [step["analysis"] for step in ROLLOUT["spec"]["strategy"]["canary"]["steps"] if "analysis" in step]
    assert steps
    for step in steps:
        assert step["templates"] == [{"templateName": GATES["error-rate"]["metadata"]["name"]}]
        passed = {arg["name"] for arg in step["args"]}
        assert needed <= passed <= set(known)


def test_the_articles_rollout_is_refused() -> None:
    """It hands a Secret on, which no Rollout can."""
    wrong = yaml.safe_load(yaml.safe_dump(ROLLOUT))
    wrong["spec"]["strategy"]["canary"]["steps"][1]["analysis"]["args"].append(
        {"name": "last9-auth", "valueFrom": {"secretKeyRef": {"name": "last9-prometheus-auth", "key": "authorization"}}}
    )
    assert faults(wrong)


@pytest.mark.parametrize("pasted", ["Basic dXNlcjpwYXNz", "Basic dXNlcjpwYXNz\r", " Basic dXNlcjpwYXNz"])
def test_the_readmes_commands_leave_no_newline_in_a_secret(tmp_path: Path, pasted: str) -> None:
    (tmp_path / "kubectl").write_text('#!/bin/sh\nprintf "%s\\n" "$*" >> "$OUT.arguments"\ncat > "$OUT"\n')
    (tmp_path / "kubectl").chmod(0o755)
    commands = re.findall(r"```sh\n(read -rs .*?)```", README.read_text(), re.DOTALL)
    assert len(commands) == 2
    for command in commands:
        out = tmp_path / "secret"
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "OUT": str(out)}
        subprocess.run(["bash", "-ec", command], input=f"{pasted}\n", env=environment, text=True, check=True)
        assert out.read_text() == "Basic dXNlcjpwYXNz"
        assert "--from-file=authorization=/dev/stdin" in (tmp_path / "secret.arguments").read_text()
