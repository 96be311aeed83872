"""What the model says about a path: whether a section, a mapping or a secret stands there, and how it is spelt."""

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
"""Where a setting stands: keys, and the number of an installation."""

_BY_TYPE: tuple[tuple[type, ValueFormat], ...] = (
    (bool, ValueFormat("true or false", bool)),
    (int, ValueFormat("count", int)),
    (SecretStr, ValueFormat("secret text")),
    (str, ValueFormat("text")),
)


class SettingValue(NamedTuple):
    """One setting with its value; an empty mapping or list is one setting too."""

    path: SettingPath
    value: Any
    field: FieldInfo


def _annotation_parts(annotation: object) -> Iterator[object]:
    yield annotation
    for part in get_args(annotation):
        yield from _annotation_parts(part)


def section_of(field: FieldInfo) -> type[Section] | None:
    """Return the section that stands at a field, or of which it has a list."""
    parts = _annotation_parts(field.annotation)
    return next((part for part in parts if isinstance(part, type) and issubclass(part, Section)), None)


def is_section_list(field: FieldInfo) -> bool:
    """Say whether a field is a list of sections."""
    return section_of(field) is not None and get_origin(field.annotation) is tuple


def is_mapping(field: FieldInfo) -> bool:
    """Say whether the user chooses the keys under a field."""
    return get_origin(field.annotation) is Mapping


def is_secret(field: FieldInfo) -> bool:
    """Say whether a field holds secrets, which no message may repeat."""
    return SecretStr in _annotation_parts(field.annotation)


def value_format(field: FieldInfo) -> ValueFormat:
    """Return how the values of a field are spelt."""
    for part in (*field.metadata, *_annotation_parts(field.annotation)):
        if isinstance(part, ValueFormat):
            return part
        if get_origin(part) is Literal:
            return ValueFormat(" | ".join(map(str, get_args(part))))
    kinds = list(_annotation_parts(field.annotation))
    return next((spelt for kind, spelt in _BY_TYPE if kind in kinds), ValueFormat("mapping"))


def deepest_field(path: SettingPath) -> tuple[SettingPath, FieldInfo | None]:
    """Return how far a path leads into the model, and the field that stands there (None: its first key is unknown)."""
    model: type[Section] | None = Settings
    found: tuple[SettingPath, FieldInfo | None] = ((), None)
    for length, key in enumerate(path, 1):
        field = model.model_fields.get(str(key)) if model and not isinstance(key, int) else None
        if field is not None:
            found, model = (path[:length], field), section_of(field)
    return found


def iter_fields(model: type[Section], at: SettingPath = ()) -> Iterator[tuple[SettingPath, FieldInfo]]:
    """Yield every field of a model, sections among them, without the numbers of installations."""
    for name, field in model.model_fields.items():
        yield (*at, name), field
        section = section_of(field)
        if section:
            yield from iter_fields(section, (*at, name))


def iter_sections(section: Section, at: SettingPath = ()) -> Iterator[tuple[SettingPath, Section]]:
    """Yield a section and all that it holds, with their paths."""
    yield at, section
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if is_section_list(field):
            for number, one in enumerate(value):
                yield from iter_sections(one, (*at, name, number))
        elif section_of(field):
            yield from iter_sections(value, (*at, name))


def iter_settings(section: Section, at: SettingPath = ()) -> Iterator[SettingValue]:
    """Yield every setting in the order of the model."""
    for name, field in type(section).model_fields.items():
        value, path = getattr(section, name), (*at, name)
        if is_section_list(field):
            for number, one in enumerate(value):
                yield from iter_settings(one, (*path, number))
        elif section_of(field):
            yield from iter_settings(value, path)
        elif is_mapping(field) and value:
            yield from (SettingValue((*path, key), one, field) for key, one in value.items())
        else:
            yield SettingValue(path, value, field)


def dotted(path: SettingPath, *, single_installation: bool = True) -> str:
    """Write a path as people do; `lone` leaves the number of the only installation out."""
    text = ""
    for key in path:
        if isinstance(key, str):
            text += f".{key}" if text else key
        elif not (single_installation and key == 0):
            text += f"[{key}]"
    return text
