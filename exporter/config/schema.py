"""Look-ups in the settings model by path: sections, mappings, secrets and value formats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args, get_origin

from pydantic import SecretStr

from exporter.config.section import Section
from exporter.config.settings import Settings
from exporter.config.values import ValueFormat

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

SettingPath = tuple[str | int, ...]
"""Path of a setting: keys, and the index of an installation."""

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

_FORMAT_BY_TYPE: tuple[tuple[type, ValueFormat], ...] = (
    (bool, ValueFormat("true or false", bool)),
    (int, ValueFormat("whole number", int)),
    (SecretStr, ValueFormat("secret text")),
    (str, ValueFormat("text")),
)


class SettingValue(NamedTuple):
    """A setting and its value; an empty mapping or list is one setting."""

    path: SettingPath
    value: Any
    field: FieldInfo


def _annotation_parts(annotation: object) -> Iterator[object]:
    # Annotated, | None and Mapping nest the type that matters.
    yield annotation
    for part in get_args(annotation):
        yield from _annotation_parts(part)


def section_of(field: FieldInfo) -> type[Section] | None:
    """Return the section of a field, or of its list items; None if it has no sections."""
    parts = _annotation_parts(field.annotation)
    return next((part for part in parts if isinstance(part, type) and issubclass(part, Section)), None)


def is_section_list(field: FieldInfo) -> bool:
    """Return whether a field is a list of sections."""
    return section_of(field) is not None and get_origin(field.annotation) is tuple


def is_mapping(field: FieldInfo) -> bool:
    """Return whether a field is a mapping with keys of the user's choice."""
    return get_origin(field.annotation) is Mapping


def is_secret(field: FieldInfo) -> bool:
    """Return whether a field holds secrets, which messages must not quote."""
    return SecretStr in _annotation_parts(field.annotation)


def may_be_secret(field: FieldInfo) -> bool:
    """Return whether a field holds secrets, or the path of a file, in whose place a secret may be written."""
    return is_secret(field) or value_format(field).kind in FILE_KINDS


def is_list(field: FieldInfo) -> bool:
    """Return whether a field is a list of values, whose empty text is the empty list."""
    return get_origin(field.annotation) is tuple and not is_section_list(field)


def value_format(field: FieldInfo) -> ValueFormat:
    """Return the value format of a field, from its annotation or by its type."""
    for part in (*field.metadata, *_annotation_parts(field.annotation)):
        if isinstance(part, ValueFormat):
            return part
        if get_origin(part) is Literal:
            return ValueFormat(" | ".join(map(str, get_args(part))))
    types = list(_annotation_parts(field.annotation))
    return next((by_type for kind, by_type in _FORMAT_BY_TYPE if kind in types), ValueFormat("mapping"))


def deepest_field(path: SettingPath) -> tuple[SettingPath, FieldInfo | None]:
    """Return the longest start of a path that names a field, and the field; ((), None) if the first key is unknown."""
    model: type[Section] | None = Settings
    deepest: tuple[SettingPath, FieldInfo | None] = ((), None)
    for length, key in enumerate(path, 1):
        field = model.model_fields.get(str(key)) if model and not isinstance(key, int) else None
        if field is not None:
            deepest, model = (path[:length], field), section_of(field)
    return deepest


def iter_fields(model: type[Section], path: SettingPath = ()) -> Iterator[tuple[SettingPath, FieldInfo]]:
    """Yield every field of a model, sections included, without indexes of installations."""
    for name, field in model.model_fields.items():
        yield (*path, name), field
        section = section_of(field)
        if section:
            yield from iter_fields(section, (*path, name))


def _children(section: Section, path: SettingPath) -> Iterator[SettingValue]:
    """Yield the values directly in a section, each section of a list separately."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if is_section_list(field):
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
        elif is_mapping(child.field) and child.value:
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
