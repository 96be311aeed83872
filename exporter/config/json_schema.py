"""The settings as a JSON schema, for the chart and for editors: never stricter than the exporter itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from exporter.config.model import section_fields
from exporter.config.settings import Settings

if TYPE_CHECKING:
    from exporter.config.model import Section, SettingField

JsonSchema = dict[str, Any]

_NUMBER: Final = r"[0-9]+(\.[0-9]+)?"
# Each may be empty, as templates write what they have no value of: it unsets a setting.
_DURATION: Final = rf"^\s*({_NUMBER}|({_NUMBER}(ms|s|m|h|d))+)?\s*$"
_SIZE: Final = rf"^\s*({_NUMBER}\s*(B|KB|MB|GB|KiB|MiB|GiB)?)?\s*$"
_BY_KIND: Final[dict[str, JsonSchema]] = {
    "duration": {"type": ["number", "string", "null"], "minimum": 0, "pattern": _DURATION},
    "duration or 0": {"type": ["number", "string", "null"], "minimum": 0, "pattern": _DURATION},
    "size": {"type": ["number", "string", "null"], "minimum": 0, "pattern": _SIZE},
    "whole number": {"type": ["number", "string", "null"], "pattern": r"^\s*([+]?[0-9_]+(\.0*)?)?\s*$"},
}
"""Schemas of kinds whose text has a grammar; a pattern binds only text. Null unsets any setting."""
_TEXT: Final[JsonSchema] = {"type": ["string", "number", "boolean", "null"]}
_CHOICES: Final = " | "
"""Between the values in the kind of a setting that allows only some."""


def settings_schema() -> JsonSchema:
    """Return the schema of a configuration file."""
    return _section_schema(Settings)


def editor_schema() -> JsonSchema:
    """Return the schema with the heading that editors look for."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "rollouts-exporter", **settings_schema()
    }  # fmt: skip # two lines of a heading


def _section_schema(section: type[Section]) -> JsonSchema:
    properties = {name: _field_schema(field) for name, field in section_fields(section).items()}
    return {"type": ["object", "null"], "additionalProperties": False, "properties": properties}


def _field_schema(field: SettingField) -> JsonSchema:
    section = field.section
    description = {"description": " ".join((field.description or (section and section.__doc__) or "").split())}
    if section is None:
        return description | _value_schema(field)
    if field.is_section_list:
        return description | {"anyOf": [_section_schema(section), {"type": "array", "items": _section_schema(section)}]}
    return description | _section_schema(section)


def _value_schema(field: SettingField) -> JsonSchema:
    kind = field.format.kind
    if field.is_mapping:
        return {"type": ["object", "string", "null"]}
    if field.is_list or "list of" in kind:
        return {"type": ["array", "string", "number", "boolean", "null"]}
    if _CHOICES in kind:
        return {"type": ["string", "null"], "pattern": _choice_pattern(kind.split(_CHOICES))}
    return _BY_KIND.get(kind, _TEXT)


def _choice_pattern(choices: list[str]) -> str:
    # Not (?i): the regular expressions of JSON schemas have no flags.
    letters = ["".join(f"[{c.upper()}{c.lower()}]" if c.isalpha() else re.escape(c) for c in word) for word in choices]
    return rf"^\s*({'|'.join(letters)})?\s*$"
