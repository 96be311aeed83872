"""Whether something is in something: `in`, `matches`, `contains` and their like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.gate.expr.access import has
from exporter.gate.expr.arithmetic import equal
from exporter.gate.expr.builtins_strings import compile_regex
from exporter.gate.expr.errors import RunError
from exporter.gate.expr.values import ListValue, MapValue, Value, as_text, named, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def within(needle: Value, container: Value, *, modern: bool) -> bool:
    """Say whether a list has an item, or a map a key. Raises RunError for what is neither."""
    match container:
        case None:
            return False
        case ListValue():
            return any(equal(item, needle, modern=modern) for item in container.items)
        case MapValue():
            return has(container, needle)
    raise RunError(f'operator "in" not defined on {named(container)}')


def looked_up(value: Value, allowed: Mapping[object, object]) -> bool:
    """Look a value up in a set of whole numbers or of texts; nil is taken for 0, or for no text."""
    zero = next(iter(allowed.values()))
    if value is None:
        return zero in allowed
    right = whole(value) if zero == 0 else isinstance(value, str)
    if not right:
        wanted = "int" if zero == 0 else "string"
        raise RunError(f"reflect.Value.MapIndex: value of type {named(value)} is not assignable to type {wanted}")
    return value in allowed


def found(operator: str, left: Value, right: Value, *, modern: bool) -> bool:
    """Say whether a text matches, contains, begins or ends with another. Raises RunError for what is no text."""
    if modern and (left is None or right is None):
        return False
    if operator == "matches":
        pattern = as_text(right)
        return compile_regex(pattern).search(as_text(left)) is not None
    text, part = (as_text(side).encode("utf-8", "surrogateescape") for side in (left, right))
    return TESTS[operator](text, part)


TESTS: Final[Mapping[str, Callable[[bytes, bytes], bool]]] = {
    "contains": lambda text, part: part in text,
    "startsWith": bytes.startswith,
    "endsWith": bytes.endswith,
}
