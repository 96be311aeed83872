"""Values are described and checked, and render to a configuration that the exporter accepts."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from exporter import __version__
from exporter.config import Settings
from exporter.config.model import section_fields
from exporter.config.schema import iter_fields
from tests.chart.helm import (
    CHART,
    EXAMPLES,
    HelmError,
    documents,
    exporter_deployment,
    find_manifest,
    render,
)
from tests.chart.reference import PARENT_KEYS, README, SCHEMA, VALUES, schema_with_settings, values_table
from tests.chart.schemas import schema_errors
from tests.readme import split_section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from exporter.config.model import SettingField, SettingPath
    from tests.chart.conftest import Manifests

PUSH_ARGUMENTS = ("--set", "last9.otlpEndpoint=https://otlp.last9.io", "--set", "last9.cluster.name=c1")


def described_keys(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for key, described in schema.get("properties", {}).items():
        yield f"{path}{key}", described
        yield from described_keys(described, f"{path}{key}.")


def test_every_value_is_described_and_unknown_keys_are_rejected() -> None:
    assert [path for path, described in described_keys(SCHEMA) if not described.get("description")] == []
    assert [
        path
        for path, described in described_keys(SCHEMA)
        if "properties" in described and described["additionalProperties"]
    ] == ["global"]
    assert SCHEMA["additionalProperties"] is False


def test_default_values_satisfy_the_schema_and_contain_every_key() -> None:
    assert schema_errors(SCHEMA, VALUES) == []
    assert set(VALUES) == set(SCHEMA["properties"]) - set(PARENT_KEYS)
    for key, described in SCHEMA["properties"].items():
        if "properties" in described and key != "config":
            assert set(VALUES[key]) == set(described["properties"]), key


def test_schema_of_config_is_that_of_the_settings() -> None:
    assert schema_with_settings() == SCHEMA, "python -m tests.chart.reference --write"


@pytest.mark.parametrize(
    ("section", "is_valid"),
    [
        ({"argo": {"interval": "often"}}, False),
        ({"argo": [{"interval": "often"}]}, False),
        ({"argo": [{"name": "a", "interval": 15}, {"name": "b", "interval": "1m30s"}]}, True),
        ({"otlp": {"quue": 1}}, False),
        ({"storage": {"max_bytes": "64 potatoes"}}, False),
        ({"storage": {"max_bytes": "64MiB", "directory": None}}, True),
        ({"log": {"level": "loud"}}, False),
        ({"log": {"level": "DEBUG"}}, True),
        ({"series": {"pass_through": ["rollout_.*"], "derive": "no"}}, True),
        ({"series": {"pass_through": "minimal", "labels": "team,tier"}}, True),
        ({"attributes": "k8s.cluster.name=c1"}, True),
        ({"otlp": {"timeout": "0s"}}, True),
    ],
)
def test_schema_refuses_a_wrong_setting_and_no_right_one(section: dict[str, Any], *, is_valid: bool) -> None:
    assert (schema_errors(SCHEMA["properties"]["config"], section) == []) == is_valid


EMPTY = ("", " ", None)
BOOLEANS = (True, [True])
SETTINGS = [(path, field) for path, field in iter_fields(Settings) if field.section is None]


@pytest.mark.parametrize(("path", "field"), SETTINGS, ids=[".".join(map(str, path)) for path, _ in SETTINGS])
def test_schema_accepts_empty_text_and_a_boolean_as_text(path: SettingPath, field: SettingField) -> None:
    """A template writes "" for what it has no value of, and YAML reads the label `on` as a boolean."""
    for written in (*EMPTY, *(BOOLEANS if field.format.kind == "list of text" else ())):
        section: Any = written
        for key in reversed(path):
            section = {key: section}
        assert schema_errors(SCHEMA["properties"]["config"], section) == []


def test_sections_of_config_are_those_of_the_exporter() -> None:
    assert set(SCHEMA["properties"]["config"]["properties"]) == set(section_fields(Settings))


def test_table_of_the_readme_is_current() -> None:
    assert split_section(README.read_text(), "values")[1].strip() == values_table(), (
        "python -m tests.chart.reference --write"
    )


def test_chart_and_exporter_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


@pytest.mark.slow
@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "replicaz=2"), "additional properties 'replicaz' not allowed"),
        (("--set", "last9.otlpEndpiont=x"), "at '/last9': additional properties 'otlpEndpiont' not allowed"),
        (("--set", "config.otpl.endpoint=x"), "at '/config': additional properties 'otpl' not allowed"),
        (("--set", "config.argo.interval=often"), "at '/config/argo'"),
        (("--set", "serviceMonitor.interval=often"), "at '/serviceMonitor/interval'"),
        (("--set", "gates.address=https://read.example/"), "at '/gates/address'"),
        (("--set", "config.otlp.endpoint=https://otlp.last9.io"), "last9.cluster.name is required to push"),
        (("--set", "config.argo[0].basic_auth.password=x"), "config.argo.0.basic_auth.password would be stored in a"),
        (("--set", "config.last9.refresh_token=x"), "config.last9.refresh_token would be stored in a"),
    ],
)
def test_invalid_values_are_rejected_with_a_hint(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(HelmError) as raised:
        render(*arguments)
    assert message in str(raised.value)


def run_check(release: Manifests, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `rollouts-exporter check` on the configuration of a release, with the folders of the pod below `folder`."""
    container = exporter_deployment(release)["spec"]["template"]["spec"]["containers"][0]
    config = find_manifest([item for item in release if "config.yaml" in item.get("data", {})], "ConfigMap")["data"][
        "config.yaml"
    ]
    for mount in container["volumeMounts"]:
        local_path = folder / mount["mountPath"].strip("/")
        local_path.mkdir(parents=True, exist_ok=True)
        config = config.replace(mount["mountPath"], str(local_path))
    for key in ("authorization", "write-header"):
        (folder / "etc" / "last9").mkdir(parents=True, exist_ok=True)
        (folder / "etc" / "last9" / key).write_text("Basic dXNlcjpwYXNz")
    token = folder / "var/run/secrets/kubernetes.io/serviceaccount/token"
    token.parent.mkdir(parents=True, exist_ok=True)
    token.write_text("token")
    file = folder / "config.yaml"
    file.write_text(config)
    command = [sys.executable, "-m", "exporter", "check", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": ""})


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_exporter_accepts_every_example_without_a_warning(
    manifests: Callable[[str], Manifests], example: str, tmp_path: Path
) -> None:
    result = run_check(manifests(example), tmp_path)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    pushes = yaml.safe_load((CHART / "examples" / f"values-{example}.yaml").read_text()).get("last9", {})
    endpoint = pushes.get("otlpEndpoint")
    assert (f"pushing to {endpoint}" if endpoint else "no push (otlp.endpoint is not set)") in result.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("helm")
def test_check_rejects_an_invalid_configuration(tmp_path: Path) -> None:
    result = run_check(documents(render("--set", "config.lifecycle.grace=4000d")), tmp_path)
    assert result.returncode == 2
    assert "is longer than ten years" in result.stderr


@pytest.mark.usefixtures("helm")
def test_null_removes_a_label_of_a_selector() -> None:
    other = {"app.kubernetes.io/name": None, "app": "argo"}
    release = documents(render("--set-json", f"argoRollouts.selector={json.dumps(other)}"))
    assert find_manifest(release, "Service", "argo-rollouts")["spec"]["selector"] == {"app": "argo"}


@pytest.mark.usefixtures("helm")
def test_keys_of_a_parent_chart_are_accepted() -> None:
    assert render("--set", "global.region=here,enabled=true") == render()


@pytest.mark.usefixtures("helm")
def test_config_overrides_the_values_and_null_removes_a_key() -> None:
    overrides = {
        "storage": {"directory": None},
        "kube_state_metrics": {"interval": "60s"},
        "series": {"derive": False},
    }
    release = documents(render(*PUSH_ARGUMENTS, "--set-json", f"config={json.dumps(overrides)}"))
    config = yaml.safe_load(find_manifest(release, "ConfigMap")["data"]["config.yaml"])
    assert config["storage"] == {"directory": None}
    assert config["series"] == {"derive": False}
    assert set(config["kube_state_metrics"]) == {"interval", "targets"}
