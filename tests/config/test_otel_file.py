"""OTEL_CONFIG_FILE: resource and OTLP exporter are read in every format of the standard; the rest is warned of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from exporter.config import ConfigError, load

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.config import LoadedConfig

V1 = """\
file_format: "1.0"
resource:
  attributes:
    - {name: service.name, value: canaries}
    - {name: k8s.cluster.name, value: "${CLUSTER:-prod}"}
  attributes_list: "team=shop,service.name=other"
meter_provider:
  readers:
    - periodic:
        exporter:
          otlp_http:
            endpoint: https://otlp.example/v1/metrics
            headers:
              - {name: Authorization, value: "${env:AUTH}"}
            headers_list: "x-scope=a,authorization=wrong"
            compression: none
            timeout: 2500
            encoding: protobuf
            tls:
              ca_file: CA_FILE
"""
V03 = """\
file_format: "0.3"
resource:
  attributes:
    - {name: cluster, value: prod}
meter_provider:
  readers:
    - pull: {exporter: {prometheus: {}}}
    - periodic:
        interval: 60000
        exporter:
          otlp:
            protocol: grpc
            endpoint: http://collector:4317
            certificate: CA_FILE
            headers: [{name: x-scope, value: a$$b}]
"""
V01 = """\
file_format: "0.1"
resource:
  attributes: {k8s.cluster.name: prod, deployment.environment: eu}
tracer_provider: {processors: []}
meter_provider:
  readers:
    - periodic:
        exporter:
          otlp: {protocol: http/protobuf, endpoint: "http://collector:4318/v1/metrics", headers: {x-scope: a}}
"""


def loaded(directory: Path, text: str, **environment: str) -> LoadedConfig:
    file, authorities = directory / "otel.yaml", directory / "ca.pem"
    authorities.touch()
    file.write_text(text.replace("CA_FILE", str(authorities)))
    return load(None, {"OTEL_CONFIG_FILE": str(file), **environment})


def headers(config: LoadedConfig) -> dict[str, str]:
    return {name: value.text for name, value in config.settings.otlp.headers.items()}


def test_format_1_sets_resource_and_exporter(tmp_path: Path) -> None:
    config = loaded(tmp_path, V1, AUTH="Basic YTpi")
    otlp = config.settings.otlp
    assert config.settings.identity() == {"k8s.cluster.name": "prod", "service.name": "canaries", "team": "shop"}
    assert (otlp.url, otlp.protocol, otlp.compression, otlp.timeout) == (
        "https://otlp.example/v1/metrics", "http/protobuf", "none", 2.5,
    )  # fmt: skip
    assert headers(config) == {"authorization": "Basic YTpi", "x-scope": "a"}
    assert otlp.tls.ca_file == tmp_path / "ca.pem"
    assert config.warnings == ()


def test_earlier_formats_are_read_too(tmp_path: Path) -> None:
    config = loaded(tmp_path, V03)
    assert config.settings.otlp.grpc_target == ("collector:4317", False)
    assert headers(config) == {"x-scope": "a$b"}
    config = loaded(tmp_path, V01)
    assert config.settings.otlp.url == "http://collector:4318/v1/metrics"
    assert config.settings.identity()["deployment.environment"] == "eu"


@pytest.mark.parametrize("key", ["ca_file", "certificate_file"])
def test_the_names_of_tls_files_are_those_of_each_version(tmp_path: Path, key: str) -> None:
    config = loaded(tmp_path, V1.replace("ca_file", key), AUTH="Basic YTpi")
    assert (config.settings.otlp.tls.ca_file, config.warnings) == (tmp_path / "ca.pem", ())


def test_what_is_not_understood_is_warned_of_by_its_place(tmp_path: Path) -> None:
    warnings = [str(warning) for warning in loaded(tmp_path, V03).warnings + loaded(tmp_path, V01).warnings]
    for place in (
        "otel.yaml:7: meter_provider.readers.0.pull",
        "otel.yaml:9: meter_provider.readers.1.periodic.interval",
        "otel.yaml:4: tracer_provider",
    ):
        assert any(place in warning for warning in warnings), (place, warnings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file_format: '2.0'\n", "file_format: is not a format"),
        (V1.replace("2500", "2.5s"), "timeout: is not a whole number of milliseconds"),
        (V1.replace("2500", "9" * 5_000), "timeout: is not a whole number of milliseconds"),
        (V1.replace("protobuf", "json"), "encoding: is not supported"),
        (V1.replace("value: canaries", "value: [a]"), "resource.attributes.0: is not a name with a value"),
        (V1.replace("team=shop,", "team,"), "attributes_list"),
        (V1 + V1[V1.index("    - periodic") :], "is a second OTLP exporter"),
    ],
)
def test_a_value_that_cannot_be_used_is_a_warning(tmp_path: Path, text: str, words: str) -> None:
    assert any(words in str(warning) for warning in loaded(tmp_path, text, AUTH="Basic YTpi").warnings)


@pytest.mark.parametrize("exporter", ["http://collector:4318", "[a]"])
def test_an_exporter_that_is_no_mapping_is_a_warning(tmp_path: Path, exporter: str) -> None:
    text = f'file_format: "1.0"\nmeter_provider: {{readers: [{{periodic: {{exporter: {{otlp_http: {exporter}}}}}}}]}}\n'
    assert any("is no mapping" in str(warning) for warning in loaded(tmp_path, text).warnings)


def test_other_variables_of_the_standard_are_ignored_by_name(tmp_path: Path) -> None:
    config = loaded(
        tmp_path, V1, AUTH="Basic YTpi", OTEL_EXPORTER_OTLP_ENDPOINT="http://other:4318", OTEL_SERVICE_NAME="other"
    )
    assert config.settings.otlp.url == "https://otlp.example/v1/metrics"
    ignored = [warning.location for warning in config.warnings if "is ignored" in str(warning)]
    assert ignored == ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME"]


def test_a_variable_is_ignored_even_if_the_file_does_not_set_it(tmp_path: Path) -> None:
    assert loaded(tmp_path, V03, OTEL_EXPORTER_OTLP_TIMEOUT="1000").settings.otlp.timeout == 10


def test_the_exporters_own_variables_override_the_file(tmp_path: Path) -> None:
    config = loaded(tmp_path, V1, AUTH="Basic YTpi", ROLLOUTS_EXPORTER_OTLP__ENDPOINT="http://own:4318")
    assert config.settings.otlp.url == "http://own:4318/v1/metrics"
    assert "otel.yaml:" in str(config.origins["otlp", "compression"])


@pytest.mark.parametrize("text", [None, "- a\n", "a: [\n"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "otel.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=r"otel\.yaml") as raised:
        load(None, {"OTEL_CONFIG_FILE": str(file)})
    assert "--config" not in str(raised.value)


def test_a_secret_of_the_file_is_not_in_any_message(tmp_path: Path) -> None:
    text = V1.replace('"${env:AUTH}"', '"Basic s3cret\\nnext"').replace("x-scope=a", "s3cret-item")
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, text)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"LAST9_CLUSTER_NAME": "a", "K8S_CLUSTER_NAME": "b"}, {"k8s.cluster.name": "a"}),
        (
            {"K8S_CLUSTER_NAME": "b", "DEPLOYMENT_ENVIRONMENT": "eu"},
            {"k8s.cluster.name": "b", "deployment.environment": "eu"},
        ),
        ({"LAST9_ENVIRONMENT": "us", "DEPLOYMENT_ENVIRONMENT": "eu"}, {"deployment.environment": "us"}),
        ({"LAST9_CLUSTER_NAME": "a", "OTEL_RESOURCE_ATTRIBUTES": "k8s.cluster.name=c"}, {"k8s.cluster.name": "c"}),
    ],
)
def test_the_variables_of_last9_name_cluster_and_environment(
    environment: dict[str, str], expected: dict[str, Any]
) -> None:
    settings = load(None, environment).settings
    assert {key: settings.attributes.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("attributes", "old", "new"),
    [
        ("deployment.environment=eu", "eu", "eu"),
        ("deployment.environment.name=eu", "eu", "eu"),
        ("deployment.environment=eu,deployment.environment.name=none", "eu", None),
        ("deployment.environment=eu,deployment.environment.name=us", "eu", "us"),
        ("team=shop", None, None),
    ],
)
def test_both_names_of_the_environment_are_sent(attributes: str, old: str | None, new: str | None) -> None:
    identity = load(None, {"ROLLOUTS_EXPORTER_ATTRIBUTES": attributes}).settings.identity()
    assert (identity.get("deployment.environment"), identity.get("deployment.environment.name")) == (old, new)
