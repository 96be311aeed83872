"""`dataclass` and `replace` of the core, both quick: a rollout that changes is replaced a dozen times a tick.

The constructor of a frozen dataclass calls `object.__setattr__` for each field and takes seven times as long as another
one, a third of what an update of a rollout cost. So the classes of the core are frozen for type checkers, which hold
all code to it, and not when they are created. `dataclasses.replace` looks at each field in Python code.
"""

from __future__ import annotations

import dataclasses
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from dataclasses import dataclass

    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)
else:

    def dataclass(*, frozen: bool, slots: bool = False, eq: bool = True) -> Callable[[type], type]:
        """Return the decorator of a dataclass whose constructor is that of one that is not frozen."""
        return dataclasses.dataclass(slots=slots, eq=eq, unsafe_hash=frozen and eq)


__all__ = ["dataclass", "replace"]


def replace(instance: T, **changes: object) -> T:
    """Return a dataclass of the same class with other values of some fields. Raises KeyError for an unknown field."""
    places, read = _layout(type(instance))
    values = [*read(instance)]
    for name, value in changes.items():
        values[places[name]] = value
    return type(instance)(*values)


@cache
def _layout(dataclass: type[DataclassInstance]) -> tuple[Mapping[str, int], Callable[[object], tuple[Any, ...]]]:
    """Return the place of each field among the arguments of the constructor, and a function that reads all fields."""
    names = [field.name for field in fields(dataclass)]
    return {name: place for place, name in enumerate(names)}, attrgetter(*names)
