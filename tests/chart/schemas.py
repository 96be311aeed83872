"""A manifest → what is wrong with it, by Kubernetes' own schemas, and by ours for custom resources."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import kubernetes_validate  # type: ignore[import-untyped]
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

VERSIONS: Final = ("1.28.0", "1.37.0")
"""The oldest and the newest Kubernetes whose schemas are at hand."""
CUSTOM: Final[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("crds.yaml").read_text())
METADATA: Final = {
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


def faults(manifest: dict[str, Any]) -> list[str]:
    """Return what is wrong with a manifest; nothing when all is well."""
    found = against(METADATA, manifest["metadata"])
    found += _custom(manifest) if manifest["kind"] in CUSTOM else _core(manifest)
    return [f"{manifest['kind']} {manifest['metadata']['name']}: {fault}" for fault in found]


def against(schema: dict[str, Any], value: object) -> list[str]:
    """Return what is wrong with a value by a JSON Schema."""
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(value)]


def _core(manifest: dict[str, Any]) -> list[str]:
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            found.append(f"{version}: {error}")
    return found


def _custom(manifest: dict[str, Any]) -> list[str]:
    schema = CUSTOM[manifest["kind"]]
    if manifest["apiVersion"] != schema["apiVersion"]:
        return [f"apiVersion is {manifest['apiVersion']}"]
    return against(schema["spec"], manifest["spec"])
