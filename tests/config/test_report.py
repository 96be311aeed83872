"""Output of the command `config`, and the reference of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from exporter.config import as_yaml, effective_settings, settings_reference

if TYPE_CHECKING:
    from pathlib import Path

    from tests.config.conftest import LoadConfig


def test_every_setting_has_its_value_and_its_origin(load_config: LoadConfig, tmp_path: Path) -> None:
    result = load_config(
        "otlp: {headers: {X-Key: k}}\nlog: {format: json}\nargo:\n  targets:\n  - a:1\nseries: {pass_through: [x.*]}",
        {
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1500",
            "ROLLOUTS_EXPORTER_ATTRIBUTES__zone": "z",
            "LAST9_AUTH_HEADER": "Basic YTpi",
        },
        {"log.level": "debug"},
    )
    rows = {row.path: (row.value, str(row.origin).replace(f"{tmp_path}/", "")) for row in effective_settings(result)}
    expected = {
        "mode": ("deployment", "default"),
        "argo.targets": ("['a:1']", "file x.yaml:4"),
        "argo.interval": ("15s", "default"),
        "kube_state_metrics.limits.body": ("512MiB", "default"),
        "otlp.endpoint": ("null", "default"),
        "otlp.timeout": ("1.5s", "environment OTEL_EXPORTER_OTLP_TIMEOUT"),
        "otlp.headers.authorization": ("'******'", "environment LAST9_AUTH_HEADER"),
        "otlp.headers.x-key": ("'******'", "file x.yaml:1"),
        "otlp.insecure": ("false", "default"),
        "attributes.zone": ("z", "environment ROLLOUTS_EXPORTER_ATTRIBUTES__zone"),
        "attributes.service.name": ("rollouts-exporter", "default"),
        "series.pass_through": ("[x.*]", "file x.yaml:6"),
        "log.level": ("debug", "command line"),
        "log.format": ("json", "file x.yaml:2"),
    }
    assert {path: rows[path] for path in expected} == expected


def test_several_installations_are_printed_with_an_index(load_config: LoadConfig) -> None:
    result = load_config("argo: [{targets: a:1}, {name: b, targets: b:1}]")
    paths = [row.path for row in effective_settings(result)]
    assert "argo[0].targets" in paths
    assert "argo[1].targets" in paths
    assert [installation["name"] for installation in yaml.safe_load(as_yaml(result))["argo"]] == ["default", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "argo: [{targets: [a:1]}, {name: 'b: #', targets: [b:1], interval: 30s, timeout: 250ms}]",
        "mode: sidecar\nattributes: {cluster: 'yes', x: '1.10', y: 'a: b # c', z: \"line\\nbreak\"}",
        "otlp: {endpoint: 'https://h/x', protocol: GRPC, queue: {age: 90m, bytes: 1000}}\nattributes: {cluster: none}",
        "series: {pass_through: ['a{1,2}', '[b]', '#']}",
        "lifecycle: {traffic_router: ['*/*'], role_values: {'on': canary}}",
    ],
)
def test_printed_settings_load_to_the_same_settings(load_config: LoadConfig, text: str) -> None:
    """The effective configuration without secrets is a configuration."""
    first = load_config(text)
    assert load_config(as_yaml(first)).settings == first.settings


def test_the_reference_has_every_setting_with_description_and_default(load_config: LoadConfig) -> None:
    entries = settings_reference()
    paths = [entry.path for entry in entries]
    assert len(set(paths)) == len(paths)
    assert all(entry.kind and entry.default and len(entry.description) > 10 for entry in entries)
    assert all(entry.description.endswith(".") for entry in entries)
    printed = {
        row.path.removesuffix(".service.name")
        for row in effective_settings(load_config())
        if ".role_values." not in row.path
    }
    assert printed <= set(paths)
    assert set(paths) - printed == {"lifecycle.role_values"}


def test_the_reference_has_kinds_and_defaults() -> None:
    by_path = {entry.path: (entry.kind, entry.default) for entry in settings_reference()}
    assert by_path["argo.interval"] == ("duration", "15s")
    assert by_path["argo.targets"] == ("list of host:port or URL", "['argo-rollouts-metrics.argo-rollouts.svc:8090']")
    assert by_path["kube_state_metrics.limits.body"] == ("size", "512MiB")
    assert by_path["otlp.protocol"] == ("http/protobuf | grpc", "http/protobuf")
    assert by_path["otlp.authorization_file"] == ("secret file", "null")
    assert by_path["attributes"] == ("attributes", "{service.name: rollouts-exporter}")
    assert by_path["web.basic_auth.password"] == ("secret text", "null")
