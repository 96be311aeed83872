"""What a transition's object reports, in words for a person: its sentence, or in brief what it has besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exporter.durations import duration as duration_text
from exporter.rollouts.explain.model import RevisionImages
from exporter.rollouts.explain.sentences import image_changes
from exporter.rollouts.explain.words import percent

if TYPE_CHECKING:
    from collections.abc import Mapping

_IN_BRIEF: Final = frozenset({"update_started", "step_reached", "resumed", "retried"})
"""Types that are shown without their sentence: it would tell at length what comes next."""
_WITH_DURATION: Final = frozenset({"promoted", "aborted", "recovered"})
"""Types whose sentence is about the state that follows, not about how long something took."""


def what_happened(transition: Mapping[str, Any]) -> str:
    """Return what happened, by an object of /api/events; it may have control characters of users' text."""
    brief = brief_text(transition) if transition["type"] in _IN_BRIEF else ""
    return brief or full_text(transition)


def full_text(transition: Mapping[str, Any]) -> str:
    """Return the sentence of a transition, with the duration that it does not have."""
    sentence, seconds = str(transition.get("sentence", "")), transition.get("duration")
    if transition["type"] in _WITH_DURATION and seconds is not None and " after " not in sentence:
        return f"After {duration_text(seconds)}. {sentence}"
    return sentence


def brief_text(transition: Mapping[str, Any]) -> str:
    """Return what a transition has besides its sentence: step, or revision with images and duration."""
    step, fraction, seconds = transition.get("step"), transition.get("fraction"), transition.get("duration")
    if transition["type"] == "step_reached":
        if not step:
            return ""
        place = (
            "all steps done" if step["kind"] == "done" else f"step {step['index'] + 1} of {step['of']}: {step['kind']}"
        )
        return f"{place}, {percent(fraction)} of the traffic" if fraction else place
    revision = f"revision {transition['revision']}" if "revision" in transition else "a revision"
    if transition["type"] == "resumed":
        return f"{revision} goes on" + (f" after {duration_text(seconds)}" if seconds is not None else "")
    changes = image_texts(transition)
    return f"{revision}: {changes}" if changes else revision


def image_texts(transition: Mapping[str, Any]) -> str:
    """Return the images that an update changes, "" if they are not known."""
    images = transition.get("images")
    return image_changes(RevisionImages(images["current"], images["stable"]) if images else None)
