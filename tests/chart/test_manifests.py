"""What the chart renders to: valid, restricted, and as the goldens have it."""

from __future__ import annotations

import copy
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from exporter.config import Settings
from tests.chart.helm import CHART, CHARTS, EXAMPLES, GOLDEN, KUBERNETES, documents, only, rendered, values
from tests.chart.helm import helm as run_helm
from tests.chart.schemas import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.chart.conftest import Manifests


LARGEST_CONFIG_MAP = 1_000_000
"""Bytes: what an API server takes, and a little less."""


@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize("example", EXAMPLES)
def test_helm_lint_has_nothing_to_say_but_that_there_is_no_icon(example: str) -> None:
    said = run_helm("lint", "--strict", "--kube-version", KUBERNETES, str(CHART), *values(example))
    assert [line for line in said.splitlines() if line.startswith("[")] == ["[INFO] Chart.yaml: icon is recommended"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_manifest_is_valid(manifests: Callable[[str], Manifests], example: str) -> None:
    assert [fault for manifest in manifests(example) for fault in faults(manifest)] == []


def test_the_validation_sees_a_misspelt_key_and_a_wrong_type(manifests: Callable[[str], Manifests]) -> None:
    everything = manifests("everything")
    for kind, path, wrong in (
        ("Deployment", ("spec", "template", "spec", "contianers"), []),
        ("Deployment", ("spec", "replicas"), "one"),
        ("PodMonitor", ("spec", "endpoints"), []),
        ("AnalysisTemplate", ("spec", "args", 0, "valueFrom"), {"fieldRef": {}}),
        ("Service", ("metadata", "lables"), {}),
    ):
        manifest: Any = copy.deepcopy(next(one for one in everything if one["kind"] == kind))
        part = manifest
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = wrong
        assert faults(manifest), (kind, path)


@pytest.mark.parametrize("example", EXAMPLES)
def test_it_renders_as_the_golden_has_it(chart_with_own_files: Path, example: str) -> None:
    golden = (GOLDEN / f"{example}.yaml").read_text()
    assert rendered(*values(example), chart=chart_with_own_files) == golden, "python -m tests.chart.helm --write"


def test_there_is_a_golden_for_each_example_and_no_other() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == list(EXAMPLES)


def dashboards(manifests: Manifests) -> Manifests:
    return [one for one in manifests if "grafana_dashboard" in one["metadata"].get("labels", {})]


def test_dashboards_and_rules_are_handed_on_as_they_stand_with_the_templates_of_others_in_them(
    manifests: Callable[[str], Manifests],
) -> None:
    everything = manifests("everything")
    for path in CHART.glob("dashboards/*.json"):
        shown = only(dashboards(everything), "ConfigMap", f"-{path.stem}")
        assert shown["data"] == {path.name: path.read_text().strip() + "\n"}
    for path in CHART.glob("rules/*.yaml"):
        assert only(everything, "PrometheusRule", f"-{path.stem}")["spec"] == yaml.safe_load(path.read_text())


def test_what_is_shipped_arrives_in_the_cluster_whole(manifests: Callable[[str], Manifests]) -> None:
    everything = manifests("everything")
    boards = {name: text for one in dashboards(everything) for name, text in one["data"].items()}
    assert set(boards) == {"exporter.json", "fleet.json", "rollout.json"}
    assert all(json.loads(text)["panels"] and len(text.encode()) < LARGEST_CONFIG_MAP for text in boards.values())
    (rules,) = (one["spec"]["groups"] for one in everything if one["kind"] == "PrometheusRule")
    assert {"RolloutAborted", "ArgoRolloutsNoLeader"} <= {rule["alert"] for group in rules for rule in group["rules"]}
    gates = {one["metadata"]["name"] for one in everything if one["kind"] == "AnalysisTemplate"}
    assert {name.removeprefix("last9-") for name in gates} == {path.stem for path in CHART.glob("gates/*.yaml")}


@pytest.mark.usefixtures("helm")
def test_it_renders_for_a_helm_that_asks_no_cluster() -> None:
    assert documents(run_helm("template", "shown", str(CHART)))


def pods(manifests: Manifests) -> Iterator[dict[str, Any]]:
    """Every pod of a release: the Deployment's and the test's."""
    for manifest in manifests:
        if manifest["kind"] == "Pod":
            yield manifest["spec"]
        elif manifest["kind"] == "Deployment":
            yield manifest["spec"]["template"]["spec"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_no_pod_has_a_token_or_a_right_and_each_keeps_the_restricted_standard(
    manifests: Callable[[str], Manifests], example: str
) -> None:
    release = manifests(example)
    assert not [one["kind"] for one in release if "rbac" in one["apiVersion"] or one["kind"] == "ServiceAccount"]
    found = list(pods(release))
    assert len(found) == 2
    for pod in found:
        assert pod["automountServiceAccountToken"] is False
        assert "serviceAccountName" not in pod
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 65532
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        own = pod["containers"][0]["securityContext"]
        assert own == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("example", EXAMPLES)
def test_one_exporter_and_never_two_at_a_time(manifests: Callable[[str], Manifests], example: str) -> None:
    spec = only(manifests(example), "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize("example", EXAMPLES)
def test_selectors_find_the_exporter_and_not_the_test(manifests: Callable[[str], Manifests], example: str) -> None:
    release = manifests(example)
    pod = only(release, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    other = only(release, "Pod")["metadata"]["labels"].items()
    selector = only(release, "Deployment")["spec"]["selector"]["matchLabels"].items()
    assert selector <= pod
    assert not selector <= other
    services = [one for one in release if one["kind"] == "Service" and one["metadata"]["namespace"] == "last9"]
    assert [one["spec"]["selector"].items() for one in services] == [selector]


def test_every_controller_pod_is_asked_by_name_also_one_that_is_not_ready(
    manifests: Callable[[str], Manifests],
) -> None:
    release = manifests("defaults")
    config = yaml.safe_load(only(release, "ConfigMap")["data"]["config.yaml"])
    for section, kind, labels in (
        ("argo", "argo-rollouts", {"app.kubernetes.io/name": "argo-rollouts"}),
        ("kube_state_metrics", "kube-state-metrics", {"app.kubernetes.io/name": "kube-state-metrics"}),
    ):
        service = only(release, "Service", kind)
        (target,) = config[section]["targets"]
        port = service["spec"]["ports"][0]
        assert target == f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc:{port['port']}"
        assert port["port"] == port["targetPort"], "a headless Service translates no port"
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["publishNotReadyAddresses"] is True
        assert service["spec"]["selector"] == labels


def test_the_selectors_do_not_find_the_second_kube_state_metrics(manifests: Callable[[str], Manifests]) -> None:
    second = yaml.safe_load((CHARTS / "sidecar" / "rollout-state.yaml").read_text())["nameOverride"]
    release = manifests("everything")
    assert only(release, "Service", "rollout-state")["spec"]["selector"] == {"app.kubernetes.io/name": second}
    assert only(release, "Service", "kube-state-metrics")["spec"]["selector"]["app.kubernetes.io/name"] != second


def test_the_pod_may_take_longer_to_end_than_its_last_deliveries(manifests: Callable[[str], Manifests]) -> None:
    pod = only(manifests("defaults"), "Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= Settings().otlp.grace + 10


@pytest.mark.usefixtures("helm")
def test_a_change_of_the_configuration_replaces_the_pod_and_a_change_of_the_secret_does_not() -> None:

    def checksum(*arguments: str) -> str:
        deployment = only(documents(rendered(*values("last9"), *arguments)), "Deployment")
        found: str = deployment["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
        return found

    assert checksum() == checksum("--set", "service.port=80")
    assert checksum() != checksum("--set", "config.log.level=debug")
    assert checksum() != checksum("--set", "kubeStateMetrics.namespace=monitoring")


@pytest.mark.usefixtures("helm")
def test_a_credential_in_the_values_comes_out_as_one_line_in_a_secret_and_nowhere_else() -> None:
    text = rendered(*values("inline-credentials"), "--set-string", "last9.writeToken=Basic c2VjcmV0\n")
    assert text.count("c2VjcmV0") == 0
    assert only(documents(text), "Secret")["data"] == {"authorization": "QmFzaWMgYzJWamNtVjA="}


def test_the_secret_is_mounted_as_a_folder_so_that_a_new_one_arrives(manifests: Callable[[str], Manifests]) -> None:
    for pod in pods(manifests("last9")):
        (mount,) = (one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "last9")
        assert "subPath" not in mount
        assert next(one for one in pod["volumes"] if one["name"] == "last9")["secret"] == {"secretName": "last9"}


def test_helm_test_goes_round_once_with_the_same_configuration(manifests: Callable[[str], Manifests]) -> None:
    release = manifests("everything")
    test = only(release, "Pod")
    assert test["metadata"]["annotations"]["helm.sh/hook"] == "test"
    run = only(release, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    once = test["spec"]["containers"][0]
    assert once["args"] == [*run["args"], "once", "--format=targets"]
    assert {key: once[key] for key in ("image", "env", "volumeMounts")} == {
        key: run[key] for key in ("image", "env", "volumeMounts")
    }


@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize(
    ("example", "kept"),
    [("last9", "nothing: an emptyDir"), ("persistence", "on the volume claim shown-rollouts-exporter")],
)
def test_the_notes_say_what_an_upgrade_keeps_and_what_to_check(tmp_path: Path, example: str, kept: str) -> None:
    chart = tmp_path / "rollouts-exporter"
    shutil.copytree(CHART, chart)
    (chart / "templates" / "NOTES.txt").rename(chart / "NOTES.txt")
    show = 'apiVersion: v1\nkind: List\nnotes: |\n  {{- tpl (.Files.Get "NOTES.txt") . | nindent 2 }}\n'
    (chart / "templates" / "shown.yaml").write_text(show)
    (shown,) = documents(rendered(*values(example), "--show-only", "templates/shown.yaml", chart=chart))
    assert kept in shown["notes"]
    assert "helm test shown -n last9 --logs" in shown["notes"]
    assert "https://otlp.last9.io" in shown["notes"]
