"""What a rule finds, beyond its pair of files: the siblings of each case, and what it must not report."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from exporter.gate.dialect import StoreKind
from tests.gate.lint.helpers import findings, rules

VICTORIA = "http://victoria.monitoring.svc:8428"
PROMETHEUS = "http://prometheus.monitoring.svc:9090"
GUARDED = "len(result) > 0 && result[0] < 0.05"


def metric(query: str = "sum(up) or vector(0)", address: str = PROMETHEUS, **fields: Any) -> dict[str, Any]:
    provider = {"prometheus": {"query": query, **({"address": address} if address else {})}}
    base = {"name": "m", "initialDelay": "10m", "interval": "1m", "count": 5, "successCondition": GUARDED}
    return {**base, "provider": provider, **fields}


def template(*metrics: dict[str, Any], name: str = "t", kind: str = "AnalysisTemplate", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, **({} if kind == "ClusterAnalysisTemplate" else {"namespace": "n"})}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": {"metrics": list(metrics), **spec},
    }


def rollout(*names: str, where: str = "step", **analysis: Any) -> dict[str, Any]:
    content = {"templates": [{"templateName": name} for name in names], **analysis}
    strategies: dict[str, Any] = {
        "step": {"canary": {"steps": [{"setWeight": 10}, {"analysis": content}]}},
        "background": {"canary": {"analysis": content}},
        "blueGreen": {"blueGreen": {"prePromotionAnalysis": content}},
    }
    head = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "r", "namespace": "n"}}
    return {**head, "spec": {"strategy": strategies[where]}}


def broken(*documents: dict[str, Any], **context: Any) -> list[str]:
    return rules(yaml.safe_dump_all(documents, sort_keys=False), **context)


METRICSQL_QUERY = "sum(rate(x_total)) default 0"


@pytest.mark.parametrize(
    ("address", "store", "expected"),
    [
        (VICTORIA, StoreKind.AUTO, []),
        ("http://vmselect.x.svc:8481/select/0/prometheus", StoreKind.AUTO, []),
        (PROMETHEUS, StoreKind.AUTO, ["promql"]),
        (PROMETHEUS, StoreKind.METRICSQL, []),
        (VICTORIA, StoreKind.PROMETHEUS, ["promql"]),
        ("", StoreKind.AUTO, ["metricsql", "no-address"]),
        ("", StoreKind.METRICSQL, ["no-address"]),
    ],
)
def test_metricsql_is_valid_by_store(address: str, store: StoreKind, expected: list[str]) -> None:
    assert sorted(broken(template(metric(METRICSQL_QUERY, address)), store=store)) == expected


def test_the_hint_of_metricsql_at_prometheus_is_the_option() -> None:
    for query in (METRICSQL_QUERY, 'sum(x{a="1" or a="2"}) or vector(0)', "sum(rate(x)) or vector(0)"):
        (finding,) = findings(yaml.safe_dump(template(metric(query))))
        assert (finding.rule, "--store metricsql" in finding.hint) == ("promql", True)


@pytest.mark.parametrize(
    ("address", "store", "expected"),
    [
        (PROMETHEUS, StoreKind.AUTO, ["unknown-function"]),
        (VICTORIA, StoreKind.AUTO, ["unknown-function"]),
        (PROMETHEUS, StoreKind.PROMETHEUS, ["promql"]),
        (VICTORIA, StoreKind.METRICSQL, ["promql"]),
    ],
)
def test_unknown_function_is_an_error_only_for_a_given_store(
    address: str, store: StoreKind, expected: list[str]
) -> None:
    assert broken(template(metric("sum(shiny(x))", address)), store=store) == expected


def test_duration_expressions_are_valid_at_prometheus_only() -> None:
    query = "sum(rate(x_total[5m * 2])) or vector(0)"
    assert broken(template(metric(query))) == []
    assert broken(template(metric(query, VICTORIA))) == ["promql"]


def test_a_number_is_a_list_at_victoria_metrics() -> None:
    gate = template(metric("scalar(sum(x) or vector(0))", successCondition="result < 0.05"))
    assert broken(gate) == ["nan-passes"] or broken(gate) == []
    assert "condition" in broken(gate, store=StoreKind.METRICSQL)


def test_dropped_nan_is_an_empty_result_at_victoria_metrics() -> None:
    query = "(sum(a) or vector(0)) / (sum(b) or vector(0))"
    gate = template(metric(query, successCondition="!isNaN(result[0]) && result[0] < 0.05"))
    assert broken(gate) == []
    assert broken(gate, store=StoreKind.METRICSQL) == ["empty"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"successCondition": "all(result, {# < 1})"}, ["vacuous"]),
        ({"successCondition": "none(result, {# > 1})"}, ["vacuous"]),
        ({"failureCondition": "any(result, {# > 1})", "successCondition": ""}, ["vacuous"]),
        ({"successCondition": "count(result, {# > 1}) == 0"}, ["vacuous"]),
        ({"successCondition": "len(filter(result, {# > 1})) == 0 && len(result) > 0"}, []),
        ({"successCondition": "len(result) > 0 && all(result, {# < 1})"}, []),
        ({"successCondition": "len(result) == 0 || all(result, {# < 1})"}, []),
        ({"successCondition": "any(result, {# > 1})"}, []),
        (
            {
                "successCondition": "all(result, {# < 1})",
                "failureCondition": "len(result) == 0 || any(result, {# >= 1})",
            },
            [],
        ),
    ],
)
def test_conditions_that_an_empty_result_meets_are_found(fields: dict[str, str], expected: list[str]) -> None:
    fields_set = {name: text for name, text in {**metric("x"), **fields}.items() if text != ""}
    assert broken(template(fields_set)) == expected


def test_a_result_that_is_never_empty_is_not_vacuous() -> None:
    assert broken(template(metric(successCondition="all(result, {# < 1})"))) == []


@pytest.mark.parametrize("where", ["step", "background", "blueGreen"])
@pytest.mark.parametrize(("values", "expected"), [("12", ["argument-conflict"]), ("11", [])])
def test_different_defaults_of_one_argument_are_found_in_every_analysis(
    where: str, values: str, expected: list[str]
) -> None:
    condition = "len(result) > 0 && result[0] < {{args.x}}"
    first, second = (
        template(metric(name=name, successCondition=condition), name=name, args=[{"name": "x", "value": value}])
        for name, value in zip("ab", values, strict=True)
    )
    assert broken(first, second, rollout("a", "b", where=where, args=[{"name": "x", "value": "9"}])) == expected


def test_different_defaults_are_found_in_nested_templates_without_a_rollout() -> None:
    condition = "len(result) > 0 && result[0] < {{args.x}}"
    inner = template(metric(successCondition=condition), name="in", args=[{"name": "x", "value": "2"}])
    middle = template(name="mid", templates=[{"templateName": "in"}])
    outer = template(name="out", templates=[{"templateName": "mid"}], args=[{"name": "x", "value": "1"}])
    assert broken(inner, middle, outer) == ["argument-conflict"]
    inner["spec"]["args"][0].pop("value")
    assert broken(inner, middle, outer, rollout("out")) == []


@pytest.mark.parametrize("field", ["dryRun", "measurementRetention"])
def test_rules_given_twice_are_found(field: str) -> None:
    rule: Any = {"metricName": "a", **({"limit": 3} if field == "measurementRetention" else {})}
    other = metric(name="b")
    twice = template(metric(name="a"), other, **dict[str, Any]({field: [rule, rule]}))
    once = template(metric(name="a"), other, **dict[str, Any]({field: [rule]}))
    assert broken(twice) == ["rule-repeated"]
    assert broken(once, rollout("t")) == []
    assert broken(once, rollout("t", **dict[str, Any]({field: [rule]}))) == ["rule-clash"]
    # A run that is created directly is not merged, and its rules are not compared.
    assert broken({**twice, "kind": "AnalysisRun"}) == []


@pytest.mark.parametrize("where", ["step", "background", "blueGreen"])
@pytest.mark.parametrize("field", ["dryRun", "measurementRetention"])
def test_rule_of_a_rollout_that_matches_nothing_is_found(field: str, where: str) -> None:
    gates = (
        template(metric(name="a"), name="out", templates=[{"templateName": "in"}]),
        template(metric(name="b"), name="in"),
    )
    rule: dict[str, Any] = {"metricName": "c", "limit": 3} if field == "measurementRetention" else {"metricName": "c"}
    assert broken(*gates, rollout("out", where=where, **{field: [rule]})) == ["rollout-rule"]
    assert broken(*gates, rollout("out", where=where, **{field: [{**rule, "metricName": "b"}]})) == []
    # A template that is not in the input may have the metric.
    assert broken(*gates, rollout("out", "elsewhere", where=where, **{field: [rule]})) == []


def test_rule_of_a_template_may_match_a_metric_of_another_one_of_the_analysis() -> None:
    first = template(metric(name="a"), name="a", dryRun=[{"metricName": "b"}])
    second = template(metric(name="b"), name="b")
    assert broken(first, second) == ["matches-nothing"]
    assert broken(first, second, rollout("a", "b")) == []


def test_fields_beside_spec_or_of_another_kind_are_found() -> None:
    assert broken({**template(metric()), "args": [{"name": "x"}]}) == ["unknown-field"]
    assert broken(template(metric(), ttlStrategy={"secondsAfterCompletion": 5})) == ["unknown-field"]
    run = template(metric(), kind="AnalysisRun", ttlStrategy={"secondsAfterCompletion": 5})
    assert broken(run) == []
    beside = rollout("t")
    beside["spec"]["strategy"]["canary"]["steps"][1]["args"] = [{"name": "x", "value": "1"}]
    assert broken(template(metric()), beside) == ["unknown-field"]


BOTH = {"successCondition": GUARDED, "failureCondition": "len(result) == 0 || result[0] >= 0.05"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"failureLimit": 5}, ["limit-unreachable"]),
        ({"inconclusiveLimit": 5}, []),  # only a success condition: never Inconclusive
        ({**BOTH, "inconclusiveLimit": 5}, []),  # together they cover every value
        (
            {**BOTH, "failureCondition": "len(result) > 0 && result[0] > 1", "inconclusiveLimit": 5},
            ["limit-unreachable"],
        ),
        ({"count": None, "interval": None, "failureLimit": 1}, ["limit-unreachable"]),
    ],
)
def test_limit_that_cannot_be_exceeded_is_an_error_only_where_it_does_harm(
    fields: dict[str, Any], expected: list[str]
) -> None:
    fields_set = {name: value for name, value in {**metric(), **fields}.items() if value is not None}
    assert broken(template(fields_set)) == expected


def test_limit_of_a_dry_run_does_no_harm() -> None:
    gate = template(metric(failureLimit=5), metric(name="other"), dryRun=[{"metricName": "^m$"}])
    assert broken(gate) == []


@pytest.mark.parametrize(
    "query",
    [
        "max_over_time(sum(rate(x[1m]))[10m:1m]) or vector(0)",
        "quantile_over_time(0.9, (sum(a) / (sum(b) > 0))[1h:1m]) or vector(0)",
        "avg_over_time(max(x)[10m:]) or vector(0)",
    ],
)
def test_subquery_over_an_aggregation_is_one_series(query: str) -> None:
    assert broken(template(metric(query))) == []
    assert broken(template(metric(query, VICTORIA))) == []


CANARY, STABLE = 'sum(rate(x{role="canary"}[5m]))', 'sum(rate(x{role="stable"}[5m]))'


@pytest.mark.parametrize(
    ("query", "fields", "is_reported"),
    [
        (f"{CANARY} / ({STABLE} > 0)", {}, True),
        (f"{CANARY} > 2 * {STABLE}", {}, True),
        (f"{CANARY} - {STABLE}", {"count": None}, True),
        ('sum(x{pod=~".+-{{args.canary-hash}}-.+"}) - sum(x{pod=~".+-{{args.stable-hash}}-.+"})', {}, True),
        (f"{CANARY} - {STABLE}", {"failureLimit": 2}, False),
        (f"{CANARY} - {STABLE}", {"count": 1}, False),
        (f"{CANARY} unless {STABLE}", {}, False),
        (f"{CANARY}", {}, False),
        (f"sum_over_time((ln({CANARY}) - ln({STABLE}))[2h:1m])", {}, False),
    ],
)
def test_comparison_that_any_look_can_fail_is_found(query: str, fields: dict[str, Any], *, is_reported: bool) -> None:
    fields_set = {name: value for name, value in {**metric(query), **fields}.items() if value is not None}
    gate = template(fields_set)
    gate["spec"]["args"] = [{"name": name} for name in ("canary-hash", "stable-hash") if name in query]
    assert ("peeking" in broken(gate)) is is_reported


@pytest.mark.parametrize(
    ("tag", "words"),
    [("!vault", "Ansible Vault"), ("!Ref", "CloudFormation"), ("!reference", "GitLab"), ("!mine", "another program")],
)
@pytest.mark.parametrize("value", ['"text"', "[a, b]", "{a: b}", "|\n  several\n  lines"])
def test_tag_of_another_program_is_reported_as_what_it_is(tag: str, words: str, value: str) -> None:
    text = json.dumps(template(metric()))
    tagged = (
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: x, namespace: n}}\nstringData: {tag} {value}\n---\n{text}"
    )
    (finding,) = [item for item in findings(tagged) if item.rule == "yaml"]
    assert finding.line in {4, 5}
    assert words in finding.reason
    assert tag in finding.reason
    assert "not YAML" not in finding.reason


@pytest.mark.parametrize(
    ("address", "delay", "is_reported"), [(PROMETHEUS, "30s", False), (VICTORIA, "30s", True), (VICTORIA, "45s", False)]
)
def test_victoria_metrics_answers_later(address: str, delay: str, *, is_reported: bool) -> None:
    assert ("short-delay" in broken(template(metric(address=address, initialDelay=delay)))) is is_reported
    assert "short-delay" not in broken(template(metric(address=address, initialDelay=delay)), delay=30.0)


SINCE: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {
    "headers": ((1, 6), metric()),
    "oauth2": ((1, 7), metric()),
    "templates": ((1, 7), metric()),
    "rangeQuery": ((1, 8), metric(successCondition="len(result) > 0 && all(result, {# < 1})")),
    "consecutiveSuccessLimit": ((1, 8), metric(consecutiveSuccessLimit=2)),
    "basicAuth": ((1, 11), metric()),
}
PROMETHEUS_FIELDS: dict[str, dict[str, Any]] = {
    "headers": {"headers": [{"key": "X-Scope-OrgID", "value": "a"}]},
    "oauth2": {"authentication": {"oauth2": {"tokenUrl": "https://x.example/t", "clientId": "a"}}},
    "rangeQuery": {"rangeQuery": {"start": 'now() - duration("5m")', "end": "now()", "step": "1m"}},
    "basicAuth": {"authentication": {"basicAuth": {"username": "a"}}},
}


@pytest.mark.parametrize("version", ["1.6.6", "1.7.2", "1.8.3", "1.9.3", "1.10.2", "1.11", "1.11.0"])
@pytest.mark.parametrize("field", SINCE)
def test_each_field_is_valid_from_its_version_on(field: str, version: str) -> None:
    since, content = SINCE[field]
    gate = template({**content, "provider": {"prometheus": {**content["provider"]["prometheus"]}}})
    gate["spec"]["metrics"][0]["provider"]["prometheus"] |= PROMETHEUS_FIELDS.get(field, {})
    others = [template(metric(name="b"), name="in")]
    if field == "templates":
        gate["spec"]["templates"] = [{"templateName": "in"}]
    is_early = tuple(map(int, version.split(".")[:2])) < since
    reported = {"too-early", "basic-auth"} & set(broken(gate, *others, version=version))
    assert bool(reported) is is_early
