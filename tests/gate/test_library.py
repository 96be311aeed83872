"""The gates that the chart ships: rendered, clean, taken by a cluster, and true in a real PromQL engine."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from exporter.gate.render.answers import Answers, Credential, Signal
from exporter.gate.render.manifest import secret, snippet, template
from exporter.gate.render.signals import query
from tests.chart.helm import CHART, rendered, values
from tests.chart.schemas import faults
from tests.gate.library import GATES, SHIPPED, gate
from tests.gate.lint.looking import findings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VERSIONS = ("1.6.6", "1.7.2", "1.8.3", "1.9.1", "1.10.0-rc1", "1.11.0")
ANSWERS = {"service": "checkout", "namespace": "shop", "rollout": "web", "address": "http://prometheus:9090"}
GIVEN = {
    "service-name": "checkout",
    "canary-hash": "abc",
    "namespace": "shop",
    "rollout-name": "web",
    "environment": "prod",
}
OLD, NEW = "web-xyz-1", "web-abc-1"
ERRORS = 'http_requests_total{namespace="shop", service="checkout", pod="%s", status="%s"}'
ROLE = 'argo_rollouts_pod_info{namespace="shop", name="web", pod="%s", role="%s"}'
BUCKET = 'http_request_duration_seconds_bucket{service="checkout", pod="%s", le="%s"}'
CPU = 'container_cpu_usage_seconds_total{namespace="shop", pod="%s", container="%s"}'
LIMIT = 'kube_pod_container_resource_limits{namespace="shop", pod="%s", resource="cpu"}'
TRACES = 'trace_endpoint_count{service_name="checkout", env="%s", span_kind="SPAN_KIND_SERVER", http_status_code="%s"}'
ROLES = [(ROLE % (OLD, "stable"), "1x20"), (ROLE % (NEW, "canary"), "1x20"), (ROLE % (NEW, "stable"), "0x20")]
STABLE = [(ERRORS % (OLD, "200"), "0+90x20"), (ERRORS % (OLD, "500"), "0+10x20")]


@pytest.mark.parametrize("signal", SHIPPED)
def test_a_shipped_gate_is_what_render_writes(signal: Signal) -> None:
    assert (GATES / f"{signal}.yaml").read_text() == gate(signal), "python -m tests.gate.library --write"


def test_every_signal_but_ones_own_query_is_shipped() -> None:
    assert {path.stem for path in GATES.glob("*.yaml")} == {str(one) for one in Signal} - {"promql"}


@pytest.mark.parametrize("path", sorted(GATES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_gates_file_lints_clean_as_it_stands(path: Path) -> None:
    assert findings(path.read_text()) == ()


@pytest.mark.parametrize("version", VERSIONS)
def test_all_that_the_chart_makes_of_gates_lints_clean(version: str, require_program: Callable[[str], str]) -> None:
    require_program("helm")
    made = rendered(*values("gates"))
    assert made.count("kind: AnalysisTemplate") == 2 * len(list(CHART.glob("gates/*.yaml")))
    assert findings(made, version=version) == ()


def test_the_charts_example_rollout_lints_clean_with_them(require_program: Callable[[str], str]) -> None:
    require_program("helm")
    assert findings(rendered(*values("gates")), (CHART / "examples" / "rollout.yaml").read_text()) == ()


@pytest.mark.parametrize("version", VERSIONS[:-1])
@pytest.mark.parametrize("signal", SHIPPED)
def test_a_cluster_takes_the_template_the_secret_and_the_rollout(signal: Signal, version: str) -> None:
    made = Answers.model_validate({**ANSWERS, "signal": signal, "controller": version})
    wider = Answers.model_validate({**ANSWERS, "signal": signal, "cluster_scope": True})
    rollout = yaml.safe_load((CHART / "examples" / "rollout.yaml").read_text())
    rollout["spec"]["strategy"] = yaml.safe_load(snippet(wider))["spec"]["strategy"]
    assert faults(yaml.safe_load(template(made))) == []
    assert faults({**yaml.safe_load(template(wider)), "kind": "AnalysisTemplate"}) == [], "they have one schema"
    assert faults(yaml.safe_load(secret(made, Credential("user", "token")))) == []
    assert faults(rollout) == []


MEASURED: list[Any] = [
    pytest.param(
        Signal.ERROR_RATE,
        [*STABLE, (ERRORS % (NEW, "200"), "0+50x20"), (ERRORS % (NEW, "500"), "0+50x20")],
        0.5,
        id="error-rate: the canary's own, whatever the stable does",
    ),
    pytest.param(
        Signal.ERROR_RATE, [*STABLE, (ERRORS % (NEW, "200"), "0+50x20")], 0.0, id="error-rate: none, no series"
    ),
    pytest.param(Signal.ERROR_RATE, STABLE, None, id="error-rate: no traffic on the canary"),
    pytest.param(
        Signal.ERROR_RATE, [(ERRORS % (NEW, "200"), "5x20")], None, id="error-rate: traffic that stands still"
    ),
    pytest.param(
        Signal.LATENCY,
        [(BUCKET % (NEW, "1"), "0+50x20"), (BUCKET % (NEW, "2"), "0+100x20"), (BUCKET % (NEW, "+Inf"), "0+100x20")],
        1.9,
        id="latency: 95th percentile",
    ),
    pytest.param(
        Signal.SATURATION,
        [
            *((CPU % (NEW, name), values) for name, values in (("app", "0+45x20"), ("", "0+60x20"))),
            (LIMIT % NEW, "1x20"),
            (CPU % (OLD, "app"), "0+6x20"),
            (LIMIT % OLD, "1x20"),
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
        [*ROLES, *STABLE, (ERRORS % (NEW, "200"), "0+75x20"), (ERRORS % (NEW, "500"), "0+25x20")],
        0.15,
        id="comparison: 25 % against 10 %",
    ),
    pytest.param(
        Signal.COMPARISON,
        [*ROLES, (ERRORS % (OLD, "200"), "0+90x20"), (ERRORS % (NEW, "200"), "0+75x20")],
        0.0,
        id="comparison: neither has errors",
    ),
    pytest.param(Signal.COMPARISON, [*ROLES, *STABLE], None, id="comparison: no traffic on the canary"),
]


@pytest.mark.parametrize(("signal", "series", "value"), MEASURED)
def test_each_query_measures_what_it_says(
    promtool: str, tmp_path: Path, signal: Signal, series: list[tuple[str, str]], value: float | None
) -> None:
    text = query(Answers.model_validate({**ANSWERS, "signal": signal}))
    for name, given in GIVEN.items():
        text = text.replace(f"{{{{args.{name}}}}}", given)
    answer = [] if value is None else [{"labels": "{}", "value": 1}]
    near = text if value is None else f"abs(({text}) - {value}) < bool 1e-9"
    assert asked(promtool, tmp_path, series, near, answer) == ""


def asked(promtool: str, folder: Path, series: list[tuple[str, str]], expression: str, samples: list[Any]) -> str:
    """Ask a real PromQL engine after ten minutes of the series; return what it has against the answer."""
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series],
        "promql_expr_test": [{"expr": expression, "eval_time": "10m", "exp_samples": samples}],
    }
    file = folder / "unit.yaml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr
