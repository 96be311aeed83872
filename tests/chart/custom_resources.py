"""JSON schemas of custom resources, from the definitions that their projects publish.

`python -m tests.chart.custom_resources FOLDER...` writes custom_resources.json.gz from folders of definitions. They are
in Go modules: sigs.k8s.io/gateway-api v1.4.0 (config/crd/standard), github.com/argoproj/argo-rollouts v1.9.3
(manifests/crds) and github.com/prometheus-operator/prometheus-operator v0.85.0 (example/prometheus-operator-crd).
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any, Final

import yaml

FILE: Final = Path(__file__).with_name("custom_resources.json.gz")
KINDS: Final = ("AnalysisTemplate", "HTTPRoute", "PodMonitor", "PrometheusRule", "Rollout", "ServiceMonitor")
_LEFT_OUT: Final = ("description", "default")


def load() -> dict[str, dict[str, Any]]:
    """Return the schema of each apiVersion/kind."""
    schemas: dict[str, dict[str, Any]] = json.loads(gzip.decompress(FILE.read_bytes()))
    return schemas


def strict_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a structural schema without texts, which refuses the unknown fields that the API server would drop."""
    properties = {name: strict_schema(below) for name, below in schema.get("properties", {}).items()}
    strict = {key: value for key, value in schema.items() if not key.startswith("x-") and key not in _LEFT_OUT}
    if "items" in schema:
        strict["items"] = strict_schema(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        strict["additionalProperties"] = strict_schema(schema["additionalProperties"])
    if properties:
        strict["properties"] = properties
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            strict["additionalProperties"] = False
    return strict


def definitions(folders: list[Path]) -> dict[str, dict[str, Any]]:
    """Return the schema of each apiVersion/kind in folders of definitions."""
    schemas: dict[str, dict[str, Any]] = {}
    for text in (path.read_text() for folder in folders for path in sorted(folder.glob("*.yaml"))):
        if not any(f"\n    kind: {kind}\n" in text for kind in KINDS):
            continue  # PyYAML cannot load some of the others
        spec = yaml.safe_load(text)["spec"]
        for version in spec["versions"]:
            schema = strict_schema(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            schemas[f"{spec['group']}/{version['name']}/{spec['names']['kind']}"] = schema
    return schemas


if __name__ == "__main__":
    text = json.dumps(definitions([Path(folder) for folder in sys.argv[1:]]), sort_keys=True)
    FILE.write_bytes(gzip.compress(text.encode(), mtime=0))
