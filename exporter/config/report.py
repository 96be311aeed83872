"""Shows the configuration: the effective settings with their origins, and the reference of all there are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

import yaml

from exporter.config.layers import Origin, origin_at
from exporter.config.schema import (
    Path,
    Setting,
    dotted,
    fields,
    is_mapping,
    is_secret,
    section_of,
    settings_of,
    spelling,
)
from exporter.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from exporter.config.load import Loaded

MASK = "******"


@dataclass(frozen=True, slots=True)
class Row:
    """One effective setting: its dotted path, its value as YAML (secrets masked), and where it came from."""

    path: str
    value: str
    origin: Origin


class Entry(NamedTuple):
    """One setting of the reference: dotted path, what it takes, its default as YAML, what it means."""

    path: str
    kind: str
    default: str
    description: str


def effective(loaded: Loaded) -> list[Row]:
    """Return every setting as it holds, in the order of the model."""
    lone = len(loaded.settings.argo) == 1
    return [
        Row(dotted(setting.path, lone=lone), _text(setting), origin_at(loaded.origins, setting.path))
        for setting in settings_of(loaded.settings)
    ]


def as_yaml(loaded: Loaded) -> str:
    """Render the effective settings as YAML, the origin of each in a comment; without secrets it loads to the same."""
    return "\n".join(_lines(loaded)) + "\n"


def reference() -> list[Entry]:
    """Return every setting there is, in the order of the model."""
    return [
        Entry(
            ".".join(map(str, path)),
            spelling(field).kind,
            _default(path, field),
            " ".join((field.description or "").split()),
        )
        for path, field in fields(Settings)
        if section_of(field) is None
    ]


def _default(path: Path, field: FieldInfo) -> str:
    value: object = Settings()
    for key in path:
        value = _inside(value, key)
    return _flow(spelling(field).show(value)) if is_mapping(field) else _text(Setting(path, value, field))


def _inside(value: object, key: str | int) -> object:
    section = value[0] if isinstance(value, tuple) else value
    return getattr(section, str(key))


def _text(setting: Setting) -> str:
    if setting.value is None or setting.value == {}:
        return _flow(setting.value)
    if is_secret(setting.field):
        return _flow(MASK)
    show = str if is_mapping(setting.field) else spelling(setting.field).show
    return _flow(show(setting.value))


def _flow(value: object) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _lines(loaded: Loaded) -> Iterator[str]:
    lone = len(loaded.settings.argo) == 1
    above: Path = ()
    for setting in settings_of(loaded.settings):
        path = tuple(key for key in setting.path if isinstance(key, str) or not lone)
        shared = _shared(above, path)
        for level in range(shared, len(path) - 1):
            if isinstance(path[level], str):
                yield f"{_margin(path, level, shared)}{path[level]}:"
        origin = origin_at(loaded.origins, setting.path)
        yield f"{_margin(path, len(path) - 1, shared)}{_flow(path[-1])}: {_text(setting)}  # {origin}"
        above = path


def _shared(above: Path, path: Path) -> int:
    pairs = zip(above, path, strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _margin(path: Path, level: int, shared: int) -> str:
    """Return the indentation of a key; the first one of a list's item has the dash."""
    opens_item = level > 0 and isinstance(path[level - 1], int) and shared < level
    return "  " * (level - 1) + "- " if opens_item else "  " * level
