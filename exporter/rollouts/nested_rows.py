"""Nested dataclasses as JSON and back by their fields, for the parts of a row that a later page shows again anyway.

Such a part has no keys of its own in `persistence`: a release that renames a field loses it until the next page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints


def to_document(value: Any) -> Any:  # noqa: ANN401 # any JSON
    """Return the JSON of a value: a dataclass is an object of the fields that differ from their defaults."""
    if is_dataclass(value) and not isinstance(value, type):
        members = {field.name: getattr(value, field.name) for field in fields(value)}
        defaults = _defaults(type(value))
        return {name: to_document(item) for name, item in members.items() if defaults.get(name, MISSING) != item}
    if isinstance(value, tuple):
        return [to_document(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def from_document(kind: Any, document: Any) -> Any:  # noqa: ANN401 # any type of a field
    """Return a value of a type from its JSON. Raises TypeError or KeyError for another shape."""
    if get_origin(kind) is UnionType:
        return None if document is None else from_document(get_args(kind)[0], document)
    if get_origin(kind) is tuple:
        return tuple(from_document(get_args(kind)[0], item) for item in document)
    if is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        return kind(**{name: from_document(hints[name], item) for name, item in document.items()})
    if get_origin(kind) is Mapping:
        return {str(name): str(item) for name, item in document.items()}
    if not isinstance(document, int | float if kind is float else kind):
        raise TypeError(f"not a {kind.__name__}")
    return document


@cache
def _hints(kind: Any) -> dict[str, Any]:  # noqa: ANN401 # a dataclass
    return get_type_hints(kind)


@cache
def _defaults(kind: Any) -> dict[str, Any]:  # noqa: ANN401 # a dataclass
    factories = {field.name: field.default_factory() for field in fields(kind) if field.default_factory is not MISSING}
    return {field.name: field.default for field in fields(kind) if field.default is not MISSING} | factories
