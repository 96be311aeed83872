"""Look-ups in the settings model by path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from exporter.config.model import Section, SettingField, SettingPath, section_fields
from exporter.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILE_KINDS = frozenset({"file", "secret file"})
"""Kinds of values that are paths of files."""
REPLACED: Mapping[tuple[str, ...], str] = {
    ("memory", "directory"): "storage.directory",
    ("otlp", "queue", "directory"): "storage.directory",
    ("otlp", "queue", "bytes"): "storage.max_bytes",
    ("otlp", "queue", "age"): "storage.max_age",
    ("otlp", "queue", "fsync"): "storage.fsync",
}
"""Settings of earlier versions, and the setting that replaces each."""


class SettingValue(NamedTuple):
    """A setting and its value; an empty mapping or list is one setting."""

    path: SettingPath
    value: Any
    field: SettingField


def may_be_secret(field: SettingField) -> bool:
    """Return whether a field holds secrets, or the path of a file, in whose place a secret may be written."""
    return field.is_secret or field.format.kind in FILE_KINDS


def deepest_field(path: SettingPath) -> tuple[SettingPath, SettingField | None]:
    """Return the longest start of a path that names a field, and the field; ((), None) if the first key is unknown."""
    model: type[Section] | None = Settings
    deepest: tuple[SettingPath, SettingField | None] = ((), None)
    for length, key in enumerate(path, 1):
        field = section_fields(model).get(str(key)) if model and not isinstance(key, int) else None
        if field is not None:
            deepest, model = (path[:length], field), field.section
    return deepest


def iter_fields(model: type[Section], path: SettingPath = ()) -> Iterator[tuple[SettingPath, SettingField]]:
    """Yield every field of a model, sections included, without indexes of installations."""
    for name, field in section_fields(model).items():
        yield (*path, name), field
        if field.section:
            yield from iter_fields(field.section, (*path, name))


def _children(section: Section, path: SettingPath) -> Iterator[SettingValue]:
    """Yield the values directly in a section, each section of a list separately."""
    for name, field in section_fields(type(section)).items():
        value = getattr(section, name)
        if field.is_section_list:
            yield from (SettingValue((*path, name, index), item, field) for index, item in enumerate(value))
        else:
            yield SettingValue((*path, name), value, field)


def iter_sections(section: Section, path: SettingPath = ()) -> Iterator[tuple[SettingPath, Section]]:
    """Yield a section and all sections in it, with their paths."""
    yield path, section
    for child in _children(section, path):
        if isinstance(child.value, Section):
            yield from iter_sections(child.value, child.path)


def iter_settings(section: Section, path: SettingPath = ()) -> Iterator[SettingValue]:
    """Yield every setting in the order of the model; each key of a mapping is a setting."""
    for child in _children(section, path):
        if isinstance(child.value, Section):
            yield from iter_settings(child.value, child.path)
        elif child.field.is_mapping and child.value:
            yield from (SettingValue((*child.path, key), item, child.field) for key, item in child.value.items())
        else:
            yield child


def dotted(path: SettingPath, *, single_installation: bool = True) -> str:
    """Format a path with dots; `single_installation` omits the index 0 of the only installation."""
    text = ""
    for key in path:
        if isinstance(key, str):
            text += f".{key}" if text else key
        elif not (single_installation and key == 0):
            text += f"[{key}]"
    return text


def replacements(path: SettingPath) -> tuple[str, ...]:
    """Return the settings that replace those at and below a path of an earlier version, () for any other path."""
    return tuple(dict.fromkeys(new for old, new in REPLACED.items() if old[: len(path)] == path))
