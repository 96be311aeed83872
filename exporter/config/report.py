"""Print the configuration: the effective settings with their origins, and the reference of all settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

import yaml

from exporter.config import schema
from exporter.config.load import origin_of
from exporter.config.schema import SettingPath, SettingValue
from exporter.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from exporter.config.errors import Origin
    from exporter.config.load import LoadedConfig

MASK = "******"


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """A setting in effect: its dotted path, its value as YAML (secrets masked), and its origin."""

    path: str
    value: str
    origin: Origin


class SettingReference(NamedTuple):
    """Reference of a setting: its dotted path, kind of value, default as YAML, and description."""

    path: str
    kind: str
    default: str
    description: str


def effective_settings(loaded: LoadedConfig) -> list[EffectiveSetting]:
    """Return all settings in the order of the model."""
    is_single = len(loaded.settings.argo) == 1
    return [
        EffectiveSetting(
            schema.dotted(setting.path, single_installation=is_single),
            _value_text(setting),
            origin_of(loaded.origins, setting.path),
        )
        for setting in schema.iter_settings(loaded.settings)
    ]


def as_yaml(loaded: LoadedConfig) -> str:
    """Format the effective settings as YAML with origins as comments; except for secrets it loads to the same."""
    return "\n".join(_yaml_lines(loaded)) + "\n"


def settings_reference() -> list[SettingReference]:
    """Return the reference of all settings, in the order of the model."""
    return [
        SettingReference(
            ".".join(map(str, path)),
            schema.value_format(field).kind,
            _default_text(path, field),
            " ".join((field.description or "").split()),
        )
        for path, field in schema.iter_fields(Settings)
        if schema.section_of(field) is None
    ]


def _default_text(path: SettingPath, field: FieldInfo) -> str:
    value: object = Settings()
    for key in path:
        section = value[0] if isinstance(value, tuple) else value
        value = getattr(section, str(key))
    if schema.is_mapping(field):
        return _flow_yaml(schema.value_format(field).format(value))
    return _value_text(SettingValue(path, value, field))


def _value_text(setting: SettingValue) -> str:
    if setting.value is None or setting.value == {}:
        return _flow_yaml(setting.value)
    if schema.is_secret(setting.field):
        return _flow_yaml(MASK)
    formatter = str if schema.is_mapping(setting.field) else schema.value_format(setting.field).format
    return _flow_yaml(formatter(setting.value))


def _flow_yaml(value: object) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _yaml_lines(loaded: LoadedConfig) -> Iterator[str]:
    is_single = len(loaded.settings.argo) == 1
    previous: SettingPath = ()
    for setting in schema.iter_settings(loaded.settings):
        path = tuple(key for key in setting.path if isinstance(key, str) or not is_single)
        common = _common_length(previous, path)
        for level in range(common, len(path) - 1):
            if isinstance(path[level], str):
                yield f"{_indentation(path, level, common)}{path[level]}:"
        indentation = _indentation(path, len(path) - 1, common)
        origin = origin_of(loaded.origins, setting.path)
        yield f"{indentation}{_flow_yaml(path[-1])}: {_value_text(setting)}  # {origin}"
        previous = path


def _common_length(previous: SettingPath, path: SettingPath) -> int:
    pairs = zip(previous, path, strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _indentation(path: SettingPath, level: int, common: int) -> str:
    """Return the indentation of a key, with the dash if it is the first key of a list item."""
    opens_item = level > 0 and isinstance(path[level - 1], int) and common < level
    return "  " * (level - 1) + "- " if opens_item else "  " * level
