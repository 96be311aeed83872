"""`{{args.name}}` in a template: what the controller replaces, as its fasttemplate finds it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OPEN: Final = "{{"
TAG: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def named(tag: str) -> str:
    """Return which argument the inside of a tag names, "" when it names none."""
    name = tag.strip()
    return name.removeprefix("args.") if name.startswith("args.") else ""


def names(text: str) -> tuple[str, ...]:
    """Return which argument each tag of a text names."""
    return tuple(named(tag) for tag in TAG.findall(text))


def resolved(text: str, values: Mapping[str, str]) -> str:
    """Put the values that are known in place of their tags."""
    return TAG.sub(lambda tag: values.get(named(tag[1]), tag[0]), text)
