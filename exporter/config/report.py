"""Shows the configuration: the effective settings with their origins, and the reference of all there are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

import yaml

from exporter.config.layers import Origin, origin_of
from exporter.config.schema import (
    SettingPath,
    SettingValue,
    dotted,
    is_mapping,
    is_secret,
    iter_fields,
    iter_settings,
    section_of,
    value_format,
)
from exporter.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from exporter.config.load import LoadedConfig

MASK = "******"


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """One effective setting: its dotted path, its value as YAML (secrets masked), and where it came from."""

    path: str
    value: str
    origin: Origin


class SettingReference(NamedTuple):
    """One setting of the reference: dotted path, what it takes, its default as YAML, what it means."""

    path: str
    kind: str
    default: str
    description: str


def effective_settings(loaded: LoadedConfig) -> list[EffectiveSetting]:
    """Return every setting as it holds, in the order of the model."""
    lone = len(loaded.settings.argo) == 1
    return [
        EffectiveSetting(
            dotted(setting.path, single_installation=lone), _text(setting), origin_of(loaded.origins, setting.path)
        )
        for setting in iter_settings(loaded.settings)
    ]


def as_yaml(loaded: LoadedConfig) -> str:
    """Render the effective settings as YAML, the origin of each in a comment; without secrets it loads to the same."""
    return "\n".join(_lines(loaded)) + "\n"


def settings_reference() -> list[SettingReference]:
    """Return every setting there is, in the order of the model."""
    return [
        SettingReference(
            ".".join(map(str, path)),
            value_format(field).kind,
            _default(path, field),
            " ".join((field.description or "").split()),
        )
        for path, field in iter_fields(Settings)
        if section_of(field) is None
    ]


def _default(path: SettingPath, field: FieldInfo) -> str:
    value: object = Settings()
    for key in path:
        value = _attribute(value, key)
    return (
        _flow_yaml(value_format(field).format(value)) if is_mapping(field) else _text(SettingValue(path, value, field))
    )


def _attribute(value: object, key: str | int) -> object:
    section = value[0] if isinstance(value, tuple) else value
    return getattr(section, str(key))


def _text(setting: SettingValue) -> str:
    if setting.value is None or setting.value == {}:
        return _flow_yaml(setting.value)
    if is_secret(setting.field):
        return _flow_yaml(MASK)
    show = str if is_mapping(setting.field) else value_format(setting.field).format
    return _flow_yaml(show(setting.value))


def _flow_yaml(value: object) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _lines(loaded: LoadedConfig) -> Iterator[str]:
    lone = len(loaded.settings.argo) == 1
    above: SettingPath = ()
    for setting in iter_settings(loaded.settings):
        path = tuple(key for key in setting.path if isinstance(key, str) or not lone)
        shared = _common_prefix(above, path)
        for level in range(shared, len(path) - 1):
            if isinstance(path[level], str):
                yield f"{_indentation(path, level, shared)}{path[level]}:"
        origin = origin_of(loaded.origins, setting.path)
        yield f"{_indentation(path, len(path) - 1, shared)}{_flow_yaml(path[-1])}: {_text(setting)}  # {origin}"
        above = path


def _common_prefix(above: SettingPath, path: SettingPath) -> int:
    pairs = zip(above, path, strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _indentation(path: SettingPath, level: int, shared: int) -> str:
    """Return the indentation of a key; the first one of a list's item has the dash."""
    opens_item = level > 0 and isinstance(path[level - 1], int) and shared < level
    return "  " * (level - 1) + "- " if opens_item else "  " * level
