"""Environment variables: ROLLOUTS_EXPORTER_*, OTEL_* (rules E01 to E14), and those of Last9."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from exporter.config import Settings
from exporter.config.env import ABOVE_FILE, BELOW_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.config import LoadedConfig
    from tests.config.conftest import LoadConfig, LoadIssues

CLUSTER = {"OTEL_RESOURCE_ATTRIBUTES": "k8s.cluster.name=c"}


def headers(result: LoadedConfig) -> dict[str, str]:
    return {name: value.text for name, value in result.settings.otlp.headers.items()}


def warned(result: LoadedConfig) -> list[str]:
    return [str(warning) for warning in result.warnings]


def otlp(result: LoadedConfig, key: str) -> Any:
    first, _, rest = key.partition(".")
    value = getattr(result.settings.otlp, first)
    return getattr(value, rest) if rest else value


class TestEndpoint:
    def test_the_general_endpoint_is_a_base_and_the_one_for_metrics_is_exact(self, load_config: LoadConfig) -> None:
        """Rules E01 and E02."""
        general = {**CLUSTER, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318/x/"}
        assert load_config(None, general).settings.otlp.url == "http://h:4318/x/v1/metrics"
        specific = {**general, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://m:4318"}
        assert load_config(None, specific).settings.otlp.url == "http://m:4318/"

    def test_the_prefixed_variable_overrides_the_standard_one_and_that_overrides_last9(
        self, load_config: LoadConfig
    ) -> None:
        variables = {
            "LAST9_OTLP_ENDPOINT": "https://otlp.last9.io",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://standard",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://metrics/x",
            "ROLLOUTS_EXPORTER_OTLP__ENDPOINT": "http://ours",
        }
        urls = []
        for count in range(1, 5):
            subset = dict(list(variables.items())[:count])
            urls.append(load_config("otlp: {endpoint: http://file}", {**CLUSTER, **subset}).settings.otlp.url)
        assert urls == [
            "https://otlp.last9.io/v1/metrics",
            "http://standard/v1/metrics",
            "http://metrics/x",
            "http://ours/v1/metrics",
        ]

    def test_an_endpoint_without_scheme_is_an_error_for_http_and_valid_for_grpc(
        self, load_config: LoadConfig, load_issues: LoadIssues
    ) -> None:
        """Rule E04."""
        variables = {**CLUSTER, "LAST9_OTLP_ENDPOINT": "otlp.last9.io:443"}
        assert load_issues(None, variables)[0].startswith(
            "LAST9_OTLP_ENDPOINT: otlp.endpoint: has no scheme; write https://otlp"
        )
        grpc = load_config(None, {**variables, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
        assert grpc.settings.otlp.grpc_target == ("otlp.last9.io:443", True)


@pytest.mark.parametrize("name", [name for row in (*BELOW_FILE, *ABOVE_FILE) for name in row.variables])
def test_an_empty_variable_is_unset(load_config: LoadConfig, name: str) -> None:
    """Rule E05."""
    result = load_config(None, {name: " "})
    assert (result.settings, result.origins, result.warnings) == (Settings(), {}, ())


OPTIONS: tuple[tuple[str, str, str, object], ...] = (
    ("PROTOCOL", "protocol", "GRPC", "grpc"),
    ("TIMEOUT", "timeout", "2500", 2.5),
    ("TIMEOUT", "timeout", "0", 0.0),
    ("COMPRESSION", "compression", "None", "none"),
    ("INSECURE", "insecure", "TRUE", True),
    ("INSECURE", "insecure", "false", False),
)


@pytest.mark.parametrize(("option", "key", "text", "value"), OPTIONS)
def test_each_option_is_parsed_and_the_one_for_metrics_wins(
    load_config: LoadConfig, option: str, key: str, text: str, value: object
) -> None:
    """Rules E05 to E09: the timeout is in milliseconds."""
    general, specific = f"OTEL_EXPORTER_OTLP_{option}", f"OTEL_EXPORTER_OTLP_METRICS_{option}"
    other = {"PROTOCOL": "http/protobuf", "TIMEOUT": "77", "COMPRESSION": "gzip", "INSECURE": "false"}[option]
    assert otlp(load_config(None, {general: text}), key) == value
    assert otlp(load_config(None, {general: other, specific: text}), key) == value


@pytest.mark.parametrize(
    ("option", "text", "default"),
    [
        ("PROTOCOL", "thrift", "http/protobuf"),
        ("TIMEOUT", "-1", 10.0),
        ("TIMEOUT", "10s", 10.0),
        ("TIMEOUT", "1.5", 10.0),
        ("COMPRESSION", "zstd", "gzip"),
        ("INSECURE", "yes", False),
    ],
)
def test_an_unknown_word_is_ignored_with_a_warning(
    load_config: LoadConfig, option: str, text: str, default: object
) -> None:
    """Rule E06."""
    variable = f"OTEL_EXPORTER_OTLP_METRICS_{option}"
    result = load_config(None, {variable: text})
    assert otlp(result, option.lower()) == default
    assert [warning.location for warning in result.warnings] == [variable]
    assert result.warnings[0].hint


def test_an_unknown_word_for_metrics_leaves_the_general_option(load_config: LoadConfig) -> None:
    """Rules E05 and E06."""
    variables = {"OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "soon", "OTEL_EXPORTER_OTLP_TIMEOUT": "3000"}
    assert load_config(None, variables).settings.otlp.timeout == 3


def test_http_json_is_rejected_by_name(load_issues: LoadIssues) -> None:
    """Rule E08."""
    (issue,) = load_issues(None, {"OTEL_EXPORTER_OTLP_PROTOCOL": "HTTP/JSON"})
    assert issue.startswith(
        "OTEL_EXPORTER_OTLP_PROTOCOL: otlp.protocol: http/json is not supported, since backends reject it"
    )
    assert issue.endswith("; write http/protobuf or grpc")


def test_certificates_come_from_the_standard_variables(load_config: LoadConfig, tmp_path: Any) -> None:
    """Rule E10."""
    names = {"CERTIFICATE": "ca", "CLIENT_KEY": "key", "CLIENT_CERTIFICATE": "cert"}
    for name in names.values():
        (tmp_path / name).write_text("x")
    variables = {f"OTEL_EXPORTER_OTLP_{key}": f"{tmp_path}/{name}" for key, name in names.items()}
    tls = load_config(None, variables).settings.otlp.tls
    assert [file and file.name for file in (tls.ca_file, tls.key_file, tls.cert_file)] == ["ca", "key", "cert"]


class TestHeaders:
    def test_headers_for_metrics_replace_the_general_ones(self, load_config: LoadConfig) -> None:
        """Rule E05: an option is not merged with another one."""
        variables = {"OTEL_EXPORTER_OTLP_HEADERS": "a=1,b=2", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "b=3"}
        assert headers(load_config(None, variables)) == {"b": "3"}

    def test_an_item_that_is_not_a_header_is_skipped_with_a_warning(self, load_config: LoadConfig) -> None:
        """Rule E11."""
        result = load_config(None, {"OTEL_EXPORTER_OTLP_HEADERS": "a=1,Basic s3cret,b=2"})
        assert headers(result) == {"a": "1", "b": "2"}
        assert warned(result) == [
            "OTEL_EXPORTER_OTLP_HEADERS: item 2 is not a header; write name=value, separated by commas"
        ]

    @pytest.mark.parametrize(
        "value", ["s3cret%zz", "s3cret%0a", "s3cret%0D%0Ax", "s3cret%C3%A9", "s3crét", "s3cret%ff"]
    )
    def test_an_error_about_a_header_value_quotes_only_the_name(self, load_issues: LoadIssues, value: str) -> None:
        """Rules E12 and E13."""
        (issue,) = load_issues(None, {"OTEL_EXPORTER_OTLP_HEADERS": f"x-token={value}"})
        assert issue.startswith("OTEL_EXPORTER_OTLP_HEADERS: header x-token: ")
        assert "s3cr" not in issue


class TestLast9:
    @pytest.mark.parametrize(
        "text",
        [
            "Basic YTpi",
            "Basic YTpi\n",
            " Basic YTpi ",
            "Basic%20YTpi",
            "Authorization=Basic YTpi",
            "authorization: Basic YTpi",
        ],
    )
    def test_the_complete_header_is_accepted_in_all_pasted_forms(self, load_config: LoadConfig, text: str) -> None:
        result = load_config(None, {"LAST9_AUTH_HEADER": text})
        assert headers(result) == {"authorization": "Basic YTpi"}
        assert not result.warnings

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("YTpi", "has no scheme"),
            ("Bearer s3cret", "is not `Basic `, which Last9 requires; set LAST9_AUTH_HEADER"),
            ("Basic s3cret!", "is not base64 of user:password; encode it without a line break"),
            ("Basic YWI=", "is base64 of a text without the colon"),
        ],
    )
    def test_a_warning_about_an_invalid_credential_does_not_quote_it(
        self, load_config: LoadConfig, text: str, fault: str
    ) -> None:
        variables = {"LAST9_AUTH_HEADER": text, "LAST9_OTLP_ENDPOINT": "https://otlp.last9.io"}
        (warning,) = warned(load_config("attributes: {cluster: c}", variables))
        assert warning.startswith(f"LAST9_AUTH_HEADER: otlp.headers.authorization: {fault}")
        assert text not in warning

    def test_a_line_break_inside_the_header_is_rejected(self, load_issues: LoadIssues) -> None:
        (issue,) = load_issues(None, {"LAST9_AUTH_HEADER": "Basic YT\npi"})
        assert issue.startswith("LAST9_AUTH_HEADER: otlp.headers.authorization: has a line break")

    def test_the_standard_headers_override_it(self, load_config: LoadConfig) -> None:
        variables = {"LAST9_AUTH_HEADER": "Basic YTpi", "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic Yzpk,x=1"}
        assert headers(load_config(None, variables)) == {"authorization": "Basic Yzpk", "x": "1"}


class TestAttributes:
    def test_configured_attributes_override_those_of_the_environment(self, load_config: LoadConfig) -> None:
        """Rule E14."""
        attributes = "cluster=env,zone=%61%2Cb,service.name=low"
        variables = {"OTEL_RESOURCE_ATTRIBUTES": attributes, "OTEL_SERVICE_NAME": "high"}
        identity = load_config("attributes: {cluster: file}", variables).settings.identity()
        assert identity == {"cluster": "file", "zone": "a,b", "service.name": "high"}
        assert load_config("attributes: {service.name: file}", variables).settings.identity()["service.name"] == "file"

    @pytest.mark.parametrize("text", ["a=1,b=%zz", "a=1,b", "a=1,=2", "a=%ff"])
    def test_one_invalid_item_drops_the_entire_variable(self, load_config: LoadConfig, text: str) -> None:
        """Rule E14."""
        result = load_config(None, {"OTEL_RESOURCE_ATTRIBUTES": text})
        assert result.settings.identity() == {"service.name": "rollouts-exporter"}
        assert len(warned(result)) == 1
        assert "the variable is ignored" in warned(result)[0]

    def test_an_attribute_that_changes_with_each_restart_causes_a_warning(self, load_config: LoadConfig) -> None:
        variables = {"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=x"}
        (warning,) = warned(load_config(None, variables))
        assert warning.startswith("OTEL_RESOURCE_ATTRIBUTES: attributes.service.instance.id: changes with each restart")
        assert warning.endswith("; remove it, or set `attributes: {service.instance.id: none}`")
        assert not load_config("attributes: {service.instance.id: none}", variables).warnings

    @pytest.mark.parametrize("attribute", ["k8s.cluster.name=c", "cluster=c", "k8s.cluster.name=none"])
    def test_a_push_needs_a_cluster_attribute_or_its_explicit_omission(
        self, load_config: LoadConfig, load_issues: LoadIssues, attribute: str
    ) -> None:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318"}
        assert "names the cluster" in load_issues(None, variables)[0]
        identity = load_config(None, {**variables, "OTEL_RESOURCE_ATTRIBUTES": attribute}).settings.identity()
        assert ("none" in attribute) is (len(identity) == 1)


class TestPrefixedVariables:
    @pytest.mark.parametrize(
        ("name", "text", "path", "value"),
        [
            ("ARGO__TARGETS", "x:1,y:2", ("argo", 0, "targets"), ("x:1", "y:2")),
            ("ARGO__TARGETS", '["x:1","y:2"]', ("argo", 0, "targets"), ("x:1", "y:2")),
            ("KUBE_STATE_METRICS__LIMITS__BODY", "1GiB", ("kube_state_metrics", "limits", "body"), 2**30),
            ("OTLP", '{"retry": {"longest": "9s"}}', ("otlp", "retry", "longest"), 9.0),
            ("ATTRIBUTES", "a=1,b=2", ("attributes", "b"), "2"),
            ("ATTRIBUTES", '{"b": "x,y"}', ("attributes", "b"), "x,y"),
            ("ATTRIBUTES__k8s.cluster.name", "c", ("attributes", "k8s.cluster.name"), "c"),
            ("LIFECYCLE__ROLE_VALUES", "blue=stable", ("lifecycle", "role_values", "blue"), "stable"),
        ],
    )
    def test_a_prefixed_variable_sets_its_setting(
        self, load_config: LoadConfig, name: str, text: str, path: tuple[Any, ...], value: object
    ) -> None:
        setting: Any = load_config(None, {f"ROLLOUTS_EXPORTER_{name}": text}).settings
        for key in path:
            setting = setting[key] if isinstance(setting, dict | tuple) else getattr(setting, key)
        assert setting == value

    @pytest.mark.parametrize(
        ("name", "suggestion"),
        [("AGRO__TARGETS", "ARGO__TARGETS"), ("ARGO_TARGETS", "ARGO__TARGETS"), ("OTLP__ENDPONT", "OTLP__ENDPOINT")],
    )
    def test_a_misspelt_variable_is_an_error_with_a_suggestion(
        self, load_issues: LoadIssues, name: str, suggestion: str
    ) -> None:
        assert load_issues(None, {f"ROLLOUTS_EXPORTER_{name}": "x"}) == [
            f"ROLLOUTS_EXPORTER_{name}: matches no setting; did you mean ROLLOUTS_EXPORTER_{suggestion}?"
        ]

    @pytest.mark.parametrize("text", ['{"a": 1', "[1", "{" * 100_000])
    def test_an_error_about_invalid_json_does_not_quote_it(self, load_issues: LoadIssues, text: str) -> None:
        assert load_issues(None, {"ROLLOUTS_EXPORTER_OTLP": text}) == [
            "ROLLOUTS_EXPORTER_OTLP: otlp: is not valid JSON; write a JSON object, or set its keys one by one"
        ]

    @pytest.mark.parametrize(
        "name",
        [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_METRICS",
            "PORT",
            "PORT_9464_TCP",
            "PORT_9464_TCP_ADDR",
            "METRICS_SERVICE_HOST",
        ],
    )
    def test_service_variables_of_kubernetes_are_ignored(self, load_config: LoadConfig, name: str) -> None:
        assert load_config(None, {f"ROLLOUTS_EXPORTER_{name}": "tcp://10.0.0.1:9464"}).settings == Settings()

    def test_the_variable_of_the_configuration_file_is_not_a_setting(self, load_config: LoadConfig) -> None:
        assert load_config(None, {"ROLLOUTS_EXPORTER_CONFIG": "/etc/x.yaml"}).settings == Settings()


def test_variables_of_last9s_terraform_provider_are_settings_of_its_api(load_config: LoadConfig) -> None:
    variables = {"LAST9_API_BASE_URL": "https://app.last9.io/", "LAST9_ORG": "acme", "LAST9_REFRESH_TOKEN": "abc"}
    section = load_config(None, variables).settings.last9
    assert (section.address, section.organization) == ("https://app.last9.io", "acme")
    assert section.refresh_token
    assert section.refresh_token.text == "abc"


def test_other_variables_are_ignored(load_config: LoadConfig) -> None:
    others: Mapping[str, str] = {"PATH": "/bin", "OTEL_TRACES_EXPORTER": "none", "LAST9_TOOLSETS": "x", "ROLLOUTS": "y"}
    assert load_config(None, others).settings == Settings()


def test_a_variable_of_a_setting_that_was_replaced_names_the_new_one(load_issues: LoadIssues) -> None:
    variables = {"MEMORY__DIRECTORY": "/x", "OTLP__QUEUE__AGE": "1h", "MEMORY": '{"directory": "/x"}'}
    assert load_issues(None, {f"ROLLOUTS_EXPORTER_{name}": text for name, text in variables.items()}) == [
        "ROLLOUTS_EXPORTER_MEMORY: matches no setting; set ROLLOUTS_EXPORTER_STORAGE__DIRECTORY instead",
        "ROLLOUTS_EXPORTER_MEMORY__DIRECTORY: matches no setting; set ROLLOUTS_EXPORTER_STORAGE__DIRECTORY instead",
        "ROLLOUTS_EXPORTER_OTLP__QUEUE__AGE: matches no setting; set ROLLOUTS_EXPORTER_STORAGE__MAX_AGE instead",
    ]
