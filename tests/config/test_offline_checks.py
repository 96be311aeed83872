"""What `check` finds without a network: credentials, placeholders, addresses and directories that cannot work."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from exporter.cli.root import main
from exporter.config import CONFIG_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.config.conftest import LoadConfig, LoadIssues

CLUSTER = "attributes: {cluster: c}\n"
BASIC = f"Basic {b64encode(b'user:hush4711').decode()}"


def warnings(load_config: LoadConfig, text: str, environment: dict[str, str] | None = None) -> list[str]:
    return [str(warning) for warning in load_config(CLUSTER + text, environment).warnings]


class TestCredential:
    @pytest.mark.parametrize("host", ["otlp.last9.io", "otlp-aps1.last9.io:443", "x.last9.cloud"])
    def test_last9_without_one_is_warned_of(self, load_config: LoadConfig, host: str) -> None:
        (warning,) = warnings(load_config, f"otlp: {{endpoint: https://{host}}}")
        assert "otlp.endpoint: Last9 refuses points without a credential; set LAST9_AUTH_HEADER" in warning

    def test_other_stores_need_none(self, load_config: LoadConfig) -> None:
        assert not warnings(load_config, "otlp: {endpoint: 'http://collector.test:4318'}")

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            (BASIC, ""),
            (BASIC.removeprefix("Basic "), "credential_no_scheme"),
            (BASIC.replace(" ", "%20"), "credential_percent_encoded"),
            ("Basic ${LAST9_TOKEN}", "credential_placeholder"),
            ("Basic <token>", "credential_placeholder"),
            ("Basic user:hush4711", "credential_not_base64"),
            (f"Basic {b64encode(b'user:hush4711' + bytes([10])).decode()}", "credential_line_break"),
            (f"'{BASIC}'", "credential_quoted"),
        ],
    )
    @pytest.mark.parametrize("place", ["headers", "authorization_file", "headers_file"])
    def test_each_misspelling_is_named_wherever_it_is_written(
        self, load_config: LoadConfig, tmp_path: Path, value: str, kind: str, place: str
    ) -> None:
        file = tmp_path / "credential"
        file.write_text(value if place == "authorization_file" else f"authorization={value.replace('%', '%25')}")
        setting = f'headers: {{authorization: "{value}"}}' if place == "headers" else f"{place}: {file}"
        loaded = load_config(f"{CLUSTER}otlp: {{endpoint: 'https://otlp.last9.io', {setting}}}")
        assert [issue.kind for issue in loaded.warnings] == ([kind] if kind else [])
        assert "hush4711" not in str(loaded.warnings)
        assert value.rpartition(" ")[2] not in str(loaded.warnings)


@pytest.mark.parametrize(
    "text",
    [
        "attributes: {cluster: '${CLUSTER}'}",
        "attributes: {cluster: '{{ .Values.cluster }}'}",
        "attributes: {cluster: <cluster>}",
        "attributes: {cluster: CHANGEME}",
        "attributes: {cluster: your-cluster}",
        "attributes: {cluster: c}\notlp: {endpoint: 'https://otlp.test/$(ORG)'}",
        "attributes: {cluster: c}\notlp: {headers: {x-api-key: '${KEY}'}}",
        "attributes: {cluster: c}\nstorage: {directory: '/tmp/${POD}'}",
        "read: {username: <cluster-id>, address: 'https://read.test', password: hush4711}",
    ],
)
def test_a_placeholder_is_warned_of_since_nothing_replaces_it(load_config: LoadConfig, text: str) -> None:
    (warning,) = load_config(text).warnings
    assert warning.kind == "placeholder"
    assert "placeholder" in warning.message


def test_patterns_and_arguments_of_gates_are_no_placeholders(load_config: LoadConfig, tmp_path: Path) -> None:
    gate = tmp_path / "gate.yaml"
    gate.write_text("")
    text = f"gates: {{template: {gate}, args: {{q: '{{{{x}}}}'}}}}\nread: {{address: 'http://read.test'}}\n"
    assert not warnings(load_config, f"{text}series: {{pass_through: ['a{{2}}.*$']}}")


@pytest.mark.parametrize(
    "url",
    [
        "https://app-tsdb.last9.io/v1/metrics/0a1b/sender/org/write",
        "http://prometheus:9090/api/v1/write",
        "http://mimir/api/v1/push",
    ],
)
def test_a_remote_write_url_is_no_otlp_endpoint(load_issues: LoadIssues, url: str) -> None:
    for endpoint in (f"otlp: {{endpoint: '{url}'}}\n", ""):
        variables = {} if endpoint else {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": url}
        (issue,) = load_issues(CLUSTER + endpoint, variables)
        assert "is a URL of Prometheus remote write, which does not take OTLP" in issue
        assert "https://otlp.last9.io" in issue


class TestSharedTarget:
    @pytest.mark.parametrize(
        "text",
        [
            "argo: {targets: 'a:80'}\nkube_state_metrics: {targets: 'a:80'}",
            "argo: {targets: 'a:80'}\nkube_state_metrics: {targets: 'http://a/metrics?x'}",
            "rollout_state: {targets: 'kube-state-metrics.kube-system.svc:8080'}",
            "argo: [{name: x, targets: 'a:80'}, {name: y, targets: ['b:80', 'a:80']}]",
        ],
    )
    def test_of_two_sources_is_warned_of(self, load_config: LoadConfig, text: str) -> None:
        (warning,) = load_config(text).warnings
        assert warning.kind == "shared_target"
        assert "is a target of" in warning.message

    def test_two_ports_of_one_host_are_two_targets(self, load_config: LoadConfig) -> None:
        assert not load_config("argo: {targets: 'a:80'}\nkube_state_metrics: {targets: 'a:81'}").warnings


class TestDirectory:
    @pytest.mark.parametrize("place", ["file", "file/below", "/proc/x", "/sys/fs/x", "/dev/null"])
    def test_one_that_can_never_be_is_refused_by_check_alone(
        self, load_config: LoadConfig, tmp_path: Path, place: str
    ) -> None:
        """An exporter starts with it, and delivers from memory."""
        (tmp_path / "file").touch()
        text = f"storage: {{directory: {tmp_path / place}}}"
        (warning,) = load_config(text).warnings
        assert "storage.directory: " in warning.message
        assert "write an absolute path on a volume" in warning.hint
        result = CliRunner().invoke(main, ["-c", str(tmp_path / "x.yaml"), "check"], env={CONFIG_VARIABLE: None})
        assert result.exit_code == 2
        assert "error: nothing can be stored; see the warning about storage.directory" in result.output

    def test_one_that_does_not_exist_yet_is_fine(self, load_config: LoadConfig, tmp_path: Path) -> None:
        assert not load_config(f"storage: {{directory: {tmp_path}/a/b/c}}").warnings


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("otlp: {endpoint: '', headers: {authorization: ''}, authorization_file: ' '}", {}),
        ("storage: {directory: ''}\nread: {address: '', last9: {cluster: ''}}\nlog: {level: ''}\nmode: ''", {}),
        ("argo: {name: '', interval: '', tls: {ca_file: ''}}\ngates: ''\nweb: ''", {}),
        (
            "",
            dict.fromkeys(
                (
                    *("LAST9_AUTH_HEADER", "LAST9_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_CONFIG_FILE"),
                    *("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_RESOURCE_ATTRIBUTES", "ROLLOUTS_EXPORTER_OTLP__TIMEOUT"),
                    *("ROLLOUTS_EXPORTER_STORAGE__DIRECTORY", "ROLLOUTS_EXPORTER_ARGO__INTERVAL"),
                ),
                "",
            ),
        ),
    ],
)
def test_empty_text_means_unset(load_config: LoadConfig, text: str, environment: dict[str, str]) -> None:
    assert load_config(CLUSTER + text, environment).settings == load_config(CLUSTER).settings
    assert not load_config(CLUSTER + text, environment).warnings
