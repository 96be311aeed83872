"""The progress of activities, as a test reads it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from exporter.commands.progress import shown_by

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.commands.progress import Progress


@contextmanager
def ended_progress() -> Iterator[list[tuple[float, float | None]]]:
    """Yield a list to which each activity within this context adds, when it ends, how far it came, and its total."""
    ended = list[tuple[float, float | None]]()

    @contextmanager
    def count(current: Progress) -> Iterator[None]:
        yield
        ended.append((current.done, current.total))

    with shown_by(count):
        yield ended
