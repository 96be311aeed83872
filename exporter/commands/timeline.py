"""Transitions for a person: one line each, in columns, wrapped at 80 characters. They are the objects of the API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

from exporter.commands.printable import printable
from exporter.durations import duration as duration_text
from exporter.log import CONTROL_CHARS
from exporter.rollouts.explain.model import RevisionImages
from exporter.rollouts.explain.sentences import image_changes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TransitionObject = Mapping[str, Any]
LINE_WIDTH: Final = 80
_TYPE_WIDTH: Final = len("analysis started")
_MAX_NAME_WIDTH: Final = 24
"""A longer name of a rollout moves the rest of its line to the right."""
_MIN_TEXT_WIDTH: Final = 24
_IN_BRIEF: Final = frozenset({"update_started", "step_reached", "resumed", "retried"})
"""Types that are shown without their sentence: it would tell at length what comes next."""
_WITH_DURATION: Final = frozenset({"promoted", "aborted", "recovered"})
"""Types whose sentence is about the state that follows, not about how long something took."""


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
    brief = brief_text(transition) if transition["type"] in _IN_BRIEF else ""
    return CONTROL_CHARS.sub(" ", brief or full_text(transition))


def full_text(transition: TransitionObject) -> str:
    """Return the sentence of a transition, with the duration that it does not have."""
    sentence, seconds = str(transition.get("sentence", "")), transition.get("duration")
    if transition["type"] in _WITH_DURATION and seconds is not None and " after " not in sentence:
        return f"After {duration_text(seconds)}. {sentence}"
    return sentence


def brief_text(transition: TransitionObject) -> str:
    """Return what a transition has besides its sentence: step, or revision with images and duration."""
    step, fraction, seconds = transition.get("step"), transition.get("fraction"), transition.get("duration")
    if transition["type"] == "step_reached":
        if not step:
            return ""
        place = (
            "all steps done" if step["kind"] == "done" else f"step {step['index'] + 1} of {step['of']}: {step['kind']}"
        )
        return f"{place}, {100 * fraction:.3g} % of the traffic" if fraction else place
    revision = f"revision {transition['revision']}" if "revision" in transition else "a revision"
    if transition["type"] == "resumed":
        return f"{revision} goes on" + (f" after {duration_text(seconds)}" if seconds is not None else "")
    changes = image_texts(transition)
    return f"{revision}: {changes}" if changes else revision


def image_texts(transition: TransitionObject) -> str:
    """Return the images that an update changes, "" if they are not known."""
    images = transition.get("images")
    return image_changes(RevisionImages(images["current"], images["stable"]) if images else None)


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
