"""A transition as the JSON object of `replay --format events`, `/api/events`, the log and storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exporter.rollouts.explain.document import images_json, step_json

if TYPE_CHECKING:
    from exporter.rollouts.events.model import ReportedTransition

_DIGITS: Final = 3
"""Decimal places of a duration: ticks are in milliseconds."""
_FRACTION_DIGITS: Final = 6


def transition_json(transition: ReportedTransition) -> dict[str, Any]:
    """Return the object of a transition, without what is not known; its members are public."""
    fraction, duration = transition.fraction, transition.duration
    members = {
        "at": transition.timestamp,
        "rollout": "/".join(transition.rollout) if transition.rollout is not None else None,
        "type": transition.type.value,
        "revision": transition.revision,
        "hash": transition.hash,
        "cause": transition.cause and transition.cause.value,
        "step": step_json(transition.step),
        "images": images_json(transition.images),
        "fraction": None if fraction is None else round(fraction, _FRACTION_DIGITS),
        "duration": None if duration is None else round(duration, _DIGITS),
        "sentence": transition.sentence,
    }
    return {name: value for name, value in members.items() if value is not None and value != ""}
