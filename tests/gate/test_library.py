"""The gates of the chart are current, free of lint findings, valid, and correct in a real PromQL engine."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from exporter.gate.controller import parse_version
from exporter.gate.render.answers import Answers, Credential, Signal
from exporter.gate.render.manifest import secret, snippet, template
from exporter.gate.render.signals import query
from tests.chart.helm import CHART, render, values_arguments
from tests.chart.schemas import manifest_errors
from tests.gate.library import GATES, SHIPPED, render_gate
from tests.gate.lint.helpers import findings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VERSIONS = ("1.6.6", "1.7.2", "1.8.3", "1.9.1", "1.10.0-rc1", "1.11.0")
ANSWERS = {"service": "checkout", "namespace": "shop", "rollout": "web", "address": "http://prometheus:9090"}
ARGUMENT_VALUES = {
    "service-name": "checkout",
    "canary-hash": "abc",
    "namespace": "shop",
    "rollout-name": "web",
    "environment": "prod",
}
OLD_POD, NEW_POD = "web-xyz-1", "web-abc-1"
ERRORS = 'http_requests_total{namespace="shop", service="checkout", pod="%s", status="%s"}'
ROLE = 'argo_rollouts_pod_info{namespace="shop", name="web", pod="%s", role="%s"}'
BUCKET = 'http_request_duration_seconds_bucket{service="checkout", pod="%s", le="%s"}'
CPU = 'container_cpu_usage_seconds_total{namespace="shop", pod="%s", container="%s"}'
LIMIT = 'kube_pod_container_resource_limits{namespace="shop", pod="%s", resource="cpu"}'
TRACES = 'trace_endpoint_count{service_name="checkout", env="%s", span_kind="SPAN_KIND_SERVER", http_status_code="%s"}'
ROLES = [
    (ROLE % (OLD_POD, "stable"), "1x20"),
    (ROLE % (NEW_POD, "canary"), "1x20"),
    (ROLE % (NEW_POD, "stable"), "0x20"),
]
STABLE = [(ERRORS % (OLD_POD, "200"), "0+90x20"), (ERRORS % (OLD_POD, "500"), "0+10x20")]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_gate_is_generated_by_gate_render(name: str) -> None:
    assert (GATES / f"{name}.yaml").read_text() == render_gate(name), "python -m tests.gate.library --write"


def test_every_signal_except_promql_is_shipped() -> None:
    signals = {str(signal) for signal in Signal} - {"promql"}
    assert {path.stem for path in GATES.glob("*.yaml")} == signals | set(SHIPPED)


@pytest.mark.parametrize("path", sorted(GATES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_gate_has_no_lint_findings(path: Path) -> None:
    assert findings(path.read_text()) == ()


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_rendered_gates_have_no_lint_findings(version: str, require_program: Callable[[str], str]) -> None:
    require_program("helm")
    manifests = render(*values_arguments("gates"))
    assert manifests.count("kind: AnalysisTemplate") == 2 * len(list(CHART.glob("gates/*.yaml")))
    # The sequential gates need 1.8: before, they cannot pass before their last measurement.
    early = {"too-early"} if parse_version(version).minor < (1, 8) else set()
    assert {finding.rule for finding in findings(manifests, version=version)} == early


def test_example_rollout_has_no_lint_findings(require_program: Callable[[str], str]) -> None:
    require_program("helm")
    assert findings(render(*values_arguments("gates")), (CHART / "examples" / "rollout.yaml").read_text()) == ()


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS[:-1])
@pytest.mark.parametrize("name", SHIPPED)
def test_template_secret_and_rollout_are_valid_kubernetes(name: str, version: str) -> None:
    shipped = SHIPPED[name]
    version = max(version, "1.8.3", key=lambda text: parse_version(text).minor) if "test" in shipped else version
    answers = Answers.model_validate({**ANSWERS, **shipped, "controller": version})
    cluster_answers = Answers.model_validate({**ANSWERS, **shipped, "cluster_scope": True})
    rollout = yaml.safe_load((CHART / "examples" / "rollout.yaml").read_text())
    rollout["spec"]["strategy"] = yaml.safe_load(snippet(cluster_answers))["spec"]["strategy"]
    assert manifest_errors(yaml.safe_load(template(answers))) == []
    assert manifest_errors({**yaml.safe_load(template(cluster_answers)), "kind": "AnalysisTemplate"}) == [], (
        "both kinds have the same schema"
    )
    assert manifest_errors(yaml.safe_load(secret(answers, Credential("user", "token")))) == []
    assert manifest_errors(rollout) == []


MEASUREMENTS: list[Any] = [
    pytest.param(
        Signal.ERROR_RATE,
        [*STABLE, (ERRORS % (NEW_POD, "200"), "0+50x20"), (ERRORS % (NEW_POD, "500"), "0+50x20")],
        0.5,
        id="error-rate: of the canary, independent of the stable pods",
    ),
    pytest.param(
        Signal.ERROR_RATE, [*STABLE, (ERRORS % (NEW_POD, "200"), "0+50x20")], 0.0, id="error-rate: none, no series"
    ),
    pytest.param(Signal.ERROR_RATE, STABLE, None, id="error-rate: no traffic on the canary"),
    pytest.param(
        Signal.ERROR_RATE, [(ERRORS % (NEW_POD, "200"), "5x20")], None, id="error-rate: constant request counter"
    ),
    pytest.param(
        Signal.LATENCY,
        [
            (BUCKET % (NEW_POD, "1"), "0+50x20"),
            (BUCKET % (NEW_POD, "2"), "0+100x20"),
            (BUCKET % (NEW_POD, "+Inf"), "0+100x20"),
        ],
        1.9,
        id="latency: 95th percentile",
    ),
    pytest.param(
        Signal.SATURATION,
        [
            *((CPU % (NEW_POD, name), values) for name, values in (("app", "0+45x20"), ("", "0+60x20"))),
            (LIMIT % NEW_POD, "1x20"),
            (CPU % (OLD_POD, "app"), "0+6x20"),
            (LIMIT % OLD_POD, "1x20"),
        ],
        0.75,
        id="saturation: the canary's containers, of its limit",
    ),
    pytest.param(
        Signal.APM,
        [
            (TRACES % ("prod", "200"), "0+90x20"),
            (TRACES % ("prod", "503"), "0+10x20"),
            (TRACES % ("dev", "500"), "0+9x20"),
        ],
        0.1,
        id="apm: of one environment",
    ),
    pytest.param(
        Signal.COMPARISON,
        [*ROLES, *STABLE, (ERRORS % (NEW_POD, "200"), "0+75x20"), (ERRORS % (NEW_POD, "500"), "0+25x20")],
        0.15,
        id="comparison: 25 % against 10 %",
    ),
    pytest.param(
        Signal.COMPARISON,
        [*ROLES, (ERRORS % (OLD_POD, "200"), "0+90x20"), (ERRORS % (NEW_POD, "200"), "0+75x20")],
        0.0,
        id="comparison: neither has errors",
    ),
    pytest.param(Signal.COMPARISON, [*ROLES, *STABLE], None, id="comparison: no traffic on the canary"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("signal", "series", "value"), MEASUREMENTS)
def test_query_returns_the_expected_value(
    promtool: str, tmp_path: Path, signal: Signal, series: list[tuple[str, str]], value: float | None
) -> None:
    text = query(Answers.model_validate({**ANSWERS, "signal": signal}))
    for name, value_of_argument in ARGUMENT_VALUES.items():
        text = text.replace(f"{{{{args.{name}}}}}", value_of_argument)
    samples = [] if value is None else [{"labels": "{}", "value": 1}]
    comparison = text if value is None else f"abs(({text}) - {value}) < bool 1e-9"
    assert promtool_errors(promtool, tmp_path, series, comparison, samples) == ""


def promtool_errors(
    promtool: str, folder: Path, series: list[tuple[str, str]], expression: str, samples: list[Any]
) -> str:
    """Return the errors of promtool for the expected samples of an expression after ten minutes of the series."""
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series],
        "promql_expr_test": [{"expr": expression, "eval_time": "10m", "exp_samples": samples}],
    }
    file = folder / "unit.yaml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}))
    result = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    return "" if result.returncode == 0 else result.stdout + result.stderr
