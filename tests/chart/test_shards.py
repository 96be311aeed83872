"""Several releases for one cluster, each for some of its namespaces, as the manual's page on sharding describes."""

from __future__ import annotations

from typing import Any

import yaml

from tests.chart.helm import KUBERNETES_VERSION, documents, exporter_deployment, run_helm, values_arguments
from tests.documents import CHART, ROOT, fences

NAMESPACES = ["shop", "pay"]


def release(name: str, *arguments: str) -> list[dict[str, Any]]:
    shard = values_arguments("shard")
    options = ("-n", "last9", "--kube-version", KUBERNETES_VERSION)
    return documents(run_helm("template", name, str(CHART), *options, *shard, *arguments))


def containers(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pods = [each["spec"]["template"]["spec"] for each in manifests if each["kind"] == "Deployment"]
    return [container for pod in pods for container in pod["containers"]]


def test_a_shard_scrapes_and_exports_the_same_namespaces(helm: str) -> None:
    assert helm
    manifests = release("a")
    arguments = [argument for each in containers(manifests) for argument in each.get("args", [])]
    assert arguments.count(f"--namespaces={','.join(NAMESPACES)}") == 2, "both containers of kube-state-metrics"
    settings = [each["data"] for each in manifests if each["kind"] == "ConfigMap"]
    (config,) = (yaml.safe_load(text) for data in settings for text in data.values() if "attributes:" in text)
    assert config["namespaces"]["include"] == NAMESPACES
    assert config["attributes"]["k8s.cluster.name"] == "production-1-a"
    assert exporter_deployment(manifests)["spec"]["replicas"] == 1


def test_releases_of_two_shards_have_no_object_in_common(helm: str) -> None:
    assert helm
    objects = [
        {(each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]) for each in release(name)}
        for name in ("rollouts-exporter-a", "rollouts-exporter-b")
    ]
    assert not objects[0] & objects[1]


def test_the_manual_has_the_values_of_the_example() -> None:
    example = yaml.safe_load((CHART / "examples/values-shard.yaml").read_text())
    (text,) = fences(ROOT / "exporter/manual/sharding.md", "yaml")
    on_page = yaml.safe_load(text)
    assert on_page["last9"]["cluster"] == example["last9"]["cluster"]
    assert {key: on_page[key] for key in ("rolloutState", "config")} == {
        key: example[key] for key in ("rolloutState", "config")
    }
