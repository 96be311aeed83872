"""Lines for a terminal, without the control characters that names and messages of others may have."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

from exporter.log import CONTROL_CHARS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")


def printable(lines: Callable[P, Iterator[str]]) -> Callable[P, Iterator[str]]:
    """Decorate a function that yields lines: a control character would forge a line, or act on the terminal.

    Here and not at each value, so that a member that is added later cannot be forgotten.
    """

    @wraps(lines)
    def printable_lines(*arguments: P.args, **options: P.kwargs) -> Iterator[str]:
        return (CONTROL_CHARS.sub(" ", line) for line in lines(*arguments, **options))

    return printable_lines
