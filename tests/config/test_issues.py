"""An invalid configuration has exact issues, reported together, each with location and hint."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.config import ConfigError, load

if TYPE_CHECKING:
    from tests.config.conftest import LoadIssues

YAML_HINT = "fix the line; `key: value` under a section, indented by spaces"
CLUSTER = (
    "otlp.endpoint: series are pushed without an attribute that names the cluster; set `attributes: {k8s.cluster.name: "
    "<name>}`, or `attributes: {k8s.cluster.name: none}` if there is only one cluster"
)

PIECES = ("argo", "otlp", "log", ": ", "\n", "  ", "- ", "[", "]", "{", "}", "'", "&a ", "*a", "!", "~")
CASES = (Path(__file__).parent / "invalid_files.txt").read_text().split("###\n")[1:]

NOT_TEXT: tuple[tuple[str | bytes, str], ...] = (
    (b"log:\n  level: \xff", "x.yaml:2: is not UTF-8 text; save it as UTF-8"),
    ("a: \x00", f"x.yaml:1: has a character that YAML does not allow; {YAML_HINT}"),
    ("argo:\n\ttargets: x", f"x.yaml:2: is not YAML: found character that cannot start any token; {YAML_HINT}"),
    ("[" * 5000, "x.yaml: is nested too deep; use fewer levels"),
)


@pytest.mark.parametrize("case", CASES)
def test_an_invalid_file_has_exactly_these_issues(load_issues: LoadIssues, case: str) -> None:
    text, *expected = re.split(r"^>>> ", case.strip(), flags=re.MULTILINE)
    assert load_issues(text) == [issue.strip() for issue in expected]


@pytest.mark.slow
@pytest.mark.parametrize(("text", "issue"), NOT_TEXT)
def test_a_file_that_is_not_text_has_exactly_this_issue(load_issues: LoadIssues, text: str | bytes, issue: str) -> None:
    assert load_issues(text) == [issue]


def test_all_errors_are_reported_together(load_issues: LoadIssues) -> None:
    text = "log:\n  level: loud\nargo:\n  targets: [a]\n  intervall: 3\notlp:\n  endpoint: http://h\n"
    variables = {"ROLLOUTS_EXPORTER_AGRO__PATH": "/", "ROLLOUTS_EXPORTER_SERIES__LIMIT": "-1"}
    issues = load_issues(text, variables, {"web.listen": "x"})
    assert [issue.partition(";")[0] for issue in issues] == [
        "x.yaml:5: unknown key 'intervall' in argo",
        "ROLLOUTS_EXPORTER_AGRO__PATH: matches no setting",
        "x.yaml:4: argo.targets: 'a' has no port",
        "command line: web.listen: 'x' is not a listen address",
        "ROLLOUTS_EXPORTER_SERIES__LIMIT: series.limit: should be greater than 0, not '-1'",
        "x.yaml:2: log.level: should be 'debug', 'info', 'warning' or 'error', not 'loud'",
        f"x.yaml:7: {CLUSTER.partition(';')[0]}",
    ]


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("argo: {interval: x}\nkube_state_metrics: {interval: 40s, timeout: 20s}", {}),
        ("otlp: {endpoint: http://h}\nattributes: {a.b: 1, a_b: 2}", {}),
        ("otlp: {endpoint: http://h}\nattributes: [x]", {}),
    ],
)
def test_an_error_does_not_cause_further_errors(
    load_issues: LoadIssues, text: str, environment: dict[str, str]
) -> None:
    assert len(load_issues(text, environment)) == 1


class TestFilesInSettings:
    def test_a_missing_file_is_reported_with_its_location(self, load_issues: LoadIssues, tmp_path: Path) -> None:
        (issue,) = load_issues(f"otlp:\n  authorization_file: {tmp_path}/token")
        assert issue.startswith("x.yaml:2: otlp.authorization_file: token does not exist; check the path, and that")

    def test_a_directory_and_an_empty_file_are_reported(self, load_issues: LoadIssues, tmp_path: Path) -> None:
        (tmp_path / "empty").write_text("\n")
        text = f"otlp: {{tls: {{ca_file: {tmp_path}/.}}}}\nargo: {{bearer_token_file: {tmp_path}/empty}}"
        issues = load_issues(text)
        assert issues[0] == "x.yaml:2: argo.bearer_token_file: empty: is empty; write the secret into it"
        assert "otlp.tls.ca_file" in issues[1]
        assert "is a directory" in issues[1]

    def test_a_secret_that_is_not_a_valid_header_value_is_rejected(
        self, load_issues: LoadIssues, tmp_path: Path
    ) -> None:
        (tmp_path / "token").write_text("Basic a\nb")
        (issue,) = load_issues(f"otlp: {{authorization_file: {tmp_path}/token}}")
        assert issue.startswith("x.yaml:1: otlp.authorization_file: token: has a line break, a control character or")
        assert issue.endswith("; write one line of ASCII")

    def test_two_credentials_for_one_endpoint_are_rejected(self, load_issues: LoadIssues, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("Basic a")
        (issue,) = load_issues(f"otlp: {{authorization_file: {tmp_path}/token}}", {"LAST9_AUTH_HEADER": "Basic YTpi"})
        assert issue.startswith(
            "x.yaml:1: otlp.authorization_file: authorization_file and headers.authorization both set"
        )

    def test_a_certificate_without_its_key_is_rejected(self, load_issues: LoadIssues, tmp_path: Path) -> None:
        (tmp_path / "c.pem").write_text("x")
        assert load_issues(f"web: {{tls: {{cert_file: {tmp_path}/c.pem}}}}") == [
            "x.yaml:1: web.tls.cert_file: is set without key_file; set `key_file` too, or neither"
        ]


class TestConfigurationFile:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"none\.yaml: does not exist; check the path given with --config"):
            load(tmp_path / "none.yaml", {})

    @pytest.mark.parametrize("name", ["folder", "folder.env"])
    def test_a_directory(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).mkdir()
        with pytest.raises(ConfigError, match="is a directory; pass the file in it with --config"):
            load(tmp_path / name, {})

    def test_a_name_too_long(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read: File name too long"):
            load(tmp_path / ("x" * 300), {})

    def test_an_invalid_line_of_a_dotenv_file(self, load_issues: LoadIssues) -> None:
        assert load_issues("A=1\n\n'x\n", name="x.env") == ["x.env:3: is not a line of a .env file; write NAME=value"]

    def test_an_alias_bomb_is_rejected_quickly(self, load_issues: LoadIssues) -> None:
        lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]", *(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))]
        assert load_issues("\n".join(lines)) == [
            "x.yaml:1: has too many values, or is nested too deep; write it without nested aliases"
        ]


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.one_of(
        st.text(max_size=200),
        st.lists(st.sampled_from(PIECES)).map("".join),
    ),
    dotenv=st.booleans(),
)
def test_any_text_loads_or_raises_config_error(tmp_path: Path, text: str, *, dotenv: bool) -> None:
    file = tmp_path / ("x.env" if dotenv else "x.yaml")
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(ConfigError):
        assert load(file, {}).settings.argo


@pytest.mark.parametrize(
    ("text", "issue"),
    [
        ("request: {bytes: 1}", "otlp.request.bytes: should be greater than or equal to 65536, not '1'"),
        ("retry: {codes: [200]}", "otlp.retry.codes: '200' is not the status of an error"),
        ("retry: {codes: [500, 500]}", "otlp.retry.codes: has '500' twice"),
        ("retry: {codes: [TEAPOT]}", "otlp.retry.codes: 'TEAPOT' is not the status of an error"),
        ("{endpoint: 'dns:///h:1'}", "otlp.endpoint: has no scheme; write https://h:1"),
        ("{endpoint: 'dns:///http://h:1', protocol: grpc}", "otlp.endpoint: has dns: before something else"),
        ("headers: {Content-Length: 5}", "otlp.headers.content-length: belongs to the connection"),
        ("headers: {Transfer-Encoding: chunked}", "otlp.headers.transfer-encoding: belongs to the"),
    ],
)
def test_an_absurd_setting_of_the_push_is_refused(load_issues: LoadIssues, text: str, issue: str) -> None:
    section = text if text.startswith("{") else f"{{{text}}}"
    (message,) = load_issues(f"otlp: {section}\nattributes: {{cluster: none}}")
    assert issue in message
