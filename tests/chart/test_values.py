"""Values: described, refused when misspelt, and the configuration that they come to is one that the exporter takes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from exporter import __version__
from exporter.config import Settings
from tests.chart.helm import CHART, EXAMPLES, Refused, documents, only, rendered, values
from tests.chart.reference import HANDED_DOWN, README, SCHEMA, VALUES, table
from tests.chart.schemas import against
from tests.readme import split_section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.chart.conftest import Manifests

PUSHING = ("--set", "last9.otlpEndpoint=https://otlp.last9.io", "--set", "last9.cluster.name=c1")


def described(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for key, one in schema.get("properties", {}).items():
        yield f"{path}{key}", one
        yield from described(one, f"{path}{key}.")


def test_every_value_is_described_and_no_fixed_mapping_takes_an_unknown_key() -> None:
    assert [path for path, one in described(SCHEMA) if not one.get("description")] == []
    assert [path for path, one in described(SCHEMA) if "properties" in one and one["additionalProperties"]] == []
    assert SCHEMA["additionalProperties"] is False


def test_the_default_values_satisfy_the_schema_and_leave_no_key_of_it_out() -> None:
    assert against(SCHEMA, VALUES) == []
    assert set(VALUES) == set(SCHEMA["properties"]) - set(HANDED_DOWN)
    for key, one in SCHEMA["properties"].items():
        if "properties" in one and key != "config":
            assert set(VALUES[key]) == set(one["properties"]), key


def test_the_sections_of_config_are_the_exporters() -> None:
    assert set(SCHEMA["properties"]["config"]["properties"]) == set(Settings.model_fields)


def test_the_table_of_the_readme_is_the_values() -> None:
    assert split_section(README.read_text(), "values")[1].strip() == table(), "python -m tests.chart.reference --write"


def test_chart_and_exporter_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "replicaz=2"), "additional properties 'replicaz' not allowed"),
        (("--set", "last9.otlpEndpiont=x"), "at '/last9': additional properties 'otlpEndpiont' not allowed"),
        (("--set", "config.otpl.endpoint=x"), "at '/config': additional properties 'otpl' not allowed"),
        (("--set", "serviceMonitor.interval=often"), "at '/serviceMonitor/interval'"),
        (("--set", "gates.address=https://read.example/"), "at '/gates/address'"),
        (("--set", "last9.otlpEndpoint=https://otlp.last9.io"), "last9.cluster.name is required to push"),
        (("--set", "config.otlp.endpoint=https://otlp.last9.io"), "last9.cluster.name is required to push"),
        (
            (*PUSHING, "--set", "last9.existingSecret=a", "--set", "last9.writeToken=b"),
            "are both set: keep one of them",
        ),
        (("--set", "config.otlp.headers.Authorization=Basic x"), "config.otlp.headers.Authorization would be stored in a"),
        (("--set", "config.argo[0].basic_auth.password=x"), "config.argo.0.basic_auth.password would be stored in a"),
        (("--set", "config.mode=sidecar"), "see charts/sidecar"),
        (("--set", "config.web.listen=:80"), "set service.port for another port"),
        (("--set", "argoRollouts.createService=false"), "set argoRollouts.targets, such as"),
        (("--set", "serviceMonitor.enabled=true,podMonitor.enabled=true"), "would be stored twice"),
        (("--set", "serviceMonitor.enabled=true,service.create=false"), "set service.create, or enable podMonitor"),
        (("--set", "gates.enabled=true"), "gates.address is required: the Read URL"),
        (("--set", "gates.enabled=true,gates.address=https://r"), "gates.namespaces is required"),
        ((*values("gates"), "--set", "gates.templates.nope.enabled=false"), "there is no such gate; there are "),
        (
            (*values("gates"), "--set", "gates.templates.error-rate.args.x=1"),
            "the gate has no such arg; it has service-",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_the_value_that_cures_it(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(Refused) as refused:
        rendered(*arguments)
    assert said in str(refused.value)


def checked(release: Manifests, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `rollouts-exporter check` on a release's configuration, with the pod's folders below one of ours."""
    container = only(release, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    config = only([one for one in release if "config.yaml" in one.get("data", {})], "ConfigMap")["data"]["config.yaml"]
    for mount in container["volumeMounts"]:
        there = folder / mount["mountPath"].strip("/")
        there.mkdir(parents=True, exist_ok=True)
        config = config.replace(mount["mountPath"], str(there))
    for key in ("authorization", "write-header"):
        (folder / "etc" / "last9").mkdir(parents=True, exist_ok=True)
        (folder / "etc" / "last9" / key).write_text("Basic dXNlcjpwYXNz")
    file = folder / "config.yaml"
    file.write_text(config)
    command = [sys.executable, "-m", "exporter", "check", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": ""})


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_exporter_takes_every_configuration_without_a_warning(
    manifests: Callable[[str], Manifests], example: str, tmp_path: Path
) -> None:
    done = checked(manifests(example), tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    pushes = yaml.safe_load((CHART / "examples" / f"values-{example}.yaml").read_text()).get("last9", {})
    endpoint = pushes.get("otlpEndpoint")
    assert (f"pushing to {endpoint}" if endpoint else "no push (otlp.endpoint is not set)") in done.stdout


@pytest.mark.usefixtures("helm")
def test_the_check_refuses_a_configuration_with_a_fault(tmp_path: Path) -> None:
    done = checked(documents(rendered("--set", "config.otlp.quue.bytes=1")), tmp_path)
    assert done.returncode == 2
    assert "unknown key 'quue' in otlp" in done.stderr


@pytest.mark.usefixtures("helm")
def test_a_label_of_a_selector_is_taken_back_with_null() -> None:
    other = {"app.kubernetes.io/name": None, "app": "argo"}
    release = documents(rendered("--set-json", f"argoRollouts.selector={json.dumps(other)}"))
    assert only(release, "Service", "argo-rollouts")["spec"]["selector"] == {"app": "argo"}


@pytest.mark.usefixtures("helm")
def test_a_parent_chart_may_hand_down_what_it_hands_to_all() -> None:
    assert rendered("--set", "global.region=here,enabled=true") == rendered()


@pytest.mark.usefixtures("helm")
def test_config_wins_over_the_values_and_null_takes_a_key_back() -> None:
    laid = {
        "otlp": {"queue": {"directory": None}},
        "kube_state_metrics": {"interval": "60s"},
        "series": {"derive": False},
    }
    release = documents(rendered(*PUSHING, "--set-json", f"config={json.dumps(laid)}"))
    config = yaml.safe_load(only(release, "ConfigMap")["data"]["config.yaml"])
    assert config["otlp"]["queue"] == {"directory": None}
    assert config["series"] == {"derive": False}
    assert set(config["kube_state_metrics"]) == {"interval", "targets"}
