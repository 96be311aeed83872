"""A manifest → what is wrong with it, by Kubernetes' own schemas, and by ours for custom resources."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator

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
    return _faults(manifest, METADATA, manifest["metadata"]) + (
        _custom(manifest) if manifest["kind"] in CUSTOM else _core(manifest)
    )


def _core(manifest: dict[str, Any]) -> list[str]:
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            found.append(f"{_name(manifest)}: {version}: {error}")
    return found


def _custom(manifest: dict[str, Any]) -> list[str]:
    schema = CUSTOM[manifest["kind"]]
    if manifest["apiVersion"] != schema["apiVersion"]:
        return [f"{_name(manifest)}: apiVersion is {manifest['apiVersion']}"]
    return _faults(manifest, schema["spec"], manifest["spec"])


def _faults(manifest: dict[str, Any], schema: dict[str, Any], part: object) -> list[str]:
    errors = Draft202012Validator(schema).iter_errors(part)
    return [f"{_name(manifest)}: {error.json_path}: {error.message}" for error in errors]


def _name(manifest: dict[str, Any]) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"
