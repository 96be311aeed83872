"""The rendered chart is valid and restricted, and equals the goldens."""

from __future__ import annotations

import asyncio
import copy
import json
import shutil
import sys
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from exporter.config import Settings
from tests.chart.helm import (
    CHART,
    EXAMPLES,
    GOLDEN,
    KUBERNETES_VERSION,
    documents,
    exporter_deployment,
    find_manifest,
    render,
    run_helm,
    values_arguments,
)
from tests.chart.schemas import manifest_errors
from tests.fake_store import FakeStore, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.chart.conftest import Manifests


MAX_CONFIG_MAP_BYTES = 1_000_000
"""A little less than the limit of the API server, 1 MiB."""


@pytest.mark.slow
@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize("example", EXAMPLES)
def test_helm_lint_reports_nothing(example: str) -> None:
    output = run_helm("lint", "--strict", "--kube-version", KUBERNETES_VERSION, str(CHART), *values_arguments(example))
    assert [line for line in output.splitlines() if line.startswith("[")] == []


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_every_manifest_is_valid_kubernetes(manifests: Callable[[str], Manifests], example: str) -> None:
    assert [fault for manifest in manifests(example) for fault in manifest_errors(manifest)] == []


def test_validation_finds_a_misspelt_key_and_a_wrong_type(manifests: Callable[[str], Manifests]) -> None:
    everything = manifests("everything")
    for kind, path, wrong in (
        ("Deployment", ("spec", "template", "spec", "contianers"), []),
        ("Deployment", ("spec", "replicas"), "one"),
        ("PodMonitor", ("spec", "endpoints"), []),
        ("PodMonitor", ("spec", "podMetricsEndpoints", 0, "authorisation"), {}),
        ("PrometheusRule", ("spec", "groups", 0, "rules", 0, "severity"), "critical"),
        ("HTTPRoute", ("spec", "rules", 0, "backendRefs", 0, "port"), "http"),
        ("Ingress", ("spec", "rules", 0, "http", "paths", 0, "pathType"), None),
        ("AnalysisTemplate", ("spec", "args", 0, "valueFrom"), {"fieldRef": {}}),
        ("Service", ("metadata", "lables"), {}),
    ):
        manifest: Any = copy.deepcopy(next(item for item in everything if item["kind"] == kind))
        part = manifest
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = wrong
        assert manifest_errors(manifest), (kind, path)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_chart_renders_to_the_golden(chart_with_small_files: Path, example: str) -> None:
    golden = (GOLDEN / f"{example}.yaml").read_text()
    assert render(*values_arguments(example), chart=chart_with_small_files) == golden, (
        "python -m tests.chart.helm --write"
    )


def test_goldens_are_exactly_the_examples() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == list(EXAMPLES)


def dashboards(manifests: Manifests) -> Manifests:
    return [item for item in manifests if "grafana_dashboard" in item["metadata"].get("labels", {})]


@pytest.mark.usefixtures("helm")
def test_templates_inside_dashboards_and_rules_are_not_rendered() -> None:
    everything = documents(render("--set", "dashboards.enabled=true,prometheusRule.enabled=true"))
    for path in CHART.glob("dashboards/*.json"):
        config_map = find_manifest(dashboards(everything), "ConfigMap", f"-{path.stem}")
        assert config_map["data"] == {path.name: path.read_text().strip() + "\n"}
    for path in CHART.glob("rules/*.yaml"):
        assert find_manifest(everything, "PrometheusRule", f"-{path.stem}")["spec"] == yaml.safe_load(path.read_text())


def test_manifests_contain_every_dashboard_rule_and_gate(manifests: Callable[[str], Manifests]) -> None:
    everything = manifests("everything")
    boards = {name: text for config_map in dashboards(everything) for name, text in config_map["data"].items()}
    assert set(boards) == {"exporter.json", "fleet.json", "rollout.json"}
    assert all(json.loads(text)["panels"] and len(text.encode()) < MAX_CONFIG_MAP_BYTES for text in boards.values())
    groups = [group for item in everything if item["kind"] == "PrometheusRule" for group in item["spec"]["groups"]]
    rules = {rule.get("alert", rule.get("record")) for group in groups for rule in group["rules"]}
    assert {"RolloutAborted", "ArgoRolloutsNoLeader", "argo_rollouts:promotions:increase1d"} <= rules
    gates = {item["metadata"]["name"] for item in everything if item["kind"] == "AnalysisTemplate"}
    assert {name.removeprefix("last9-") for name in gates} == {path.stem for path in CHART.glob("gates/*.yaml")}


@pytest.mark.usefixtures("helm")
def test_chart_renders_without_a_cluster() -> None:
    assert documents(run_helm("template", "shown", str(CHART)))


def pods(manifests: Manifests) -> Iterator[dict[str, Any]]:
    """Yield the pods of a release: those of the Deployment and of the Helm test."""
    for manifest in manifests:
        if manifest["kind"] == "Pod":
            yield manifest["spec"]
        elif manifest["kind"] in {"Deployment", "Job"}:
            yield manifest["spec"]["template"]["spec"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_pods_meet_the_restricted_standard_and_those_of_the_exporter_have_no_token(
    manifests: Callable[[str], Manifests], example: str
) -> None:
    release_pods = list(pods(manifests(example)))
    exporter_pods = [pod for pod in release_pods if not pod["serviceAccountName"].endswith("-rollout-state")]
    assert len(exporter_pods) == (4 if example == "verify" else 2), "of the exporter, of its test, and of verify"
    for pod in release_pods:
        assert pod["automountServiceAccountToken"] is (pod not in exporter_pods)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 65532
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        container_context = pod["containers"][0]["securityContext"]
        assert container_context == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("example", EXAMPLES)
def test_only_one_exporter_runs_at_a_time(manifests: Callable[[str], Manifests], example: str) -> None:
    spec = exporter_deployment(manifests(example))["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize("example", EXAMPLES)
def test_selectors_find_the_exporter_and_not_the_test(manifests: Callable[[str], Manifests], example: str) -> None:
    release = manifests(example)
    pod = exporter_deployment(release)["spec"]["template"]["metadata"]["labels"].items()
    others = [item["metadata"]["labels"].items() for item in release if item["kind"] in {"Pod", "Job"}]
    selector = exporter_deployment(release)["spec"]["selector"]["matchLabels"].items()
    assert selector <= pod
    assert others
    assert not any(selector <= other for other in others)
    services = [item for item in release if item["kind"] == "Service" and item["metadata"]["namespace"] == "last9"]
    services = [item for item in services if not item["metadata"]["name"].endswith("-rollout-state")]
    assert [service["spec"]["selector"].items() for service in services] == [selector]


def test_every_controller_pod_is_a_target_even_if_not_ready(
    manifests: Callable[[str], Manifests],
) -> None:
    release = manifests("defaults")
    config = yaml.safe_load(find_manifest(release, "ConfigMap")["data"]["config.yaml"])
    for section, kind, labels in (
        ("argo", "argo-rollouts", {"app.kubernetes.io/name": "argo-rollouts"}),
        ("kube_state_metrics", "kube-state-metrics", {"app.kubernetes.io/name": "kube-state-metrics"}),
    ):
        service = find_manifest(release, "Service", kind)
        (target,) = config[section]["targets"]
        port = service["spec"]["ports"][0]
        assert target == f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc:{port['port']}"
        assert port["port"] == port["targetPort"], "a headless Service translates no port"
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["publishNotReadyAddresses"] is True
        assert service["spec"]["selector"] == labels


def test_selectors_exclude_the_second_kube_state_metrics(manifests: Callable[[str], Manifests]) -> None:
    second = yaml.safe_load((CHART / "sidecar" / "rollout-state.yaml").read_text())["nameOverride"]
    release = manifests("everything")
    assert find_manifest(release, "Service", "rollout-state")["spec"]["selector"] == {"app.kubernetes.io/name": second}
    assert (
        find_manifest(release, "Service", "kube-state-metrics")["spec"]["selector"]["app.kubernetes.io/name"] != second
    )


def test_termination_grace_period_exceeds_the_delivery_grace(manifests: Callable[[str], Manifests]) -> None:
    pod = exporter_deployment(manifests("defaults"))["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] >= Settings().otlp.grace + 10


@pytest.mark.slow
@pytest.mark.usefixtures("helm")
def test_configuration_change_replaces_the_pod_but_a_service_change_does_not() -> None:

    def checksum(*arguments: str) -> str:
        deployment = exporter_deployment(documents(render(*values_arguments("last9"), *arguments)))
        annotation: str = deployment["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
        return annotation

    assert checksum() == checksum("--set", "service.port=80")
    assert checksum() != checksum("--set", "config.log.level=debug")
    assert checksum() != checksum("--set", "kubeStateMetrics.namespace=monitoring")


@pytest.mark.usefixtures("helm")
def test_credential_in_the_values_is_rendered_only_into_a_secret() -> None:
    text = render(*values_arguments("inline-credentials"), "--set-string", "last9.writeToken=Basic c2VjcmV0\n")
    assert text.count("c2VjcmV0") == 0
    assert find_manifest(documents(text), "Secret")["data"] == {"authorization": "QmFzaWMgYzJWamNtVjA="}


def test_secret_is_mounted_as_a_folder_so_that_updates_arrive(manifests: Callable[[str], Manifests]) -> None:
    for pod in pods(manifests("last9")):
        (mount,) = (item for item in pod["containers"][0]["volumeMounts"] if item["name"] == "last9")
        assert "subPath" not in mount
        assert next(volume for volume in pod["volumes"] if volume["name"] == "last9")["secret"] == {
            "secretName": "last9"
        }


def test_helm_test_runs_one_cycle_with_the_same_configuration(manifests: Callable[[str], Manifests]) -> None:
    release = manifests("everything")
    test = find_manifest(release, "Pod")
    assert test["metadata"]["annotations"]["helm.sh/hook"] == "test"
    run = exporter_deployment(release)["spec"]["template"]["spec"]["containers"][0]
    once = test["spec"]["containers"][0]
    assert once["args"] == [*run["args"], "once", "--format=targets"]
    assert {key: once[key] for key in ("image", "env", "volumeMounts")} == {
        key: run[key] for key in ("image", "env", "volumeMounts")
    }


def test_only_the_pods_of_verify_have_the_credential_for_reading(manifests: Callable[[str], Manifests]) -> None:
    release = manifests("verify")
    assert find_manifest(release, "Job")["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade"
    verifying = [
        find_manifest(release, "Job")["spec"]["template"]["spec"],
        find_manifest(release, "Pod", "-test-verify")["spec"],
    ]
    assert verifying[0] == verifying[1]
    with_secret = [pod for pod in pods(release) if "last9-read" in str(pod["volumes"])]
    assert with_secret == verifying


@pytest.mark.slow
@pytest.mark.usefixtures("helm")
async def test_the_job_of_verify_pushes_a_heartbeat_and_reads_it_back(tmp_path: Path) -> None:
    async with serve(FakeStore()) as store:
        values = f"last9.otlpEndpoint={store.address},last9.cluster.name=c,verify.enabled=true"
        arguments = ("--set", f"{values},last9.existingSecret=last9,verify.address={store.address}")
        release = documents(await asyncio.to_thread(render, *arguments))
        container = find_manifest(release, "Job")["spec"]["template"]["spec"]["containers"][0]
        files = {"last9/authorization": "Basic dzp3", "last9-read/authorization": "Basic cjpy"}
        config = find_manifest(release, "ConfigMap")["data"]["config.yaml"]
        for name, text in {**files, "rollouts-exporter/config.yaml": config.replace("/etc/", f"{tmp_path}/")}.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        command = [argument.replace("/etc/", f"{tmp_path}/") for argument in container["args"]]
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "exporter", *command, stdout=PIPE)
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert store.queries


@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize(
    ("example", "persistence"),
    [("last9", "nothing: an emptyDir"), ("persistence", "on the volume claim shown-rollouts-exporter")],
)
def test_notes_describe_what_an_upgrade_keeps_and_how_to_check(tmp_path: Path, example: str, persistence: str) -> None:
    chart = tmp_path / "rollouts-exporter"
    shutil.copytree(CHART, chart)
    (chart / "templates" / "NOTES.txt").rename(chart / "NOTES.txt")
    show = 'apiVersion: v1\nkind: List\nnotes: |\n  {{- tpl (.Files.Get "NOTES.txt") . | nindent 2 }}\n'
    (chart / "templates" / "notes.yaml").write_text(show)
    (rendered,) = documents(render(*values_arguments(example), "--show-only", "templates/notes.yaml", chart=chart))
    assert persistence in rendered["notes"]
    assert "helm test shown -n last9 --logs" in rendered["notes"]
    assert "https://otlp.last9.io" in rendered["notes"]


@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize(("kind", "key"), [("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")])
def test_probes_and_monitors_use_tls_if_the_pages_do(kind: str, key: str) -> None:
    tls = {"cert_file": "/etc/web/tls.crt", "key_file": "/etc/web/tls.key"}
    monitor = {"enabled": True, "tlsConfig": {"serverName": "exporter"}, "scrapeTimeout": "5s"}
    values = {"config": {"web": {"tls": tls}}, kind[0].lower() + kind[1:]: monitor}
    arguments = [part for name, value in values.items() for part in ("--set-json", f"{name}={json.dumps(value)}")]
    release = documents(render(*arguments))
    assert [error for manifest in release for error in manifest_errors(manifest)] == []
    (container,) = exporter_deployment(release)["spec"]["template"]["spec"]["containers"]
    assert {container[probe]["httpGet"]["scheme"] for probe in ("livenessProbe", "readinessProbe")} == {"HTTPS"}
    (endpoint,) = find_manifest(release, kind)["spec"][key]
    assert (endpoint["scheme"], endpoint["scrapeTimeout"]) == ("https", "5s")
    assert endpoint["tlsConfig"] == {"serverName": "exporter"}


@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize(("written", "rendered"), [("-", ""), ("fast", "fast"), ("", None)])
def test_storage_class_of_a_claim(written: str, rendered: str | None) -> None:
    release = documents(render("--set", f"persistence.enabled=true,persistence.storageClass={written}"))
    assert find_manifest(release, "PersistentVolumeClaim")["spec"].get("storageClassName") == rendered


@pytest.mark.usefixtures("helm")
def test_digests_registries_and_namespaces_reach_every_object() -> None:
    digest = "sha256:" + "0" * 64
    settings = (
        f"rolloutState.create=true,image.digest={digest},global.imageRegistry=mirror.example,namespaceOverride=obs"
    )
    release = documents(render("--set", settings))
    images = {container["image"] for pod in pods(release) for container in pod["containers"]}
    assert images == {
        f"mirror.example/rollouts-exporter@{digest}",
        "mirror.example/kube-state-metrics/kube-state-metrics:v2.20.0",
    }
    namespaces = {item["metadata"].get("namespace") for item in release}
    assert namespaces == {"obs", "argo-rollouts", None}
    assert [error for manifest in release for error in manifest_errors(manifest)] == []


@pytest.mark.usefixtures("helm")
def test_two_releases_of_one_name_share_no_object() -> None:
    chart, create = str(CHART), ("--set", "rolloutState.create=true")
    releases = [documents(run_helm("template", "same", chart, "-n", namespace, *create)) for namespace in ("a", "b")]
    names = [
        {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in release}
        for release in releases
    ]
    assert names[0] & names[1] == set()
