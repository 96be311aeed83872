"""Files → templates, and arguments put in place, as the controller does both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.gate import go_format
from exporter.gate.arguments import ResolutionError, merge_args, resolve
from exporter.gate.controller import Feature, parse_version
from exporter.gate.load import read_objects, resolve_spec, select
from exporter.gate.template import (
    Argument,
    HttpHeader,
    Metric,
    ObjectKind,
    PrometheusProvider,
    SecretKeyRef,
    TemplateError,
    effective_count,
    metric_json,
    read_spec,
)
from tests.gate.gates import ARTICLE, SECRET, TOKEN

QUERY = Metric("m", prometheus=PrometheusProvider("http://a", "up"))


def test_the_articles_gate_is_read_whole() -> None:
    objects = read_objects(ARTICLE + SECRET)
    (template,) = objects.templates
    assert (template.kind, template.name, template.namespace) == (ObjectKind.TEMPLATE, "last9-error-rate", "production")
    assert template.spec.args == (
        Argument("service-name"),
        Argument("last9-auth", secret=SecretKeyRef("last9-prometheus-auth", "authorization")),
    )
    (metric,) = template.spec.metrics
    assert (metric.interval, metric.count, metric.failure_limit, metric.success_condition) == (
        "2m",
        8,
        3,
        "result[0] < 0.05",
    )
    assert objects.secrets == {("last9-prometheus-auth", "authorization"): f"Basic {TOKEN}"}
    assert TOKEN not in repr(objects)


def test_data_of_a_secret_is_decoded_as_it_is() -> None:
    text = "kind: Secret\nmetadata: {name: s}\ndata: {a: eAo=}\nstringData: {b: y}\n"
    assert read_objects(text).secrets == {("s", "a"): "x\n", ("s", "b"): "y"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"count": 1.5}, "spec.metrics[0].count must be a whole number"),
        ({"interval": 30}, "spec.metrics[0].interval must be text; put quotes around 30"),
        (
            {"provider": {"prometheus": {"timeout": "30"}}},
            "spec.metrics[0].provider.prometheus.timeout must be a whole number",
        ),
        ({"provider": {"prometheus": {"headers": {}}}}, "spec.metrics[0].provider.prometheus.headers must be a list"),
        ({"provider": []}, "spec.metrics[0].provider must be a map"),
        (
            {"provider": {"prometheus": {"insecure": "yes"}}},
            "spec.metrics[0].provider.prometheus.insecure must be true or false",
        ),
    ],
)
def test_what_no_cluster_takes_is_refused_with_its_place(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(TemplateError) as found:
        read_spec({"metrics": [{"name": "m", **fields}]})
    assert str(found.value) == message


def test_a_file_that_is_no_yaml_says_so() -> None:
    with pytest.raises(TemplateError, match="it is not YAML: "):
        read_objects("a: [")


def test_the_template_that_no_other_refers_to_is_meant() -> None:
    text = """
kind: AnalysisTemplate
metadata: {name: whole}
spec:
  args: [{name: x, value: "1"}]
  templates: [{templateName: part}, {templateName: shared, clusterScope: true}]
---
kind: AnalysisTemplate
metadata: {name: part}
spec: {metrics: [{name: a}], args: [{name: x}, {name: y}]}
---
kind: ClusterAnalysisTemplate
metadata: {name: shared}
spec: {metrics: [{name: b}]}
"""
    templates = read_objects(text).templates
    template = select(templates, None)
    assert template.name == "whole"
    found = resolve_spec(template, templates, {"y": "2"})
    assert [metric.name for metric in found.metrics] == ["a", "b"]
    assert found.args == (Argument("x", "1"), Argument("y", "2"))
    assert select(templates, "part").name == "part"
    with pytest.raises(TemplateError, match="select one of the file's templates with --template: whole, part, shared"):
        select(templates, "other")
    with pytest.raises(TemplateError, match="the file contains no AnalysisTemplate part, to which whole refers"):
        resolve_spec(template, templates[:1], {})


def test_a_value_is_put_in_place_wherever_it_stands_and_quoted_for_it() -> None:
    metric = replace(
        QUERY,
        success_condition="result[0] < {{ args.limit }}",
        count="{{args.n}}",
        prometheus=PrometheusProvider("{{args.a}}", 'up{x="{{args.limit}}"}', headers=(HttpHeader("A", "{{args.a}}"),)),
    )
    found = resolve(metric, {"limit": '0.05"\n\\', "n": "3", "a": "http://b"})
    assert found.success_condition == 'result[0] < 0.05"\n\\'
    assert found.count == "3"
    assert effective_count(found) == 3
    assert found.prometheus == PrometheusProvider(
        "http://b", 'up{x="0.05"\n\\"}', headers=(HttpHeader("A", "http://b"),)
    )


@pytest.mark.parametrize(
    ("query", "values", "message"),
    [
        ("{{args.x}}", {}, "failed to resolve {{args.x}}"),
        ("{{args.x}} {{ args.y }}", {}, "failed to resolve {{ args.y }}"),
        ("{{x}}", {"x": "1"}, "failed to resolve {{x}}"),
        ("up", {"x": None}, 'argument "x" was not supplied'),
        ("{{args.x}}", {"x": "\a"}, "invalid character 'a' in string escape code"),
    ],
)
def test_what_cannot_be_put_in_place_is_told_as_the_controller_tells_it(
    query: str, values: dict[str, str | None], message: str
) -> None:
    with pytest.raises(ResolutionError) as found:
        resolve(replace(QUERY, prometheus=PrometheusProvider("http://a", query)), values)
    assert str(found.value) == message


def test_a_stray_brace_swallows_what_follows_it_as_in_the_controller() -> None:
    with pytest.raises(ResolutionError, match=r'^failed to resolve \{\{ up","authentication"'):
        resolve(replace(QUERY, prometheus=PrometheusProvider("http://a", "{{ up")), {})


TEXT = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_categories=("Cc", "Cf", "Zs")) | st.just(" "),
    max_size=20,
).filter(lambda text: "{{" not in text)


@given(query=TEXT, value=TEXT, condition=TEXT)
@settings(max_examples=150, deadline=None)
def test_putting_nothing_in_place_changes_nothing(query: str, value: str, condition: str) -> None:
    metric = replace(QUERY, success_condition=condition, prometheus=PrometheusProvider(value, query), failure_limit=0)
    assert resolve(metric, {}) == metric
    asked = resolve(replace(metric, prometheus=PrometheusProvider("a", "{{args.x}}")), {"x": value}).prometheus
    assert asked is not None
    assert asked.query == value
    assert '"failureLimit":0' in metric_json(metric)


def test_given_arguments_win_and_must_be_known() -> None:
    template = (Argument("a", "1"), Argument("b"), Argument("c", secret=SecretKeyRef("s", "k")))
    assert merge_args(template, {"a": "2", "b": "3"}) == (Argument("a", "2"), Argument("b", "3"), template[2])
    with pytest.raises(ResolutionError, match=r"args\.b was not resolved"):
        merge_args(template, {})


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("1h30m", 5_400_000_000_000),
        ("1.5s", 1_500_000_000),
        ("-2ms", -2_000_000),
        (".5s", 500_000_000),
        ("1µs", 1000),
    ],
)
def test_durations_are_gos(text: str, nanoseconds: int) -> None:
    assert go_format.parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("5", 'time: missing unit in duration "5"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("s", 'time: invalid duration "s"'),
        ("1s1", 'time: missing unit in duration "1s1"'),
        ("9999999999h", 'time: invalid duration "9999999999h"'),
        ("1h 5m", 'time: unknown unit "h " in duration "1h 5m"'),
    ],
)
def test_what_is_no_duration_is_told_as_go_tells_it(text: str, message: str) -> None:
    with pytest.raises(ValueError) as found:  # noqa: PT011 - the whole message is compared
        go_format.parse_duration(text)
    assert str(found.value) == message


@pytest.mark.parametrize(
    ("number", "plain", "general"),
    [
        (0.0, "0", "0"),
        (-0.0, "-0", "-0"),
        (0.03, "0.03", "0.03"),
        (1e21, "1000000000000000000000", "1e+21"),
        (1e-7, "0.0000001", "1e-07"),
        (123456789.0, "123456789", "1.23456789e+08"),
        (float("nan"), "NaN", "NaN"),
        (float("inf"), "+Inf", "+Inf"),
        (float("-inf"), "-Inf", "-Inf"),
    ],
)
def test_numbers_are_written_as_go_writes_them(number: float, plain: str, general: str) -> None:
    assert (go_format.format_plain(number), go_format.format_general(number)) == (plain, general)


def test_versions() -> None:
    assert parse_version("v1.10.0-rc1").supports(Feature.NAMED_CONDITIONS)
    assert not parse_version("1.9.1").supports(Feature.EXPR_1_17)
    assert parse_version("1.11").supports(Feature.BASIC_AUTH)
    assert not parse_version("1.10").supports(Feature.BASIC_AUTH)
    for unknown in ("1.5.1", "2.0", "latest", ""):
        with pytest.raises(ValueError, match=r"--controller takes 1\.6 to 1\.11"):
            parse_version(unknown)
