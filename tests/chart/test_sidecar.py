"""The values in sidecar/ for other charts: the exporter as a sidecar, and kube-state-metrics."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from exporter import __version__
from exporter.rollouts.inputs import rollout_state
from tests.chart.helm import CHART
from tests.chart.schemas import manifest_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.recorded import Recordings

SIDECAR: Final = CHART / "sidecar"
PAGES: Final = Path(__file__).parents[1] / "demo" / "pages"


def load_values(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((SIDECAR / f"{name}.yaml").read_text())
    return values


def sidecar_container() -> dict[str, Any]:
    (container,) = load_values("argo-rollouts")["controller"]["extraContainers"]
    assert isinstance(container, dict)
    return container


def read_page(name: str) -> str:
    return gzip.decompress((PAGES / f"{name}.prom.gz").read_bytes()).decode()


def test_sidecar_is_valid_in_the_controller_pod() -> None:
    controller = load_values("argo-rollouts")["controller"]
    labels = {"app.kubernetes.io/name": "argo-rollouts"}
    pod = {
        "containers": [{"name": "argo-rollouts", "image": "argo-rollouts"}, *controller["extraContainers"]],
        "volumes": controller["volumes"],
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "argo-rollouts"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    assert manifest_errors(deployment) == []
    volumes = {volume["name"] for volume in controller["volumes"]}
    assert {mount["name"] for mount in sidecar_container()["volumeMounts"]} == volumes


def test_sidecar_has_no_probe_that_could_make_the_controller_unready() -> None:
    assert not [key for key in sidecar_container() if key.endswith("Probe") or key == "lifecycle"]


def test_sidecar_is_restricted_and_has_the_current_version() -> None:
    context = sidecar_container()["securityContext"]
    assert context["runAsNonRoot"] is context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert sidecar_container()["image"].endswith(f":{__version__}")


def run_config(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exporter", "config"], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_exporter_accepts_the_environment_of_the_sidecar(tmp_path: Path) -> None:
    (tmp_path / "authorization").write_text("Basic dXNlcjpwYXNz")
    environment = {
        variable["name"]: variable["value"].replace("/etc/last9", str(tmp_path))
        for variable in sidecar_container()["env"]
    }
    result = run_config(environment)
    assert (result.returncode, result.stderr) == (0, "")
    settings = yaml.safe_load(result.stdout)
    assert settings["mode"] == "sidecar"
    assert settings["argo"]["targets"] == ["127.0.0.1:8090"]
    assert settings["attributes"]["k8s.cluster.name"] == "production-1"
    assert settings["storage"]["directory"] == "/var/lib/rollouts-exporter"
    assert run_config({"ROLLOUTS_EXPORTER_OTPL__ENDPOINT": "x", **environment}).stderr, (
        "a misspelt variable is reported"
    )


def test_allow_lists_yield_the_labels_that_the_exporter_reads() -> None:
    """kube-state-metrics replaces every character of a name except letters, digits and _ by _."""
    values = load_values("kube-state-metrics")
    allowed = {
        f"{prefix}_{re.sub('[^a-zA-Z0-9_]', '_', key)}"
        for prefix, entries in (
            ("label", values["metricLabelsAllowlist"]),
            ("annotation", values["metricAnnotationsAllowList"]),
        )
        for entry in entries
        for key in re.fullmatch(r"(?:pods|replicasets)=\[(.*)\]", entry)[1].split(",")  # type: ignore[index] # it matches
    }
    assert allowed == {"label_rollouts_pod_template_hash", "annotation_rollout_argoproj_io_revision"}
    for label in allowed:
        assert f'{label}="' in read_page("ksm"), "a real kube-state-metrics with these lists shows it"
        assert f'{label}="' not in read_page("ksm-plain"), "and without them it does not"


UNREAD_FAMILIES: Final = {"experiment_analysis_info", "rollout_spec_replicas", "rollout_status_hpa_replicas"}
"""Families for people who look at the page; the exporter has the same from other families."""
OPTIONAL_FAMILIES: Final = {"rollout_labels"}
"""Families that stand in the values as a comment, for a setting that is off by default."""


def families() -> dict[str, dict[str, Any]]:
    """Return the families of the custom-resource state by their names without the prefix."""
    resources = load_values("rollout-state")["customResourceState"]["config"]["spec"]["resources"]
    kinds = [resource["groupVersionKind"]["kind"] for resource in resources]
    assert kinds == ["Rollout", "AnalysisRun", "Experiment"]
    for resource in resources:
        assert resource["labelsFromPath"] == {"namespace": ["metadata", "namespace"], "name": ["metadata", "name"]}
    return {metric["name"]: metric for resource in resources for metric in resource["metrics"]}


def test_rollout_state_has_the_families_that_the_exporter_reads() -> None:
    read = {name.removeprefix("kube_customresource_") for name in rollout_state.REQUIRED_FAMILIES}
    assert families().keys() - UNREAD_FAMILIES == read - OPTIONAL_FAMILIES
    commented = (SIDECAR / "rollout-state.yaml").read_text()
    assert all(f"# - name: {name}\n" in commented for name in OPTIONAL_FAMILIES)


def test_rollout_state_agrees_with_recorded_pages(explained_recordings: Recordings) -> None:
    pages = "".join(page.read_text() for page in explained_recordings.folder.glob("*/pages/*/ksm*.prom"))
    for name, family in families().items():
        assert f"# HELP kube_customresource_{name} {family['help']}\n" in pages
    for label in ("stable_hash", "current_hash", "message"):
        assert re.search(rf'^kube_customresource_rollout_status_info{{.*{label}="', pages, re.MULTILINE)


def test_rollout_state_may_only_read_objects_of_argo_rollouts() -> None:
    values = load_values("rollout-state")
    assert values["rbac"]["extraRules"] == [
        {
            "apiGroups": ["argoproj.io"],
            "resources": ["rollouts", "analysisruns", "experiments"],
            "verbs": ["list", "watch"],
        }
    ]
    assert values["collectors"] == []
    assert "--custom-resource-state-only=true" in values["extraArgs"]
