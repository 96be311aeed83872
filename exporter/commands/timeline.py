"""Transitions for a person: one line each, in columns, wrapped at 80 characters. They are the objects of the API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

from exporter.commands.printable import printable
from exporter.log import CONTROL_CHARS
from exporter.rollouts.events.wording import what_happened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TransitionObject = Mapping[str, Any]
LINE_WIDTH: Final = 80
_TYPE_WIDTH: Final = len("analysis started")
_MAX_NAME_WIDTH: Final = 24
"""A longer name of a rollout moves the rest of its line to the right."""
_MIN_TEXT_WIDTH: Final = 24


@printable
def timeline_lines(transitions: Sequence[TransitionObject]) -> Iterator[str]:
    """Yield the lines of transitions in order, with a line for each day."""
    name_width = min(max((len(_name(transition)) for transition in transitions), default=0), _MAX_NAME_WIDTH)
    day = ""
    for transition in transitions:
        if day != (day := day_text(transition)):
            yield day
        yield from transition_lines(transition, name_width)


@printable
def transition_lines(transition: TransitionObject, name_width: int = _MAX_NAME_WIDTH) -> Iterator[str]:
    """Yield the lines of one transition: time (UTC), rollout, type, and what happened."""
    head = f"{clock_text(transition)}  {_name(transition):{name_width}}  {type_text(transition):{_TYPE_WIDTH}}  "
    width = max(LINE_WIDTH - len(head), _MIN_TEXT_WIDTH)
    for place, line in enumerate(wrap(text_of(transition), width, break_on_hyphens=False) or [""]):
        yield f"{' ' * len(head) if place else head}{line}".rstrip()


def text_of(transition: TransitionObject) -> str:
    """Return what happened, on one line."""
    return CONTROL_CHARS.sub(" ", what_happened(transition))


def time_text(seconds: float) -> str:
    """Return a time (Unix seconds) with its day."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock_text(transition: TransitionObject) -> str:
    """Return the time of day (UTC)."""
    return datetime.fromtimestamp(transition["at"], UTC).strftime("%H:%M:%S")


def day_text(transition: TransitionObject) -> str:
    """Return the day (UTC)."""
    return datetime.fromtimestamp(transition["at"], UTC).strftime("%Y-%m-%d UTC")


def type_text(transition: TransitionObject) -> str:
    """Return the type in words."""
    return str(transition["type"]).replace("_", " ")


def _name(transition: TransitionObject) -> str:
    return CONTROL_CHARS.sub(" ", str(transition.get("rollout", "-")))
