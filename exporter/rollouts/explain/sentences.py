"""An explanation in plain words: the state and why, what to do, and the evidence with its age."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.rollouts.explain.model import Explanation
    from exporter.rollouts.model import Rollout


def describe(rollout: Rollout, explanation: Explanation, now: float) -> Explanation:
    """Return the explanation with its sentence, what to do, and its evidence."""
    return explanation
