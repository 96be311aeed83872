"""Since when a rollout is in its phase, and how often it entered each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.rollouts.model import PhaseHistory
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Mapping


def observe_phase(history: PhaseHistory, phase: str, now: float, hold_down: float, *, explained: bool) -> PhaseHistory:
    """Add the phase shown at a tick (Unix seconds); `explained`: a counted event can have changed it.

    While a paused rollout is scaled, each pod that becomes ready turns the phase to Progressing for 10 to 30 ms, with
    no event. A scrape can hit that, so an unexplained change from Paused to Progressing counts only once it has lasted
    for `hold_down` seconds.
    """
    if history.hold_down_from is not None and phase == history.hold_down_from[0] and not explained:
        return PhaseHistory(phase, history.hold_down_from[1], history.transition_counts)
    if phase == history.phase:
        is_real = explained or now - history.since >= hold_down
        return _confirmed(history) if history.hold_down_from and is_real else history
    left = _confirmed(history)
    if left.phase == "Paused" and phase == "Progressing" and not explained:
        return PhaseHistory(phase, now, left.transition_counts, (left.phase, left.since))
    return PhaseHistory(phase, now, _count(left.transition_counts, phase))


def _confirmed(history: PhaseHistory) -> PhaseHistory:
    """Count the entry into a phase, and end its hold-down."""
    if history.hold_down_from is None:
        return history
    return replace(history, transition_counts=_count(history.transition_counts, history.phase), hold_down_from=None)


def _count(counts: Mapping[str, int], phase: str) -> Mapping[str, int]:
    return {**counts, phase: counts.get(phase, 0) + 1}
