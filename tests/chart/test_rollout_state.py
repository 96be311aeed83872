"""The chart's own kube-state-metrics: its arguments, its rights, and what it shows to the exporter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from exporter.rollouts.inputs import kube_state_metrics, rollout_state
from tests.chart import kube_state_metrics as own
from tests.chart.helm import CHART, EXAMPLES, HelmError, documents, find_manifest, render
from tests.chart.kubernetes_api import CUSTOM, TYPES, Request, recorded_objects, rights_of
from tests.chart.schemas import manifest_errors
from tests.chart.test_manifests import pods

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chart.conftest import Manifests

CREATE = own.VARIANTS["all namespaces"]
EMPTY_FAMILIES = {"kube_pod_deletion_timestamp", "kube_replicaset_labels"}
"""Families without a sample in the recorded objects: of pods that end, and of a setting that is off."""


@pytest.fixture(scope="module", params=own.VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def release(helm: str, variant: str) -> Manifests:
    assert helm
    return documents(render(*own.VARIANTS[variant]))


def test_arguments_are_those_that_kube_state_metrics_ran_with(release: Manifests, variant: str) -> None:
    arguments = own.own_kube_state_metrics(release).arguments
    assert arguments == {name: process["arguments"] for name, process in own.recorded(variant).items()}, (
        "python -m tests.chart.kube_state_metrics --write"
    )


def test_roles_allow_exactly_what_kube_state_metrics_asked_for(release: Manifests, variant: str) -> None:
    account = own.own_kube_state_metrics(release).account
    asked = {request for process in own.recorded(variant).values() for request in process["requests"]}
    assert rights_of(release, account).requests() == asked
    assert {request.verb for request in asked} == {"list", "watch"}


def test_what_it_asks_for_are_the_recorded_kinds(variant: str) -> None:
    asked = [request for process in own.recorded(variant).values() for request in process["requests"]]
    assert {request.resource for request in asked} == set(TYPES) == set(recorded_objects())
    assert {request.resource for request in asked if request.group == "argoproj.io"} == set(CUSTOM)


def test_only_definitions_are_read_in_the_cluster_if_namespaces_are_given(helm: str) -> None:
    assert helm
    release = documents(render(*own.VARIANTS["namespaces"]))
    rights = rights_of(release, own.own_kube_state_metrics(release).account)
    assert {request.resource for request in rights.requests() if not request.namespace} == {"customresourcedefinitions"}
    assert not rights.allow(Request("list", "", "pods", "kube-system"))


@pytest.mark.parametrize("example", EXAMPLES)
def test_no_right_is_created_that_was_not_asked_for(manifests: Callable[[str], Manifests], example: str) -> None:
    values = yaml.safe_load((CHART / "examples" / f"values-{example}.yaml").read_text())
    asked = values.get("rolloutState", {}).get("create", False)
    assert any("rbac" in item["apiVersion"] for item in manifests(example)) == asked


def config_of(release: Manifests) -> dict[str, Any]:
    text = next(item["data"]["config.yaml"] for item in release if "config.yaml" in item.get("data", {}))
    config: dict[str, Any] = yaml.safe_load(text)
    return config


def test_exporter_scrapes_both_processes_and_no_other_kube_state_metrics(release: Manifests) -> None:
    service = find_manifest(release, "Service", "-rollout-state")
    address = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    config = config_of(release)
    assert config["kube_state_metrics"]["targets"] == [f"{address}:{ports['objects']}"]
    assert config["rollout_state"]["targets"] == [f"{address}:{ports['rollouts']}"]
    assert service["spec"]["clusterIP"] == "None", "a headless Service translates no port"
    containers = find_manifest(release, "Deployment", "-rollout-state")["spec"]["template"]["spec"]["containers"]
    for container in containers:
        (port,) = container["ports"]
        assert port["name"] == container["name"]
        assert ports[port["name"]] == port["containerPort"]
    assert [item["metadata"]["name"] for item in release if item["metadata"].get("namespace") == "kube-system"] == []


def test_service_selects_its_pod_and_not_the_exporter(release: Manifests) -> None:
    selector = find_manifest(release, "Service", "-rollout-state")["spec"]["selector"].items()
    labels = {
        item["metadata"]["name"]: item["spec"]["template"]["metadata"]["labels"].items()
        for item in release
        if item["kind"] == "Deployment"
    }
    assert [name for name, pod in labels.items() if selector <= pod] == ["shown-rollouts-exporter-rollout-state"]


def test_only_its_pod_has_a_token_and_it_is_restricted(release: Manifests) -> None:
    by_token = {pod["serviceAccountName"]: pod["automountServiceAccountToken"] for pod in pods(release)}
    assert by_token == {"shown-rollouts-exporter": False, "shown-rollouts-exporter-rollout-state": True}
    assert find_manifest(release, "ServiceAccount", "-rollout-state")["automountServiceAccountToken"] is False
    for pod in pods(release):
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_its_custom_resource_state_is_the_one_of_the_sidecar_file(release: Manifests) -> None:
    file = yaml.safe_load((CHART / "sidecar" / "rollout-state.yaml").read_text())
    assert yaml.safe_load(own.own_kube_state_metrics(release).configuration) == file["customResourceState"]["config"]


def test_metric_allow_list_has_what_the_exporter_reads(release: Manifests) -> None:
    (pattern,) = (
        argument.removeprefix("--metric-allowlist=")
        for argument in own.own_kube_state_metrics(release).arguments["objects"]
        if argument.startswith("--metric-allowlist=")
    )
    families = re.fullmatch(r"\^\((.*)\)\$", pattern)
    assert families
    assert set(families[1].split("|")) == kube_state_metrics.REQUIRED_FAMILIES | {kube_state_metrics.COMMIT_FAMILY}


@pytest.mark.usefixtures("helm")
def test_settings_that_need_a_label_get_it() -> None:
    settings = (
        "config.lifecycle.role_label={tier,role}",
        "config.lifecycle.commit_time=example.org/commit",
        "config.series.labels={team}",
    )
    release = documents(render(*CREATE, *(part for setting in settings for part in ("--set", setting))))
    arguments = own.own_kube_state_metrics(release).arguments["objects"]
    assert (
        "--metric-labels-allowlist=pods=[rollouts-pod-template-hash,tier,role],replicasets=[example.org/commit]"
        in arguments
    )
    assert "--metric-annotations-allowlist=replicasets=[rollout.argoproj.io/revision,example.org/commit]" in arguments
    resources = yaml.safe_load(own.own_kube_state_metrics(release).configuration)["spec"]["resources"]
    (labels,) = (metric for metric in resources[0]["metrics"] if metric["name"] == "rollout_labels")
    assert labels["each"] == {"type": "Info", "info": {"labelsFromPath": {"label_*": ["metadata", "labels"]}}}


@pytest.mark.slow
@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("kubeStateMetrics.enabled=true", "kubeStateMetrics.enabled is true"),
        ("kubeStateMetrics.targets={a:1}", "kubeStateMetrics.targets is set"),
        ("rolloutState.targets={a:1}", "rolloutState.targets is set"),
        ("config.kube_state_metrics.targets={a:1}", "config.kube_state_metrics.targets is set"),
        ("config.rollout_state.targets={a:1}", "config.rollout_state.targets is set"),
    ],
)
def test_a_second_source_is_refused_with_values_that_work(setting: str, reason: str) -> None:
    with pytest.raises(HelmError) as raised:
        render(*CREATE, "--set", setting)
    message, _, pasted = str(raised.value).partition("Paste into your values:")
    assert reason in message
    assert yaml.safe_load(pasted.partition("Use --debug")[0]) == {
        "rolloutState": {"create": True},
        "kubeStateMetrics": {"enabled": "auto", "targets": []},
    }


@pytest.mark.usefixtures("helm")
def test_without_it_the_kube_state_metrics_of_the_cluster_is_scraped() -> None:
    assert render("--set", "kubeStateMetrics.enabled=true") == render()
    disabled = config_of(documents(render("--set", "kubeStateMetrics.enabled=false")))
    assert disabled["kube_state_metrics"]["targets"] == []


@pytest.mark.slow
def test_every_object_is_valid(release: Manifests) -> None:
    assert [error for manifest in release for error in manifest_errors(manifest)] == []


@pytest.mark.slow
async def test_exporter_reads_everything_from_a_real_one_with_these_rights(release: Manifests) -> None:
    program = own.find_program() or pytest.skip("kube-state-metrics 2.20.0 is not installed")
    pages, apis = await own.pages_and_requests(program, release)
    assert [request for api in apis.values() for request in api.refused] == []
    objects = {name for name in kube_state_metrics.REQUIRED_FAMILIES if f"\n{name}{{" in pages["objects"]}
    assert objects == kube_state_metrics.REQUIRED_FAMILIES - EMPTY_FAMILIES
    headers = set(re.findall(r"^# TYPE (\S+)", pages["rollouts"], re.MULTILINE))
    assert rollout_state.REQUIRED_FAMILIES - {"kube_customresource_rollout_labels"} <= headers
    for label in ("label_rollouts_pod_template_hash", "annotation_rollout_argoproj_io_revision"):
        assert f'{label}="' in pages["objects"]
