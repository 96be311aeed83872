"""What the environment sets: our own variables, OTEL_* by the rules E01 to E14, and Last9's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from exporter.config import Settings
from exporter.config.env import ABOVE_FILE, BELOW_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.config import LoadedConfig
    from tests.config.conftest import Faults, Load

CLUSTER = {"OTEL_RESOURCE_ATTRIBUTES": "k8s.cluster.name=c"}


def headers(result: LoadedConfig) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in result.settings.otlp.headers.items()}


def warned(result: LoadedConfig) -> list[str]:
    return [str(warning) for warning in result.warnings]


def otlp(result: LoadedConfig, key: str) -> Any:
    first, _, rest = key.partition(".")
    value = getattr(result.settings.otlp, first)
    return getattr(value, rest) if rest else value


class TestEndpoint:
    def test_general_one_is_a_base_and_the_one_for_metrics_is_used_as_it_is(self, loaded: Load) -> None:
        """Rules E01 and E02."""
        general = {**CLUSTER, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318/x/"}
        assert loaded(None, general).settings.otlp.url == "http://h:4318/x/v1/metrics"
        specific = {**general, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://m:4318"}
        assert loaded(None, specific).settings.otlp.url == "http://m:4318/"

    def test_ours_beats_the_standard_one_and_last9s_yields_to_it(self, loaded: Load) -> None:
        variables = {
            "LAST9_OTLP_ENDPOINT": "https://otlp.last9.io",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://standard",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://metrics/x",
            "ROLLOUTS_EXPORTER_OTLP__ENDPOINT": "http://ours",
        }
        urls = []
        for count in range(1, 5):
            given = dict(list(variables.items())[:count])
            urls.append(loaded("otlp: {endpoint: http://file}", {**CLUSTER, **given}).settings.otlp.url)
        assert urls == [
            "https://otlp.last9.io/v1/metrics",
            "http://standard/v1/metrics",
            "http://metrics/x",
            "http://ours/v1/metrics",
        ]

    def test_without_scheme_it_is_a_fault_for_http_and_none_for_grpc(self, loaded: Load, faults: Faults) -> None:
        """Rule E04."""
        given = {**CLUSTER, "LAST9_OTLP_ENDPOINT": "otlp.last9.io:443"}
        assert faults(None, given)[0].startswith(
            "LAST9_OTLP_ENDPOINT: otlp.endpoint: has no scheme; write https://otlp"
        )
        grpc = loaded(None, {**given, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
        assert grpc.settings.otlp.grpc_target == ("otlp.last9.io:443", True)


@pytest.mark.parametrize("name", [name for row in (*BELOW_FILE, *ABOVE_FILE) for name in row.variables])
def test_an_empty_variable_is_unset(loaded: Load, name: str) -> None:
    """Rule E05."""
    result = loaded(None, {name: " "})
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
def test_each_option_is_read_and_the_one_for_metrics_wins(
    loaded: Load, option: str, key: str, text: str, value: object
) -> None:
    """Rules E05 to E09: the timeout is in milliseconds."""
    general, specific = f"OTEL_EXPORTER_OTLP_{option}", f"OTEL_EXPORTER_OTLP_METRICS_{option}"
    other = {"PROTOCOL": "http/protobuf", "TIMEOUT": "77", "COMPRESSION": "gzip", "INSECURE": "false"}[option]
    assert otlp(loaded(None, {general: text}), key) == value
    assert otlp(loaded(None, {general: other, specific: text}), key) == value


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
def test_a_bad_word_is_passed_over_with_a_warning(loaded: Load, option: str, text: str, default: object) -> None:
    """Rule E06."""
    variable = f"OTEL_EXPORTER_OTLP_METRICS_{option}"
    result = loaded(None, {variable: text})
    assert otlp(result, option.lower()) == default
    assert [warning.location for warning in result.warnings] == [variable]
    assert result.warnings[0].hint


def test_a_bad_word_for_metrics_leaves_the_general_one(loaded: Load) -> None:
    """Rules E05 and E06."""
    given = {"OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "soon", "OTEL_EXPORTER_OTLP_TIMEOUT": "3000"}
    assert loaded(None, given).settings.otlp.timeout == 3


def test_http_json_is_refused_in_clear_words(faults: Faults) -> None:
    """Rule E08."""
    (told,) = faults(None, {"OTEL_EXPORTER_OTLP_PROTOCOL": "HTTP/JSON"})
    assert told.startswith(
        "OTEL_EXPORTER_OTLP_PROTOCOL: otlp.protocol: http/json is not supported, since backends answer 400"
    )
    assert told.endswith("; write http/protobuf or grpc")


def test_certificates_come_from_the_standard_variables(loaded: Load, tmp_path: Any) -> None:
    """Rule E10."""
    given = {"CERTIFICATE": "ca", "CLIENT_KEY": "key", "CLIENT_CERTIFICATE": "cert"}
    for name in given.values():
        (tmp_path / name).write_text("x")
    tls = loaded(
        None, {f"OTEL_EXPORTER_OTLP_{key}": f"{tmp_path}/{name}" for key, name in given.items()}
    ).settings.otlp.tls
    assert [file and file.name for file in (tls.ca_file, tls.key_file, tls.cert_file)] == ["ca", "key", "cert"]


class TestHeaders:
    def test_those_for_metrics_take_the_place_of_the_general_ones(self, loaded: Load) -> None:
        """Rule E05: an option is taken whole."""
        given = {"OTEL_EXPORTER_OTLP_HEADERS": "a=1,b=2", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "b=3"}
        assert headers(loaded(None, given)) == {"b": "3"}

    def test_an_item_that_is_no_header_is_passed_over_with_a_warning(self, loaded: Load) -> None:
        """Rule E11."""
        result = loaded(None, {"OTEL_EXPORTER_OTLP_HEADERS": "a=1,Basic s3cret,b=2"})
        assert headers(result) == {"a": "1", "b": "2"}
        assert warned(result) == [
            "OTEL_EXPORTER_OTLP_HEADERS: item 2 is not a header; write name=value, separated by commas"
        ]

    @pytest.mark.parametrize(
        "value", ["s3cret%zz", "s3cret%0a", "s3cret%0D%0Ax", "s3cret%C3%A9", "s3crét", "s3cret%ff"]
    )
    def test_a_value_that_cannot_be_sent_is_refused_by_name_only(self, faults: Faults, value: str) -> None:
        """Rules E12 and E13."""
        (told,) = faults(None, {"OTEL_EXPORTER_OTLP_HEADERS": f"x-token={value}"})
        assert told.startswith("OTEL_EXPORTER_OTLP_HEADERS: header x-token: ")
        assert "s3cr" not in told


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
    def test_the_header_is_taken_whole_however_it_was_pasted(self, loaded: Load, text: str) -> None:
        result = loaded(None, {"LAST9_AUTH_HEADER": text})
        assert headers(result) == {"authorization": "Basic YTpi"}
        assert not result.warnings

    @pytest.mark.parametrize("text", ["YTpi", "Bearer s3cret", "Basic s3cret!", "Basic YWI="])
    def test_what_is_no_basic_credential_is_warned_of_without_telling_it(self, loaded: Load, text: str) -> None:
        (warning,) = warned(loaded(None, {"LAST9_AUTH_HEADER": text}))
        assert warning.startswith(
            "LAST9_AUTH_HEADER: is not `Basic ` and base64 of user:password; copy the complete value"
        )
        assert text not in warning

    def test_a_line_break_within_it_is_refused(self, faults: Faults) -> None:
        (told,) = faults(None, {"LAST9_AUTH_HEADER": "Basic YT\npi"})
        assert told.startswith("LAST9_AUTH_HEADER: otlp.headers.authorization: has a line break")

    def test_it_yields_to_the_standard_headers(self, loaded: Load) -> None:
        given = {"LAST9_AUTH_HEADER": "Basic YTpi", "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic Yzpk,x=1"}
        assert headers(loaded(None, given)) == {"authorization": "Basic Yzpk", "x": "1"}


class TestAttributes:
    def test_configured_ones_beat_those_of_the_environment(self, loaded: Load) -> None:
        """Rule E14."""
        given = {"OTEL_RESOURCE_ATTRIBUTES": "cluster=env,zone=%61%2Cb,service.name=low", "OTEL_SERVICE_NAME": "high"}
        assert loaded("attributes: {cluster: file}", given).settings.identity() == {
            "cluster": "file",
            "zone": "a,b",
            "service.name": "high",
        }
        assert loaded("attributes: {service.name: file}", given).settings.identity()["service.name"] == "file"

    @pytest.mark.parametrize("text", ["a=1,b=%zz", "a=1,b", "a=1,=2", "a=%ff"])
    def test_one_bad_item_drops_the_whole_variable(self, loaded: Load, text: str) -> None:
        """Rule E14."""
        result = loaded(None, {"OTEL_RESOURCE_ATTRIBUTES": text})
        assert result.settings.identity() == {"service.name": "rollouts-exporter"}
        assert len(warned(result)) == 1
        assert "the variable is ignored" in warned(result)[0]

    def test_what_changes_with_each_restart_is_warned_of(self, loaded: Load) -> None:
        result = loaded(None, {"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=x"})
        (warning,) = warned(result)
        assert warning.startswith("OTEL_RESOURCE_ATTRIBUTES: attributes.service.instance.id: changes with each restart")
        assert warning.endswith("; remove it, or set `attributes: {service.instance.id: none}`")
        assert not loaded(
            "attributes: {service.instance.id: none}", {"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=x"}
        ).warnings

    @pytest.mark.parametrize("attribute", ["k8s.cluster.name=c", "cluster=c", "k8s.cluster.name=none"])
    def test_pushing_needs_the_cluster_named_or_waived(self, loaded: Load, faults: Faults, attribute: str) -> None:
        given = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318"}
        assert "names the cluster" in faults(None, given)[0]
        identity = loaded(None, {**given, "OTEL_RESOURCE_ATTRIBUTES": attribute}).settings.identity()
        assert ("none" in attribute) is (len(identity) == 1)


class TestOurOwn:
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
    def test_sets_what_it_names(self, loaded: Load, name: str, text: str, path: tuple[Any, ...], value: object) -> None:
        found: Any = loaded(None, {f"ROLLOUTS_EXPORTER_{name}": text}).settings
        for key in path:
            found = found[key] if isinstance(found, dict | tuple) else getattr(found, key)
        assert found == value

    @pytest.mark.parametrize(
        ("name", "meant"),
        [("AGRO__TARGETS", "ARGO__TARGETS"), ("ARGO_TARGETS", "ARGO__TARGETS"), ("OTLP__ENDPONT", "OTLP__ENDPOINT")],
    )
    def test_a_misspelt_one_is_an_error(self, faults: Faults, name: str, meant: str) -> None:
        assert faults(None, {f"ROLLOUTS_EXPORTER_{name}": "x"}) == [
            f"ROLLOUTS_EXPORTER_{name}: matches no setting; did you mean ROLLOUTS_EXPORTER_{meant}?"
        ]

    @pytest.mark.parametrize("text", ['{"a": 1', "[1", "{" * 100_000])
    def test_json_that_is_none_is_told_without_telling_it(self, faults: Faults, text: str) -> None:
        assert faults(None, {"ROLLOUTS_EXPORTER_OTLP": text}) == [
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
    def test_what_kubernetes_sets_for_a_service_of_our_name_is_no_setting(self, loaded: Load, name: str) -> None:
        assert loaded(None, {f"ROLLOUTS_EXPORTER_{name}": "tcp://10.0.0.1:9464"}).settings == Settings()

    def test_the_path_of_the_configuration_file_is_no_setting(self, loaded: Load) -> None:
        assert loaded(None, {"ROLLOUTS_EXPORTER_CONFIG": "/etc/x.yaml"}).settings == Settings()


def test_variables_of_others_do_not_matter(loaded: Load) -> None:
    others: Mapping[str, str] = {"PATH": "/bin", "OTEL_TRACES_EXPORTER": "none", "LAST9_ORG": "x", "ROLLOUTS": "y"}
    assert loaded(None, others).settings == Settings()
