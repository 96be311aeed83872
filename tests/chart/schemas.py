"""A manifest → its errors, by the schemas of Kubernetes, and by crds.yaml for custom resources."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import kubernetes_validate  # type: ignore[import-untyped]
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

VERSIONS: Final = ("1.28.0", "1.37.0")
"""The oldest and the newest Kubernetes whose schemas kubernetes_validate has."""
CUSTOM_RESOURCES: Final[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("crds.yaml").read_text())
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
    errors = schema_errors(METADATA_SCHEMA, manifest["metadata"])
    errors += _custom_errors(manifest) if manifest["kind"] in CUSTOM_RESOURCES else _core_errors(manifest)
    return [f"{manifest['kind']} {manifest['metadata']['name']}: {error}" for error in errors]


def schema_errors(schema: dict[str, Any], value: object) -> list[str]:
    """Return the errors of a value by a JSON Schema."""
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(value)]


def _core_errors(manifest: dict[str, Any]) -> list[str]:
    errors = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            errors.append(f"{version}: {error}")
    return errors


def _custom_errors(manifest: dict[str, Any]) -> list[str]:
    schema = CUSTOM_RESOURCES[manifest["kind"]]
    if manifest["apiVersion"] != schema["apiVersion"]:
        return [f"apiVersion is {manifest['apiVersion']}"]
    return schema_errors(schema["spec"], manifest["spec"])
