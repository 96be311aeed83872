"""The linter agrees with the validation and evaluation of the controller, and with recorded runs."""

from __future__ import annotations

import json
from functools import cache
from itertools import product
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.gate.controller import parse_version
from exporter.gate.lint.checks.limits import check_refused
from exporter.gate.lint.condition_tester import condition_testers
from exporter.gate.provider import evaluate_result
from exporter.gate.template import read_spec
from exporter.gate.validation import first_error
from exporter.net.prometheus_response import QuerySample, Vector
from tests.gate.lint.helpers import parse_texts, rules
from tests.gate.recorded import lines

VERSIONS = st.sampled_from(["1.6.6", "1.7.2", "1.8.3", "1.9.3", "1.10.2", "1.11.0"])
REFUSED = {"limits", "interval-missing", "duration", "provider", "metric-name", "no-metrics"}
LIMIT = st.none() | st.integers(-2, 6) | st.sampled_from(["3", "-1", "two"])
CONDITIONS = [
    "result[0] < 0.05",
    "result[0] >= 0.1",
    "len(result) > 0 && result[0] < 0.05",
    "len(result) == 0 || result[0] >= 0.1",
    "all(result, {# < 0.05})",
    "any(result, {isNaN(#) || # > 0.1})",
    "default(result, 0) < 0.05",
    "result < 0.05",
    "result[0]",
    "result[1] < 0.05",
    "result[0] <",
    "true",
    "mean(result) < 0.05",
    "",
]


def run(*metrics: dict[str, Any], **more: Any) -> str:
    head = {"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": "x", "namespace": "n"}}
    return yaml.safe_dump({**head, "spec": {"metrics": list(metrics), **more}})


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    version=VERSIONS,
    limits=st.fixed_dictionaries(
        {},
        optional={
            "count": LIMIT,
            "failureLimit": LIMIT,
            "inconclusiveLimit": LIMIT,
            "consecutiveErrorLimit": LIMIT,
            "consecutiveSuccessLimit": LIMIT,
            "interval": st.sampled_from(["1m", "5", "1d", "-1m", "1h30m", "x"]),
            "initialDelay": st.sampled_from(["1m", "90", "0"]),
        },
    ),
    names=st.sampled_from([["a"], ["a", "a"], ["a", "b"], []]),
    provider=st.sampled_from(
        [{"prometheus": {"query": "up"}}, {}, {"prometheus": {"query": "up"}, "web": {"url": "x"}}]
    ),
)
def test_lint_finds_exactly_the_specs_that_the_controller_rejects(
    version: str, limits: dict[str, Any], names: list[str], provider: dict[str, Any]
) -> None:
    if not parse_version(version).minor >= (1, 8):
        limits.pop("consecutiveSuccessLimit", None)  # the API server drops it
    given_limits = {name: value for name, value in limits.items() if value is not None}
    metrics = [{"name": name, "provider": provider, **given_limits} for name in names]
    refused = first_error(read_spec({"metrics": metrics}).metrics, parse_version(version)) is not None
    assert bool(REFUSED & set(rules(run(*metrics), version=version))) is refused


@pytest.mark.parametrize("version", ["1.7.2", "1.9.1"])
def test_limits_are_rejected_as_by_the_controller(version: str) -> None:
    names = ("count", "failureLimit", "inconclusiveLimit", *(["consecutiveSuccessLimit"] if version == "1.9.1" else []))
    for values in product((None, -1, 0, 1, 2, 3), repeat=len(names)):
        limits = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        metric = {"name": "m", "interval": "1m", "provider": {"prometheus": {"query": "up"}}, **limits}
        refused = first_error(read_spec({"metrics": [metric]}).metrics, parse_version(version)) is not None
        head = {"kind": "AnalysisRun", "spec": {"metrics": [metric]}}
        assert bool([*check_refused(parse_texts(json.dumps(head), version=version))]) is refused, limits


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    version=VERSIONS,
    success=st.sampled_from(CONDITIONS),
    failure=st.sampled_from(CONDITIONS),
    values=st.lists(st.sampled_from([0.0, 0.01, 0.05, 0.07, 0.1, 0.5, float("nan"), float("inf")]), max_size=3),
)
def test_a_condition_tester_agrees_with_the_controller(
    version: str, success: str, failure: str, values: list[float]
) -> None:
    metric = {"name": "m", "provider": {"prometheus": {"query": "up", "address": "http://p:9090"}}}
    metric |= {name: text for name, text in (("successCondition", success), ("failureCondition", failure)) if text}
    answer = Vector(tuple(QuerySample((), 0.0, value) for value in values))
    (tester,) = condition_testers(parse_texts(run(metric), version=version))
    if tester.is_evaluable:
        (typed,) = read_spec({"metrics": [metric]}).metrics
        assert tester.phase(*values) is evaluate_result(typed, answer, parse_version(version)).outcome.phase


@pytest.mark.parametrize("condition", CONDITIONS)
def test_condition_that_fails_for_every_result_is_found(condition: str) -> None:
    metric = {"name": "m", "provider": {"prometheus": {"query": "up"}}, "successCondition": condition}
    (typed,) = read_spec({"metrics": [metric]}).metrics
    answers = [
        Vector(tuple(QuerySample((), 0.0, value) for value in values))
        for values in ([0.0], [1.0], [0.0, 1.0], [1.0, 0.0])
    ]
    never = all(evaluate_result(typed, answer, parse_version("1.9.1")).outcome.phase == "Error" for answer in answers)
    assert ("condition" in rules(run(metric))) is never


QUERY_ERRORS = ("server_error", "client_error", "bad_data", "unmarshaler", "prometheus address", "invalid header")
SPEC = REFUSED | {"argument-unresolved", "argument-without-value", "matches-nothing"}


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.8.3", "1.10.0-rc1"])
def test_rejected_recorded_runs_are_found(version: str) -> None:
    for name, status, broken in lint_recorded_runs(version):
        refused = str(status.get("message", "")).startswith(("Analysis spec invalid", "Unable to resolve"))
        assert bool(SPEC & broken) is refused, name


@pytest.mark.parametrize("version", ["1.8.3", "1.10.0-rc1"])
def test_recorded_condition_errors_are_found_without_false_positives(version: str) -> None:
    """Without runs whose results have another type than their query, which a linter cannot detect."""
    for name, status, broken in lint_recorded_runs(version):
        message = str(status.get("message", ""))
        if "Error Message" in message and not any(word in message for word in QUERY_ERRORS):
            assert broken & {"condition", "empty"} or name.startswith("a-t-"), name
        if status.get("phase") in {"Successful", "Failed", "Inconclusive"}:
            assert "condition" not in broken or name.startswith("a-t-"), name


@cache
def lint_recorded_runs(version: str) -> list[tuple[str, dict[str, Any], set[str]]]:
    """Return name, status and broken rules of each recorded run; equal specs are linted once."""
    rules_by_text: dict[str, set[str]] = {}
    runs = []
    for case in lines(f"cases-{version}"):
        text = run(
            *case["spec"]["metrics"], **{name: value for name, value in case["spec"].items() if name != "metrics"}
        )
        text = text.replace(case["name"], "up")
        if text not in rules_by_text:
            rules_by_text[text] = set(rules(text, version=version))
        runs.append((case["name"], case["status"] or {}, rules_by_text[text]))
    return runs
