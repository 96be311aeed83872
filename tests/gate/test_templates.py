"""Templates are loaded and arguments substituted as in the controller."""

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


def test_gate_of_the_article_is_loaded() -> None:
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


def test_data_of_a_secret_is_decoded_unchanged() -> None:
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
def test_wrong_type_is_an_error_with_its_path(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(TemplateError) as error:
        read_spec({"metrics": [{"name": "m", **fields}]})
    assert str(error.value) == message


def test_invalid_yaml_is_an_error() -> None:
    with pytest.raises(TemplateError, match="it is not YAML: "):
        read_objects("a: [")


def test_unreferenced_template_is_selected() -> None:
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
    spec = resolve_spec(template, templates, {"y": "2"})
    assert [metric.name for metric in spec.metrics] == ["a", "b"]
    assert spec.args == (Argument("x", "1"), Argument("y", "2"))
    assert select(templates, "part").name == "part"
    with pytest.raises(TemplateError, match="select one of the file's templates with --template: whole, part, shared"):
        select(templates, "other")
    with pytest.raises(TemplateError, match="the file contains no AnalysisTemplate part, to which whole refers"):
        resolve_spec(template, templates[:1], {})


def test_argument_is_substituted_and_quoted_everywhere() -> None:
    metric = replace(
        QUERY,
        success_condition="result[0] < {{ args.limit }}",
        count="{{args.n}}",
        prometheus=PrometheusProvider("{{args.a}}", 'up{x="{{args.limit}}"}', headers=(HttpHeader("A", "{{args.a}}"),)),
    )
    resolved = resolve(metric, {"limit": '0.05"\n\\', "n": "3", "a": "http://b"})
    assert resolved.success_condition == 'result[0] < 0.05"\n\\'
    assert resolved.count == "3"
    assert effective_count(resolved) == 3
    assert resolved.prometheus == PrometheusProvider(
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
def test_unresolved_placeholder_has_the_message_of_the_controller(
    query: str, values: dict[str, str | None], message: str
) -> None:
    with pytest.raises(ResolutionError) as error:
        resolve(replace(QUERY, prometheus=PrometheusProvider("http://a", query)), values)
    assert str(error.value) == message


def test_unclosed_placeholder_extends_to_the_next_braces_as_in_the_controller() -> None:
    with pytest.raises(ResolutionError, match=r'^failed to resolve \{\{ up","authentication"'):
        resolve(replace(QUERY, prometheus=PrometheusProvider("http://a", "{{ up")), {})


TEXT = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_categories=("Cc", "Cf", "Zs")) | st.just(" "),
    max_size=20,
).filter(lambda text: "{{" not in text)


@given(query=TEXT, value=TEXT, condition=TEXT)
@settings(max_examples=150, deadline=None)
def test_resolving_without_arguments_changes_nothing(query: str, value: str, condition: str) -> None:
    metric = replace(QUERY, success_condition=condition, prometheus=PrometheusProvider(value, query), failure_limit=0)
    assert resolve(metric, {}) == metric
    provider = resolve(replace(metric, prometheus=PrometheusProvider("a", "{{args.x}}")), {"x": value}).prometheus
    assert provider is not None
    assert provider.query == value
    assert '"failureLimit":0' in metric_json(metric)


def test_values_override_arguments_and_must_exist() -> None:
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
def test_durations_are_parsed_as_in_go(text: str, nanoseconds: int) -> None:
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
def test_invalid_duration_has_the_message_of_go(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        go_format.parse_duration(text)
    assert str(error.value) == message


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
def test_numbers_are_formatted_as_in_go(number: float, plain: str, general: str) -> None:
    assert (go_format.format_plain(number), go_format.format_general(number)) == (plain, general)


def test_features_depend_on_the_version() -> None:
    assert parse_version("v1.10.0-rc1").supports(Feature.NAMED_CONDITIONS)
    assert not parse_version("1.9.1").supports(Feature.EXPR_1_17)
    assert parse_version("1.11").supports(Feature.BASIC_AUTH)
    assert not parse_version("1.10").supports(Feature.BASIC_AUTH)
    assert all(parse_version("1.12.0").supports(feature) for feature in Feature), "not yet read: as the newest"
    for unknown in ("1.5.1", "2.0", "latest", ""):
        with pytest.raises(ValueError, match=r"--controller takes 1\.6 and newer"):
            parse_version(unknown)
