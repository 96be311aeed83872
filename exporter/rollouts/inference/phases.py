"""Which phase a rollout is in, since when, and how often it entered each; a flicker does not count."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class PhaseLog:
    """The phase that the controller says, since when (Unix seconds), and the entries into each so far.

    A paused rollout that is scaled says Progressing for some milliseconds, with no event (facts/observed.md 3.3.2).
    Until it lasts, `held` keeps the phase that it left and since when that had been.
    """

    phase: str
    since: float
    entries: Mapping[str, int] = field(default_factory=dict)
    held: tuple[str, float] | None = None

    @property
    def start(self) -> float:
        """When the phase was first seen; a flicker keeps the start of the phase that it interrupts."""
        return self.held[1] if self.held is not None else self.since

    def seen(self, phase: str, at: float, hold_down: float, *, moved: bool) -> PhaseLog:
        """Take note of the phase at a tick; `moved` says that events account for a change.

        A change that no event accounts for is real once it has lasted for `hold_down` seconds.
        """
        if self.held is not None and phase == self.held[0] and not moved:
            return PhaseLog(phase, self.held[1], self.entries)
        if phase == self.phase:
            return self._confirmed() if self.held and (moved or at - self.since >= hold_down) else self
        left = self._confirmed()
        if left.phase == "Paused" and phase == "Progressing" and not moved:
            return PhaseLog(phase, at, left.entries, (left.phase, left.since))
        return PhaseLog(phase, at, _entered(left.entries, phase))

    def _confirmed(self) -> PhaseLog:
        if self.held is None:
            return self
        return replace(self, entries=_entered(self.entries, self.phase), held=None)


def _entered(entries: Mapping[str, int], phase: str) -> Mapping[str, int]:
    return {**entries, phase: entries.get(phase, 0) + 1}
