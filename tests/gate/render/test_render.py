"""`gate render` writes gates without findings that contain the answers; only the Secret contains the credential."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.gate.dialect import StoreKind
from exporter.gate.go_format import parse_duration
from exporter.gate.render import manifest
from exporter.gate.render.answers import SEQUENTIAL_SIGNALS, Answers, Credential, NoData, Signal, parse_credential
from tests.gate.lint.helpers import findings
from tests.gate.render.article import ARTICLE

CREDENTIAL = Credential("c1", "hidden-token")
QUERIES = [
    'sum(rate(x_total{service="{{args.service-name}}"}[5m]))',
    'x{pod=~".+-{{args.canary-hash}}-.+"}',
    "sum by (pod) (x) / sum by (pod) (y)",
    "scalar(sum(x))",
    "absent(up)",
    "rate(x[5m])\nand\n  y > 0",
    "max_over_time(x[10m])",
]


def rollout(answers: Answers) -> str:
    """Return a complete Rollout that contains the snippet."""
    steps = yaml.safe_load(manifest.snippet(answers))
    head = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    return yaml.safe_dump({**head, "metadata": {"name": answers.rollout_name, "namespace": answers.namespace}, **steps})


def with_rollout(answers: Answers) -> str:
    return "---\n".join((manifest.secret(answers, CREDENTIAL), manifest.template(answers), rollout(answers)))


@st.composite
def answers(draw: st.DrawFn) -> Answers:
    """Return any answers that contradict neither themselves nor each other."""
    signal = draw(st.sampled_from(Signal))
    scrape = draw(st.sampled_from([10, 15, 30, 60]))
    interval = scrape * draw(st.integers(1, 10))
    count = draw(st.integers(1, 12))
    low, high = sorted(draw(st.lists(st.floats(0.001, 100).map(lambda value: round(value, 4)), min_size=2, max_size=2)))
    better = draw(st.booleans())
    try:
        return Answers(
            signal=signal,
            service=draw(st.sampled_from(["checkout", "a.b-c_d", "ns/svc", "überweisung"])),
            namespace=draw(st.sampled_from(["production", "default"])),
            cluster_id="c1",
            organization="acme",
            rollout=draw(st.sampled_from(["", "web"])) or "checkout",
            query=draw(st.sampled_from(QUERIES)) if signal is Signal.PROMQL else "",
            success=high if better else low,
            failure=low if better else high,
            higher_is_better=better,
            no_data=draw(st.sampled_from(NoData)),
            interval=interval,
            count=count,
            failures=draw(st.integers(1, count)),
            inconclusives=draw(st.integers(1, count)),
            scrape_interval=scrape,
            read_delay=draw(st.integers(1, 120)),
            weight=draw(st.integers(1, 50)),
            next_weight=draw(st.integers(51, 100)),
            cluster_scope=draw(st.booleans()),
            pod_label=draw(st.sampled_from(["pod", "", "k8s_pod_name"])),
            controller=draw(st.sampled_from(["1.6.6", "1.7.2", "1.8.3", "1.9.1", "1.10.0-rc1", "1.11.0"])),
        )
    except ValidationError:
        reject()


@pytest.mark.slow
@settings(max_examples=120, deadline=None, derandomize=True)
@given(gate_answers=answers())
def test_any_answers_give_a_gate_without_findings(gate_answers: Answers) -> None:
    result = findings(
        with_rollout(gate_answers),
        version=gate_answers.controller,
        scrape=gate_answers.scrape_interval,
        delay=gate_answers.read_delay,
    )
    # A comparison that one of several measurements fails peeks: such answers are warned about rightly.
    assert {finding.rule for finding in result} <= {"peeking"}


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    signal=st.sampled_from(SEQUENTIAL_SIGNALS),
    numbers=st.tuples(st.floats(1.01, 100), st.floats(0.0001, 0.5), st.floats(0.0001, 0.5), st.floats(0.001, 90)),
    scrape=st.sampled_from([5, 10, 15, 30, 45, 60]),
    looks=st.tuples(st.integers(60, 300), st.integers(2, 60), st.sampled_from(["1.8.3", "1.9.1", "1.11.0"])),
    store=st.sampled_from(StoreKind),
)
def test_any_sequential_gate_has_no_findings(
    signal: Signal,
    numbers: tuple[float, float, float, float],
    scrape: int,
    looks: tuple[int, int, str],
    store: StoreKind,
) -> None:
    worse, false_alarm, miss, slower_than = numbers
    interval, count, controller = looks
    values: dict[str, Any] = {
        "service": "checkout",
        "namespace": "shop",
        "rollout": "checkout",
        "cluster_id": "c1",
        "organization": "a",
        "signal": signal,
        "test": "sequential",
        "scrape_interval": scrape,
        "interval": interval,
        "count": count,
        "worse": worse,
        "false_alarm": false_alarm,
        "miss": miss,
        "controller": controller,
        "store": store,
        **({"slower_than": slower_than} if signal is Signal.LATENCY else {}),
    }
    gate_answers = Answers.model_validate(values)
    assert findings(with_rollout(gate_answers), version=controller, scrape=scrape) == ()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(gate_answers=answers())
def test_gate_contains_the_answers(gate_answers: Answers) -> None:
    (template,) = yaml.safe_load_all(manifest.template(gate_answers))
    (metric,) = template["spec"]["metrics"]
    values = {row["name"]: row.get("value") for row in template["spec"]["args"]}
    assert template["kind"] == ("ClusterAnalysisTemplate" if gate_answers.cluster_scope else "AnalysisTemplate")
    assert parse_duration(metric["interval"]) == gate_answers.interval * 10**9
    assert parse_duration(metric["initialDelay"]) >= (gate_answers.range + gate_answers.read_delay) * 10**9
    assert metric["failureLimit"] == gate_answers.failures - 1
    assert metric["count"] == gate_answers.count
    assert float(values["success"]) == gate_answers.success
    assert float(values["failure"]) == gate_answers.failure
    assert values["address"] == "https://read-app-tsdb.last9.io/hot/v1/metrics/c1/sender/acme"
    assert ("basicAuth" in manifest.template(gate_answers)) is (gate_answers.controller == "1.11.0")
    if gate_answers.signal is Signal.PROMQL:
        assert metric["provider"]["prometheus"]["query"].strip("\n") == gate_answers.query


@pytest.mark.parametrize("signal", SEQUENTIAL_SIGNALS)
def test_sequential_gate_is_unchanged(signal: Signal, golden: Any) -> None:
    answers = {key: value for key, value in ARTICLE.items() if key not in {"success", "failure", "failures"}}
    text = manifest.template(Answers.model_validate({**answers, "signal": signal, "test": "sequential"}))
    golden(f"sequential-{signal}.yaml", text)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"signal": "saturation"}, "use --signal error-rate or latency"),
        ({"failures": 2}, "--failures cannot be set with --test sequential"),
        ({"no_data": "fail", "success": 1}, "--no-data, --success cannot be set with --test sequential"),
        ({"controller": "1.7.2"}, "needs --controller 1.8 or later: 1.7.2 has no consecutiveSuccessLimit"),
        ({"pod_label": "k8s_pod_name"}, "needs request metrics with the label pod"),
        ({"count": 61}, "the gate may last 2h1m45s, but --window counts only 2h"),
        ({"test": "threshold", "worse": 3}, "--worse and --test sequential must be set together"),
        ({"worse": 1}, "greater than 1"),
    ],
)
def test_contradictions_of_the_sequential_test_are_refused(answers: dict[str, Any], message: str) -> None:
    base = {"signal": "error-rate", "test": "sequential", "service": "checkout", "cluster_id": "c", "organization": "o"}
    with pytest.raises(ValidationError, match=message):
        Answers.model_validate({**base, "window": "2h", **answers})


@pytest.mark.parametrize("signal", [signal for signal in Signal if signal is not Signal.PROMQL])
def test_gate_of_each_signal_is_unchanged(signal: Signal, golden: Any) -> None:
    golden(f"{signal}.yaml", manifest.template(Answers.model_validate({**ARTICLE, "signal": signal})))


def test_rollout_and_secret_are_unchanged(golden: Any) -> None:
    gate_answers = Answers.model_validate(ARTICLE)
    golden("rollout.yaml", manifest.snippet(gate_answers))
    golden("secret.yaml", manifest.secret(gate_answers, Credential("user", "pass")))


def test_only_the_secret_contains_the_credential() -> None:
    gate_answers = Answers.model_validate(ARTICLE)
    assert CREDENTIAL.header.split()[1] in manifest.secret(gate_answers, CREDENTIAL)
    for text in (manifest.template(gate_answers), manifest.snippet(gate_answers), repr(CREDENTIAL), str(CREDENTIAL)):
        assert "hidden-token" not in text
        assert CREDENTIAL.header.split()[1] not in text


@pytest.mark.parametrize(
    "text",
    [
        "user:pa ss",
        "dXNlcjpwYSBzcw==",
        "Basic dXNlcjpwYSBzcw==",
        "  basic   dXNlcjpw\n  YSBzcw==\n",
        "dXNlcjpw\r\nYSBzcw==\r\n",
        base64.b64encode(b"user:pa ss\n").decode(),
    ],
)
def test_credential_in_any_form_becomes_one_header(text: str) -> None:
    assert parse_credential(text).header == "Basic dXNlcjpwYSBzcw=="


@pytest.mark.parametrize("text", ["", "Bearer abc", "Basic", "Basic !!!", "s3cret", ":x", "x:", "Basic dXNlcg=="])
def test_invalid_credential_is_rejected_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="user:password") as refused:
        parse_credential(text)
    assert text in {"", "Basic", ":x", "x:"} or text not in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "pattern"),
    [
        ({"failures": 9}, "--count"),
        ({"interval": "10s"}, "--scrape-interval"),
        ({"interval": "1d"}, "unknown unit"),
        ({"window": "30s"}, "two scrapes"),
        ({"window": "10m"}, "one bad moment"),
        ({"organization": ""}, "--organization"),
        ({"signal": "promql"}, "--query"),
        ({"service": 'a"b'}, "label value"),
        ({"service": "{{args.x}}"}, "label value"),
        ({"namespace": "Prod"}, "Kubernetes"),
        ({"controller": "1.5.1"}, "1.6"),
        ({"next_weight": 5}, "--next-weight"),
        ({"success": "nan"}, "finite"),
        ({"sevrice": "x"}, "Extra"),
    ],
)
def test_contradicting_answers_are_an_error_with_a_hint(wrong: dict[str, Any], pattern: str) -> None:
    with pytest.raises(ValidationError, match=pattern):
        Answers.model_validate({**ARTICLE, **wrong})


def test_reversed_thresholds_are_an_error() -> None:
    with pytest.raises(ValueError, match="--failure"):
        manifest.template(Answers.model_validate({**ARTICLE, "success": 0.2}))


@pytest.mark.parametrize("query", ["sum(", '"text"', "x[2m]"])
def test_query_without_conditions_is_an_error(query: str) -> None:
    with pytest.raises(ValueError, match=r"bracket|parenthes|instant vector|PromQL"):
        manifest.template(Answers.model_validate({**ARTICLE, "signal": "promql", "query": query}))
