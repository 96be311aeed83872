"""Texts that YAML would read as a number, a boolean or nothing stay texts, in every value."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.chart.helm import CHART, documents, render, run_helm
from tests.chart.reference import SCHEMA, VALUES
from tests.chart.schemas import manifest_errors

if TYPE_CHECKING:
    from pathlib import Path

ENABLED = (
    "serviceMonitor",
    "prometheusRule",
    "dashboards",
    "ingress",
    "httpRoute",
    "networkPolicy",
    "persistence",
    "gates",
)
VALID: dict[str, Any] = {
    **{section: {"enabled": True} for section in ENABLED},
    "global": {"imageRegistry": ""},
    "gates": {"enabled": True, "address": "https://read.example"},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}]},
    "service": {"loadBalancerSourceRanges": ["10.0.0.0/8"]},
    "last9": {"otlpEndpoint": "https://otlp.example"},
    "persistence": {"enabled": True, "size": "1Gi", "accessModes": ["ReadWriteOnce"]},
    "rolloutState": {"create": True, "targets": []},
    "argoRollouts": {"targets": []},
    "kubeStateMetrics": {"targets": []},
}
"""What a release with every object needs: choices, addresses and sizes, which are not free texts."""
VARIANTS: tuple[dict[str, Any], ...] = (
    {"last9": {"writeToken": ""}, "persistence": {"existingClaim": ""}},
    {"last9": {"existingSecret": ""}, "serviceMonitor": {"enabled": False}, "podMonitor": {"enabled": True}},
)


def odd_values(schema: dict[str, Any], values: Any, text: str) -> Any:
    """Return values in which each free text is `text`, also in lists of texts, and in mappings to texts."""
    if "properties" in schema:
        return {key: odd_values(schema["properties"][key], values[key], text) for key in values if key != "config"}
    if schema.get("type") == "string" and not {"enum", "pattern"} & schema.keys():
        return text
    if schema.get("items") in ({"type": "string"}, {"type": "string", "minLength": 1}):
        return [text]
    if schema.get("additionalProperties") == {"type": "string"}:
        return {"example.org/odd": text}
    return values


@pytest.mark.slow
@pytest.mark.usefixtures("helm")
@pytest.mark.parametrize("text", ["123", "true", "null", "1e3", "0x1f", "no", "2026-11-29"])
@pytest.mark.parametrize("variant", range(len(VARIANTS)))
def test_manifests_are_valid_and_have_the_text(text: str, variant: int, tmp_path: Path) -> None:
    layers = (odd_values(SCHEMA, VALUES, text), VALID, VARIANTS[variant])
    files = [tmp_path / f"{number}.yaml" for number in range(len(layers))]
    for file, layer in zip(files, layers, strict=True):
        file.write_text(json.dumps(layer))
    release = documents(render(*(part for file in files for part in ("-f", str(file)))))
    assert [error for manifest in release for error in manifest_errors(manifest)] == []
    config = next(
        yaml.safe_load(item["data"]["config.yaml"]) for item in release if "config.yaml" in item.get("data", {})
    )
    assert config["attributes"] == {"k8s.cluster.name": text, "deployment.environment": text}


@pytest.mark.usefixtures("helm")
def test_name_of_a_release_may_be_a_number() -> None:
    release = documents(run_helm("template", "123", str(CHART), "-n", "456", "--set", "rolloutState.create=true"))
    assert [error for manifest in release for error in manifest_errors(manifest)] == []
    assert {item["metadata"]["labels"]["app.kubernetes.io/instance"] for item in release} == {"123"}
