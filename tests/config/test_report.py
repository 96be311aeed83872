"""Output of the command `config`, and the descriptions of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from exporter.config import Settings, as_yaml, schema

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
    lines = {line.strip() for line in as_yaml(result).replace(f"{tmp_path}/", "").splitlines()}
    expected = {
        "mode: deployment  # default",
        "targets: ['a:1']  # file x.yaml:4",
        "interval: 15s  # default",
        "body: 512MiB  # default",
        "endpoint: null  # default",
        "timeout: 1.5s  # environment OTEL_EXPORTER_OTLP_TIMEOUT",
        "authorization: '******'  # environment LAST9_AUTH_HEADER",
        "x-key: '******'  # file x.yaml:1",
        "insecure: false  # default",
        "zone: z  # environment ROLLOUTS_EXPORTER_ATTRIBUTES__zone",
        "service.name: rollouts-exporter  # default",
        "pass_through: [x.*]  # file x.yaml:6",
        "level: debug  # command line",
        "format: json  # file x.yaml:2",
    }
    assert expected - lines == set()


def test_several_installations_are_printed_as_a_list(load_config: LoadConfig) -> None:
    result = load_config("argo: [{targets: a:1}, {name: b, targets: b:1}]")
    assert [installation["name"] for installation in yaml.safe_load(as_yaml(result))["argo"]] == ["default", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "argo: [{targets: [a:1]}, {name: 'b: #', targets: [b:1], interval: 30s, timeout: 250ms}]",
        "mode: sidecar\nattributes: {cluster: 'yes', x: '1.10', y: 'a: b # c', z: \"line\\nbreak\"}",
        "otlp: {endpoint: 'https://h/x', protocol: GRPC}\nattributes: {cluster: none}",
        "storage: {max_age: 90m, max_bytes: 1000}",
        "series: {pass_through: ['a{1,2}', '[b]', '#']}",
        "lifecycle: {traffic_router: ['*/*'], role_values: {'on': canary}}",
    ],
)
def test_printed_settings_load_to_the_same_settings(load_config: LoadConfig, text: str) -> None:
    """The effective configuration without secrets is a configuration."""
    first = load_config(text)
    assert load_config(as_yaml(first)).settings == first.settings


def test_every_setting_has_a_description() -> None:
    for path, field in schema.iter_fields(Settings):
        if field.section is None:
            assert len(field.description or "") > 10, path
            assert str(field.description).endswith("."), path
