"""What `gate render` writes lints clean, is what was asked for, and shows a credential in one place alone."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.gate.go_format import parse_duration
from exporter.gate.render import manifest
from exporter.gate.render.answers import Answers, Credential, NoData, Signal, parse_credential
from tests.gate.lint.helpers import findings
from tests.gate.render.article import ARTICLE

PROOF = Credential("c1", "hidden-token")
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
    """Return a whole Rollout with the snippet in it."""
    found = yaml.safe_load(manifest.snippet(answers))
    head = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    return yaml.safe_dump({**head, "metadata": {"name": answers.rollout_name, "namespace": answers.namespace}, **found})


def whole(answers: Answers) -> str:
    return "---\n".join((manifest.secret(answers, PROOF), manifest.template(answers), rollout(answers)))


@st.composite
def answers(draw: st.DrawFn) -> Answers:
    """Return any answers that contradict neither themselves nor each other."""
    signal = draw(st.sampled_from(Signal))
    scrape = draw(st.sampled_from([10, 15, 30, 60]))
    interval = scrape * draw(st.integers(1, 10))
    count = draw(st.integers(1, 12))
    low, high = sorted(draw(st.lists(st.floats(0.001, 100).map(lambda one: round(one, 4)), min_size=2, max_size=2)))
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


@settings(max_examples=120, deadline=None, derandomize=True)
@given(made=answers())
def test_whatever_is_asked_for_lints_clean(made: Answers) -> None:
    found = findings(whole(made), version=made.controller, scrape=made.scrape_interval, delay=made.read_delay)
    assert found == ()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(made=answers())
def test_what_was_asked_for_is_what_is_written(made: Answers) -> None:
    (template,) = yaml.safe_load_all(manifest.template(made))
    (metric,) = template["spec"]["metrics"]
    given = {row["name"]: row.get("value") for row in template["spec"]["args"]}
    assert template["kind"] == ("ClusterAnalysisTemplate" if made.cluster_scope else "AnalysisTemplate")
    assert parse_duration(metric["interval"]) == made.interval * 10**9
    assert parse_duration(metric["initialDelay"]) >= (made.range + made.read_delay) * 10**9
    assert metric["failureLimit"] == made.failures - 1
    assert metric["count"] == made.count
    assert float(given["success"]) == made.success
    assert float(given["failure"]) == made.failure
    assert given["address"] == "https://read-app-tsdb.last9.io/hot/v1/metrics/c1/sender/acme"
    assert ("basicAuth" in manifest.template(made)) is (made.controller == "1.11.0")
    if made.signal is Signal.PROMQL:
        assert metric["provider"]["prometheus"]["query"].strip("\n") == made.query


@pytest.mark.parametrize("signal", [one for one in Signal if one is not Signal.PROMQL])
def test_each_signal_is_exactly_this_gate(signal: Signal, golden: Any) -> None:
    golden(f"{signal}.yaml", manifest.template(Answers.model_validate({**ARTICLE, "signal": signal})))


def test_the_rollout_and_the_secret_are_exactly_these(golden: Any) -> None:
    made = Answers.model_validate(ARTICLE)
    golden("rollout.yaml", manifest.snippet(made))
    golden("secret.yaml", manifest.secret(made, Credential("user", "pass")))


def test_the_credential_is_in_the_secret_and_nowhere_else() -> None:
    made = Answers.model_validate(ARTICLE)
    assert PROOF.header.split()[1] in manifest.secret(made, PROOF)
    for text in (manifest.template(made), manifest.snippet(made), repr(PROOF), str(PROOF)):
        assert "hidden-token" not in text
        assert PROOF.header.split()[1] not in text


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
def test_a_credential_in_whatever_form_becomes_one_line(text: str) -> None:
    assert parse_credential(text).header == "Basic dXNlcjpwYSBzcw=="


@pytest.mark.parametrize("text", ["", "Bearer abc", "Basic", "Basic !!!", "s3cret", ":x", "x:", "Basic dXNlcg=="])
def test_what_is_no_credential_is_refused_unseen(text: str) -> None:
    with pytest.raises(ValueError, match="user:password") as refused:
        parse_credential(text)
    assert text in {"", "Basic", ":x", "x:"} or text not in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "why"),
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
def test_what_contradicts_itself_is_refused_with_its_cure(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Answers.model_validate({**ARTICLE, **wrong})


def test_thresholds_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValueError, match="--failure"):
        manifest.template(Answers.model_validate({**ARTICLE, "success": 0.2}))


@pytest.mark.parametrize("query", ["sum(", '"text"', "x[2m]"])
def test_a_query_that_no_controller_can_judge_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match=r"bracket|parenthes|instant vector|PromQL"):
        manifest.template(Answers.model_validate({**ARTICLE, "signal": "promql", "query": query}))
