"""Progress of what may take seconds: commands report it, and whoever runs them chooses where it is shown."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


@dataclass(slots=True)
class Progress:
    """What is under way: `done` of `total` units; `total` is None where the end cannot be foreseen."""

    text: str
    unit: str
    total: float | None
    done: float = 0.0


@contextmanager
def _show_nothing(_: Progress) -> Iterator[None]:
    yield


_DISPLAY: ContextVar[Callable[[Progress], AbstractContextManager[None]]] = ContextVar("_DISPLAY", default=_show_nothing)
"""Shows an activity while its context is open. A variable of the context, since every command would have to pass it on
to what it calls; a command that nobody looks at (a test, the exporter itself) shows nothing."""


@contextmanager
def shown_by(display: Callable[[Progress], AbstractContextManager[None]] = _show_nothing) -> Iterator[None]:
    """Show activities by a display while the context is open; without one they are not shown."""
    token = _DISPLAY.set(display)
    try:
        yield
    finally:
        _DISPLAY.reset(token)


@contextmanager
def progress(text: str, unit: str, total: float | None = None) -> Iterator[Progress]:
    """Show an activity while the context is open; set its `done` as it advances."""
    current = Progress(text, unit, total)
    with _DISPLAY.get()(current):
        yield current
