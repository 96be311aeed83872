"""Base class of all sections: what fields a section has, and how a tree of written values becomes one.

A section is a frozen dataclass. The annotation of a field has its `ValueFormat`, the text under it is its meaning.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from itertools import pairwise
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from exporter.config import values
from exporter.config.values import SecretText, SettingError, ValueFormat

SettingPath = tuple[str | int, ...]
"""Path of a setting: keys, and the index of an installation."""
_FORMAT_BY_TYPE: Mapping[object, ValueFormat] = {
    bool: values.BOOLEAN,
    int: values.INTEGER,
    SecretText: values.SECRET,
    str: values.TEXT,
}


class SettingFault(NamedTuple):
    """An invalid value, and where it is."""

    path: SettingPath
    error: SettingError


@dataclass(frozen=True, slots=True)
class Section:
    """A frozen section; the text under a field is its description for users."""

    @classmethod
    def parse(cls, tree: Mapping[str, Any]) -> Self:
        """Return the section that a tree of written values describes. Raises SettingError."""
        faults: list[SettingFault] = []
        section = parse_section(cls, tree, (), faults)
        for path, error in faults:
            raise SettingError(f"{'.'.join(map(str, path))}: {error}", error.hint)
        return section

    @classmethod
    def implied(cls, _written: Mapping[str, Any], _parsed: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the fields that are not written and depend on others."""
        return {}


S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class SettingField:
    """A field of a section; `type` is its annotation without Annotated and None."""

    name: str
    type: Any
    format: ValueFormat
    default: Any
    owner: type[Section]

    @property
    def section(self) -> type[Section] | None:
        """The section of the field, or of its list items; None if it has no sections."""
        part = get_args(self.type)[0] if self.is_tuple else self.type
        return part if isinstance(part, type) and issubclass(part, Section) else None

    @property
    def is_tuple(self) -> bool:
        """Whether the field is a list, of values or of sections."""
        return get_origin(self.type) is tuple

    @property
    def is_section_list(self) -> bool:
        """Whether the field is a list of sections."""
        return self.is_tuple and self.section is not None

    @property
    def is_list(self) -> bool:
        """Whether the field is a list of values, whose empty text is the empty list."""
        return self.is_tuple and self.section is None

    @property
    def is_mapping(self) -> bool:
        """Whether the field is a mapping with keys of the user's choice."""
        return get_origin(self.type) is Mapping

    @property
    def is_secret(self) -> bool:
        """Whether the field holds secrets, which messages must not quote."""
        return SecretText in (self.type, *get_args(self.type))

    @property
    def description(self) -> str:
        """The text under the field, "" for none."""
        texts = (_field_texts(model).get(self.name) for model in self.owner.__mro__ if issubclass(model, Section))
        return next(filter(None, texts), "")


_FIELDS: dict[type[Section], Mapping[str, SettingField]] = {}


def section_fields(model: type[Section]) -> Mapping[str, SettingField]:
    """Return the fields of a section by name, in their order."""
    if model not in _FIELDS:
        _FIELDS[model] = {field.name: field for field in _fields_of(model)}
    return _FIELDS[model]


def _fields_of(model: type[Section]) -> Iterator[SettingField]:
    annotations = get_type_hints(model, include_extras=True)
    for each in fields(model):
        default = each.default if each.default_factory is MISSING else each.default_factory()
        yield SettingField(each.name, *_type_and_format(annotations[each.name]), default, model)


def _type_and_format(annotation: Any) -> tuple[Any, ValueFormat]:  # noqa: ANN401 - any annotation
    """Return an annotation without Annotated and None, and its format; that of a section is not used."""
    value_format = None
    while (origin := get_origin(annotation)) in {Annotated, Union, UnionType}:
        parts = get_args(annotation)
        if origin is Annotated:
            value_format = next(part for part in parts if isinstance(part, ValueFormat))
        annotation = parts[0]
    if get_origin(annotation) is Literal:
        value_format = value_format or values.choice_format(*get_args(annotation))
    return annotation, value_format or _FORMAT_BY_TYPE.get(annotation, ValueFormat("mapping"))


@cache
def _field_texts(model: type[Section]) -> Mapping[str, str]:
    """Return the texts under the fields that a section has in its source; Python keeps none of them."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


def parse_section(model: type[S], tree: Mapping[str, Any], path: SettingPath, faults: list[SettingFault]) -> S:
    """Return the section that a tree of written values describes; what is invalid has its default, and is a fault."""
    settings = section_fields(model)
    faults += [SettingFault((*path, name), SettingError("unknown key", "remove it")) for name in tree.keys() - settings]
    parsed = {}
    for field in settings.values():
        if field.name in tree:
            below = (*path, field.name)
            try:
                parsed[field.name] = _parse_field(field, tree[field.name], below, faults)
            except SettingError as error:
                faults.append(SettingFault(below, error))
    return model(**{**parsed, **model.implied(tree, parsed)})


def _parse_field(field: SettingField, value: Any, path: SettingPath, faults: list[SettingFault]) -> Any:  # noqa: ANN401 - as the field
    """Return the value of a field. Raises SettingError if there is nothing valid in it."""
    if value is None or isinstance(value, Section):
        return value
    if field.is_section_list and field.section:
        trees = [value] if isinstance(value, Mapping) else value
        return tuple(parse_section(field.section, tree, (*path, index), faults) for index, tree in enumerate(trees))
    if field.section:
        return parse_section(field.section, value, path, faults)
    if field.is_mapping:
        return _parse_mapping(field.format, value, path, faults)
    return _parse_list(field.format, value, path, faults) if field.is_list else field.format.parse(value)


def _parse_mapping(
    value_format: ValueFormat, value: object, path: SettingPath, faults: list[SettingFault]
) -> Mapping[str, Any]:
    """Return a mapping without its invalid items, which are faults."""
    if not isinstance(value, Mapping):
        raise SettingError("should be a mapping of names to values", "write name: value under it")
    parsed = {}
    for key, written in value.items():
        try:
            parsed[value_format.check_key(key)] = value_format.parse(written)
        except SettingError as error:
            faults.append(SettingFault((*path, key), error))
    value_format.check(parsed)
    return parsed


def _parse_list(
    value_format: ValueFormat, value: object, path: SettingPath, faults: list[SettingFault]
) -> tuple[Any, ...]:
    """Return a list. Raises SettingError: without its invalid items it is not the list that was meant."""
    written = values.parse_list(value)
    if not isinstance(written, list | tuple):
        raise SettingError("should be a valid list", value=value)
    parsed, errors = [], []
    for part in written:
        try:
            parsed.append(value_format.parse(part))
        except SettingError as error:
            errors.append(error)
    if errors:
        faults += [SettingFault(path, error) for error in errors[:-1]]
        raise errors[-1]
    value_format.check(parsed)
    return tuple(parsed)
