"""Every setting as a person looks it up: meaning, kind, default and variables, all from the model."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.config import schema
from exporter.config.env import ABOVE_FILE, BELOW_FILE, variable_name
from exporter.config.report import value_text
from exporter.config.schema import SettingValue
from exporter.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.config.model import SettingPath


@dataclass(frozen=True, slots=True)
class SettingReference:
    """A setting; `section` is the first part of its key, "" for one at the top; the default is YAML."""

    path: SettingPath
    meaning: str
    kind: str
    default: str
    variables: tuple[str, ...]

    @property
    def key(self) -> str:
        """The dotted key, without the index of a list."""
        return schema.dotted(self.path)

    @property
    def section(self) -> str:
        """The section at the top that has the setting, "" if none has."""
        return str(self.path[0]) if len(self.path) > 1 else ""


def setting_references() -> Iterator[SettingReference]:
    """Yield every setting in the order of the model."""
    for path, field in schema.iter_fields(Settings):
        if field.section is not None:
            continue
        default = value_text(SettingValue(path, field.default, field))
        meaning = " ".join(field.description.split())
        yield SettingReference(path, meaning, field.format.kind, default, _variables(path))


def _variables(path: SettingPath) -> tuple[str, ...]:
    """Return the variables that set a setting, those of OpenTelemetry and Last9 behind the exporter's own."""
    others = (name for rule in (*ABOVE_FILE, *BELOW_FILE) if rule.path == path for name in rule.variables)
    return (variable_name(path), *others)


def explained(key: str) -> tuple[SettingReference, ...]:
    """Return the settings at and below a dotted key, all for "", none for a key that does not exist."""
    below = f"{key}."
    return tuple(each for each in setting_references() if not key or each.key == key or each.key.startswith(below))


def explanation_lines(setting: SettingReference) -> Iterator[str]:
    """Yield what `config --explain` prints of a setting."""
    yield f"{setting.key}: {setting.kind}, default {setting.default}"
    yield from textwrap.wrap(setting.meaning, 96, initial_indent="    ", subsequent_indent="    ")
    yield f"    variables: {', '.join(setting.variables)}"
