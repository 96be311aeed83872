"""What stands beside the chart for other charts: a sidecar, and what kube-state-metrics has to be told."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from exporter import __version__
from exporter.rollouts.inputs import rollout_state
from tests.chart.helm import CHARTS
from tests.chart.schemas import faults

if TYPE_CHECKING:
    from collections.abc import Mapping

SIDECAR: Final = CHARTS / "sidecar"
PAGES: Final = Path(__file__).parents[1] / "demo" / "pages"


def values(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((SIDECAR / f"{name}.yaml").read_text())
    return found


def sidecar() -> dict[str, Any]:
    (found,) = values("argo-rollouts")["controller"]["extraContainers"]
    assert isinstance(found, dict)
    return found


def page(name: str) -> str:
    return gzip.decompress((PAGES / f"{name}.prom.gz").read_bytes()).decode()


def test_the_sidecar_is_valid_in_the_controllers_pod() -> None:
    controller = values("argo-rollouts")["controller"]
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
    assert faults(deployment) == []
    named = {volume["name"] for volume in controller["volumes"]}
    assert {mount["name"] for mount in sidecar()["volumeMounts"]} == named


def test_the_sidecar_has_no_probe_that_could_make_its_controller_unready() -> None:
    assert not [key for key in sidecar() if key.endswith("Probe") or key == "lifecycle"]


def test_the_sidecar_is_restricted_and_of_this_version() -> None:
    context = sidecar()["securityContext"]
    assert context["runAsNonRoot"] is context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert sidecar()["image"].endswith(f":{__version__}")


def checked(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exporter", "config"], env=environment, capture_output=True, text=True, check=False
    )


def test_the_exporter_takes_the_sidecars_environment(tmp_path: Path) -> None:
    (tmp_path / "authorization").write_text("Basic dXNlcjpwYXNz")
    given = {one["name"]: one["value"].replace("/etc/last9", str(tmp_path)) for one in sidecar()["env"]}
    done = checked(given)
    assert (done.returncode, done.stderr) == (0, "")
    holds = yaml.safe_load(done.stdout)
    assert holds["mode"] == "sidecar"
    assert holds["argo"]["targets"] == ["127.0.0.1:8090"]
    assert holds["attributes"]["k8s.cluster.name"] == "production-1"
    assert holds["otlp"]["queue"]["directory"].startswith(holds["memory"]["directory"])
    assert checked({"ROLLOUTS_EXPORTER_OTPL__ENDPOINT": "x", **given}).stderr, "a misspelt variable is told"


def test_the_allow_lists_make_the_labels_that_the_exporter_reads() -> None:
    """Names become labels as kube-state-metrics does it: what is no letter, digit or _ becomes _."""
    told = values("kube-state-metrics")
    allowed = {
        f"{prefix}_{re.sub('[^a-zA-Z0-9_]', '_', key)}"
        for prefix, entries in (
            ("label", told["metricLabelsAllowlist"]),
            ("annotation", told["metricAnnotationsAllowList"]),
        )
        for entry in entries
        for key in re.fullmatch(r"(?:pods|replicasets)=\[(.*)\]", entry)[1].split(",")  # type: ignore[index] # it matches
    }
    assert allowed == {"label_rollouts_pod_template_hash", "annotation_rollout_argoproj_io_revision"}
    for label in allowed:
        assert f'{label}="' in page("ksm"), "a real kube-state-metrics with these lists shows it"
        assert f'{label}="' not in page("ksm-plain"), "and without them it does not"


def families() -> dict[str, dict[str, Any]]:
    """The families of the custom-resource state, by the name that kube-state-metrics gives them."""
    (resource,) = values("rollout-state")["customResourceState"]["config"]["spec"]["resources"]
    assert resource["groupVersionKind"] == {"group": "argoproj.io", "version": "v1alpha1", "kind": "Rollout"}
    assert resource["labelsFromPath"] == {"namespace": ["metadata", "namespace"], "name": ["metadata", "name"]}
    return {f"kube_customresource_{one['name']}": one for one in resource["metrics"]}


def test_rollout_state_has_the_families_that_the_exporter_reads_and_no_other() -> None:
    assert set(families()) == rollout_state.WANTED


def test_rollout_state_is_what_a_real_kube_state_metrics_showed_when_it_was_recorded() -> None:
    recorded = page("ksm-state")
    for name, family in families().items():
        assert f"# HELP {name} {family['help']}\n" in recorded
        path = family["each"].get("info", {}).get("labelsFromPath", {})
        for label in {*path} & {"stable_hash", "current_hash"}:
            assert re.search(rf'^{name}{{.*{label}="', recorded, re.MULTILINE)


def test_rollout_state_may_read_rollouts_and_nothing_else_is_collected() -> None:
    told = values("rollout-state")
    assert told["rbac"]["extraRules"] == [
        {"apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": ["list", "watch"]}
    ]
    assert told["collectors"] == []
    assert "--custom-resource-state-only=true" in told["extraArgs"]
