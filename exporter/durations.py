"""A duration in words, the same in every sentence, page and line of output."""

from __future__ import annotations

from typing import Final

_MINUTE: Final = 60
_HOURS_IN_WORDS: Final = 48
"""From here on days are shown: `47 h` is easier to subtract from the clock than `1 d 23 h`."""


def duration(seconds: float) -> str:
    """Return a duration in words: `40 s`, `7 min`, `3 h 20 min`, `2 d 5 h`; a negative one is `0 s`."""
    seconds = max(seconds, 0.0)
    if seconds < _MINUTE:
        return f"{min(round(seconds), _MINUTE - 1)} s"  # never `60 s`
    hours, minutes = divmod(int(seconds) // _MINUTE, _MINUTE)
    if not hours:
        return f"{minutes} min"
    if hours < _HOURS_IN_WORDS:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
