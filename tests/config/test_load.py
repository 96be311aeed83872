"""Sources of settings and their precedence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from exporter.config import Settings

if TYPE_CHECKING:
    from tests.config.conftest import LoadConfig, LoadIssues

DEFAULTS = Settings()


def test_no_configuration_is_valid(load_config: LoadConfig) -> None:
    result = load_config()
    assert (result.settings, result.origins, result.warnings) == (DEFAULTS, {}, ())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "x.yaml"),
        ("# later\n", "x.yaml"),
        ("argo:\nlog:\n", "x.yml"),
        ("argo: ~\n", "x"),
        ("", "x.env"),
        ("", ".env"),
    ],
)
def test_an_empty_file_changes_nothing(load_config: LoadConfig, text: str, name: str) -> None:
    assert load_config(text, name=name).settings == DEFAULTS


RETRY_CODES = ("408", "-501", "425", "INTERNAL", "-UNKNOWN")
VALID: tuple[tuple[str, str, object], ...] = (
    ("argo: {targets: [a:1, b:2]}", "argo.0.targets", ("a:1", "b:2")),
    ("argo: {targets: 'a:1, b:2'}", "argo.0.targets", ("a:1", "b:2")),
    ("argo: {interval: 1m}", "argo.0.interval", 60.0),
    ("argo: {interval: 90}", "argo.0.interval", 90.0),
    ("argo: [{targets: a:1}, {name: two, targets: b:2}]", "argo.1.name", "two"),
    ("argo: {limits: {body: 1GiB}}", "argo.0.limits.body", 2**30),
    ("kube_state_metrics: {targets: []}", "kube_state_metrics.targets", ()),
    ("rollout_state: {targets: [k:8080]}", "rollout_state.targets", ("k:8080",)),
    ("otlp: {timeout: 0}", "otlp.timeout", 0.0),
    ("otlp: {compression: none}", "otlp.compression", "none"),
    ("otlp: {retry: {hold: 1m}}", "otlp.retry.hold", 60.0),
    ("otlp: {retry: {strict: yes}}", "otlp.retry.strict", True),
    ("otlp: {retry: {codes: [408, -501, +425, internal, -UNKNOWN]}}", "otlp.retry.codes", RETRY_CODES),
    ("otlp: {retry: {codes: '408, -501,+425,INTERNAL,-unknown'}}", "otlp.retry.codes", RETRY_CODES),
    ("otlp: {response: {bytes: 1MiB}}", "otlp.response.bytes", 2**20),
    ("otlp: {request: {bytes: 64KiB}}", "otlp.request.bytes", 2**16),
    ("otlp: {protocol: GRPC}", "otlp.protocol", "grpc"),
    ("series: {derive: no}", "series.derive", False),
    ("series: {limit: 1000}", "series.limit", 1000),
    ("web: {listen: 8080}", "web.listen", ":8080"),
    ("log: {level: WARNING}", "log.level", "warning"),
    ("attributes: {deployment.environment: no, version: 1.10}", "attributes.version", "1.10"),
    ("attributes: {country: no}", "attributes.country", "no"),
    ("lifecycle: {role_label: [role, team/role]}", "lifecycle.role_label", ("role", "team/role")),
    ("storage: {directory: /var/lib/x}", "storage.directory", "/var/lib/x"),
    ("storage: {directory: ''}", "storage.directory", None),
    ("\ufefflog: {level: debug}", "log.level", "debug"),
    ("argo: &a {interval: 30}\nrollout_state: *a", "rollout_state.interval", 30.0),
)


def setting_at(settings: object, path: str) -> Any:
    """Follow a dotted path through sections, lists and mappings."""
    head, _, rest = path.partition(".")
    if isinstance(settings, dict):
        return settings[path]
    inner = settings[int(head)] if isinstance(settings, tuple) else getattr(settings, head)
    return setting_at(inner, rest) if rest else inner


@pytest.mark.parametrize(("text", "path", "value"), VALID)
def test_a_file_sets_its_settings(load_config: LoadConfig, text: str, path: str, value: object) -> None:
    setting = setting_at(load_config(text).settings, path)
    assert (str(setting) if isinstance(setting, Path) else setting) == value


class TestPrecedence:
    def test_a_later_layer_wins(self, load_config: LoadConfig) -> None:
        """Defaults < file < environment < command line."""
        text, environment = "log: {level: warning}", {"ROLLOUTS_EXPORTER_LOG__LEVEL": "error"}
        levels = [
            load_config().settings.log.level,
            load_config(text).settings.log.level,
            load_config(text, environment).settings.log.level,
            load_config(text, environment, {"log.level": "debug"}).settings.log.level,
        ]
        assert levels == ["info", "warning", "error", "debug"]

    def test_layers_are_merged_key_by_key(self, load_config: LoadConfig) -> None:
        settings = load_config(
            "attributes: {cluster: a, team: x}\nargo: {interval: 30s}",
            {"ROLLOUTS_EXPORTER_ATTRIBUTES": "team=y,zone=1", "ROLLOUTS_EXPORTER_ARGO__TIMEOUT": "2s"},
        ).settings
        assert settings.attributes == {"service.name": "rollouts-exporter", "cluster": "a", "team": "y", "zone": "1"}
        assert (settings.argo[0].interval, settings.argo[0].timeout) == (30, 2)

    def test_lists_are_replaced_not_merged(self, load_config: LoadConfig) -> None:
        settings = load_config("argo: {targets: [a:1, b:1]}", {"ROLLOUTS_EXPORTER_ARGO__TARGETS": "c:1"}).settings
        assert settings.argo[0].targets == ("c:1",)

    def test_header_names_ignore_case(self, load_config: LoadConfig) -> None:
        """Rule E13: the last wins, whatever the case."""
        text = "otlp: {headers: {X-Scope: a, x-Team: b}}"
        settings = load_config(text, {"OTEL_EXPORTER_OTLP_HEADERS": "X-SCOPE=c"}).settings
        header_texts = {name: value.text for name, value in settings.otlp.headers.items()}
        assert header_texts == {"x-scope": "c", "x-team": "b"}

    def test_a_dotenv_file_is_a_file_of_variables(self, load_config: LoadConfig) -> None:
        text = "# ours\nexport ROLLOUTS_EXPORTER_LOG__LEVEL=debug\nOTHER=1\nOTEL_SERVICE_NAME='s p'\n"
        result = load_config(text, {"ROLLOUTS_EXPORTER_LOG__FORMAT": "json"}, name="x.env")
        assert (result.settings.log.level, result.settings.log.format) == ("debug", "json")
        assert result.settings.identity() == {"service.name": "s p"}
        assert str(result.origins["log", "level"]).endswith("x.env:2")


class TestInstallations:
    def test_a_variable_sets_the_only_installation(self, load_config: LoadConfig) -> None:
        text = "argo: [{name: blue, targets: [a:1]}]"
        settings = load_config(text, {"ROLLOUTS_EXPORTER_ARGO__TARGETS": "b:1"}).settings
        assert [(installation.name, installation.targets) for installation in settings.argo] == [("blue", ("b:1",))]

    def test_a_variable_for_one_of_several_installations_is_an_error(self, load_issues: LoadIssues) -> None:
        several = "argo: [{name: a, targets: [a:1]}, {name: b, targets: [b:1]}]"
        (issue,) = load_issues(several, {"ROLLOUTS_EXPORTER_ARGO__TARGETS": "c:1"})
        assert issue.startswith("ROLLOUTS_EXPORTER_ARGO__TARGETS: argo.targets: there are several installations; ")
        assert issue.endswith("set it in the file under one installation, or set the complete list as JSON")

    def test_a_list_in_a_variable_replaces_all_installations(self, load_config: LoadConfig) -> None:
        several = "argo: [{name: a, targets: [a:1]}, {name: b, targets: [b:1]}]"
        settings = load_config(several, {"ROLLOUTS_EXPORTER_ARGO": '[{"name": "c", "targets": ["c:1"]}]'}).settings
        assert [(installation.name, installation.targets) for installation in settings.argo] == [("c", ("c:1",))]


class TestOverrides:
    def test_keys_of_a_mapping_may_hold_dots(self, load_config: LoadConfig) -> None:
        settings = load_config(overrides={"attributes.k8s.cluster.name": "c", "argo.limits.samples": 7}).settings
        assert settings.attributes["k8s.cluster.name"] == "c"
        assert settings.argo[0].limits.samples == 7

    def test_an_override_can_be_a_tree(self, load_config: LoadConfig) -> None:
        assert load_config(overrides={"log": {"level": "error"}}).settings.log.level == "error"

    def test_an_unknown_override_is_an_error(self, load_issues: LoadIssues) -> None:
        assert load_issues(overrides={"log.levl": "x"}) == [
            "command line: unknown key 'levl' in log; did you mean level?"
        ]


def test_importing_the_configuration_imports_no_heavy_library() -> None:
    heavy = ("aiohttp", "opentelemetry", "rich", "pydantic", "grpc", "ssl")
    program = f"import sys, exporter.config; print([m for m in {heavy} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert answer.stdout.strip() == "[]"
