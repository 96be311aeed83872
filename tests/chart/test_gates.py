"""The gates of the chart: the error rate in a real PromQL engine, its conditions, and the rendered templates."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.chart.helm import CHART, find_manifest
from tests.chart.reference import README
from tests.chart.schemas import manifest_errors

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
def test_gate_is_a_valid_template(gate: str) -> None:
    assert manifest_errors(GATES[gate]) == []


@pytest.mark.parametrize("gate", GATES)
def test_gate_takes_the_header_from_a_secret_and_the_address_from_an_argument(gate: str) -> None:
    args = {arg["name"]: arg for arg in GATES[gate]["spec"]["args"]}
    assert args["authorization"]["valueFrom"] == {"secretKeyRef": {"name": "last9-read", "key": "authorization"}}
    assert "app.last9.io" not in args["address"]["value"], "no store answers there"
    for metric in GATES[gate]["spec"]["metrics"]:
        provider = metric["provider"]["prometheus"]
        assert provider["address"] == "{{args.address}}"
        assert provider["headers"] == [{"key": "Authorization", "value": "{{args.authorization}}"}]


@pytest.mark.parametrize("gate", GATES)
def test_gate_ends_after_a_number_of_measurements(gate: str) -> None:
    """With an interval and no count, the step of a Rollout would never end."""
    for metric in GATES[gate]["spec"]["metrics"]:
        assert "interval" not in metric or int(metric["count"]) > 0


def error_rate_metric() -> dict[str, Any]:
    (metric,) = GATES["error-rate"]["spec"]["metrics"]
    assert isinstance(metric, dict)
    return metric


def error_rate_query() -> str:
    text: str = error_rate_metric()["provider"]["prometheus"]["query"]
    return text.replace("{{args.service-name}}", "checkout")


@pytest.mark.parametrize(
    ("canary", "expected"),
    [
        pytest.param([("200", "0+300x20"), ("500", "0+300x20")], 0.5, id="half of the canary's requests fail"),
        pytest.param([("200", "0+600x20")], 0.0, id="no error, and no series of errors"),
        pytest.param([("200", "0+600x20"), ("503", "0x20")], 0.0, id="constant error counter"),
        pytest.param([], None, id="no requests"),
        pytest.param([("200", "600x20")], None, id="constant request counter, which is 0/0"),
    ],
)
def test_query_measures_the_error_rate_of_the_canary_only(
    promtool: str, tmp_path: Path, canary: list[tuple[str, str]], expected: float | None
) -> None:
    series = [*STABLE, CANARY, *((REQUESTS % ("new", status), values) for status, values in canary)]
    samples = [] if expected is None else [{"labels": "{}", "value": expected}]
    run_promtool(promtool, tmp_path, series, f"({error_rate_query()}) >= 0", samples)


def test_query_over_all_pods_would_pass_the_same_canary(promtool: str, tmp_path: Path) -> None:
    """A canary with a tenth of the traffic that fails half of its requests."""
    series = [*STABLE, CANARY, (REQUESTS % ("new", "200"), "0+300x20"), (REQUESTS % ("new", "500"), "0+300x20")]
    all_pods = (
        'sum(rate(http_requests_total{service="checkout", status=~"5.."}[5m])) '
        '/ sum(rate(http_requests_total{service="checkout"}[5m]))'
    )
    run_promtool(promtool, tmp_path, series, f"{all_pods} < 0.051", [{"labels": "{}", "value": 0.05}])


def test_query_ignores_a_pod_that_was_the_canary(promtool: str, tmp_path: Path) -> None:
    promoted = [(POD % ("new", "canary"), "0x20"), (POD % ("new", "stable"), "1x20")]
    run_promtool(promtool, tmp_path, [*promoted, (REQUESTS % ("new", "500"), "0+300x20")], error_rate_query(), [])


def run_promtool(
    promtool: str, folder: Path, series: list[tuple[str, str]], expression: str, samples: list[Any]
) -> None:
    """Assert the result of an expression in a real PromQL engine after ten minutes of the series."""
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
    result = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ([0.0], "Successful"),
        ([0.049], "Successful"),
        ([0.05], "Failed"),
        ([1.0], "Failed"),
        ([], "Inconclusive"),
        ([float("nan")], "Inconclusive"),
    ],
)
def test_no_data_is_inconclusive(result: list[float], expected: str) -> None:
    """As in the controller: failure takes precedence, neither condition true is inconclusive; `&&` short-circuits."""

    def evaluate(condition: str) -> bool:
        python = condition.replace("{{args.max-error-rate}}", "0.05").replace("&&", "and")
        return bool(eval(python, {"__builtins__": {}}, {"len": len, "result": result}))  # the condition of the chart

    if evaluate(error_rate_metric()["failureCondition"]):
        phase = "Failed"
    else:
        phase = "Successful" if evaluate(error_rate_metric()["successCondition"]) else "Inconclusive"
    assert phase == expected


def test_chart_renders_every_gate_in_every_namespace_with_its_arguments(manifests: Callable[[str], Manifests]) -> None:
    templates = [manifest for manifest in manifests("gates") if manifest["kind"] == "AnalysisTemplate"]
    assert {(template["metadata"]["namespace"], template["metadata"]["name"]) for template in templates} == {
        (namespace, gate["metadata"]["name"]) for namespace in ("shop", "pay") for gate in GATES.values()
    }
    for template in templates:
        args = {arg["name"]: arg.get("value") for arg in template["spec"]["args"]}
        assert args["address"] == "https://read-app-tsdb.last9.io/hot/v1/metrics/0000-1111/sender/acme"
        if template["metadata"]["name"] == "last9-error-rate":
            assert args["max-error-rate"] == "0.02"
            assert template["spec"]["metrics"] == GATES["error-rate"]["spec"]["metrics"]


def test_chart_uses_the_secret_of_the_values(manifests: Callable[[str], Manifests]) -> None:
    template = find_manifest(manifests("everything"), "AnalysisTemplate", "last9-error-rate")
    secret = next(arg for arg in template["spec"]["args"] if arg["name"] == "authorization")
    assert secret["valueFrom"] == {"secretKeyRef": {"name": "reader", "key": "header"}}


def test_example_rollout_passes_the_required_arguments_and_no_secret() -> None:
    assert manifest_errors(ROLLOUT) == []
    args = {arg["name"]: arg for arg in GATES["error-rate"]["spec"]["args"]}
    required = {name for name, arg in args.items() if set(arg) == {"name"}}
    steps = [step["analysis"] for step in ROLLOUT["spec"]["strategy"]["canary"]["steps"] if "analysis" in step]
    assert steps
    for step in steps:
        assert step["templates"] == [{"templateName": GATES["error-rate"]["metadata"]["name"]}]
        passed = {arg["name"] for arg in step["args"]}
        assert required <= passed <= set(args)


def test_rollout_that_passes_a_secret_is_invalid() -> None:
    """A Rollout cannot pass a Secret as an argument."""
    invalid = yaml.safe_load(yaml.safe_dump(ROLLOUT))
    invalid["spec"]["strategy"]["canary"]["steps"][1]["analysis"]["args"].append(
        {"name": "last9-auth", "valueFrom": {"secretKeyRef": {"name": "last9-prometheus-auth", "key": "authorization"}}}
    )
    assert manifest_errors(invalid)


@pytest.mark.parametrize("pasted", ["Basic dXNlcjpwYXNz", "Basic dXNlcjpwYXNz\r", " Basic dXNlcjpwYXNz"])
def test_commands_of_the_readme_store_no_newline_in_a_secret(tmp_path: Path, pasted: str) -> None:
    (tmp_path / "kubectl").write_text('#!/bin/sh\nprintf "%s\\n" "$*" >> "$OUT.arguments"\ncat > "$OUT"\n')
    (tmp_path / "kubectl").chmod(0o755)
    commands = re.findall(r"```sh\n(read -rs .*?)```", README.read_text(), re.DOTALL)
    assert len(commands) == 3
    for command in commands:
        out = tmp_path / "secret"
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "OUT": str(out)}
        subprocess.run(["bash", "-ec", command], input=f"{pasted}\n", env=environment, text=True, check=True)
        assert out.read_text() == "Basic dXNlcjpwYXNz"
        assert "--from-file=authorization=/dev/stdin" in (tmp_path / "secret.arguments").read_text()
