"""A manifest → its errors, by the schemas of Kubernetes or the definition of a custom resource, and by crds.yaml."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import kubernetes_validate  # type: ignore[import-untyped]
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.chart import custom_resources

VERSIONS: Final = tuple(f"1.{minor}.0" for minor in range(28, 38))
"""The oldest supported Kubernetes to the newest whose schemas kubernetes_validate has."""
CUSTOM_RESOURCES: Final = custom_resources.load()
OWN_SCHEMAS: Final[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("crds.yaml").read_text())
METADATA_SCHEMA: Final = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63},
        "namespace": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 63}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


def manifest_errors(manifest: dict[str, Any]) -> list[str]:
    """Return the errors of a manifest."""
    return list(_errors(json.dumps(manifest, sort_keys=True)))


def schema_errors(schema: dict[str, Any], value: object) -> list[str]:
    """Return the errors of a value by a JSON Schema."""
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(value)]


@cache
def _errors(text: str) -> tuple[str, ...]:
    """Cached, since many examples have equal manifests."""
    manifest = json.loads(text)
    key = f"{manifest['apiVersion']}/{manifest['kind']}"
    errors = schema_errors(METADATA_SCHEMA, manifest["metadata"])
    if manifest["kind"] in OWN_SCHEMAS:
        errors += schema_errors(OWN_SCHEMAS[manifest["kind"]], manifest["spec"])
    errors += schema_errors(CUSTOM_RESOURCES[key], manifest) if key in CUSTOM_RESOURCES else _core_errors(manifest)
    return tuple(f"{manifest['kind']} {manifest['metadata']['name']}: {error}" for error in errors)


def _core_errors(manifest: dict[str, Any]) -> list[str]:
    errors = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            errors.append(f"{version}: {error}")
    return errors
