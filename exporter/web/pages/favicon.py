"""The icon of the browser's tab: a canary's bar; with trouble a triangle in the colour of an alarm."""

from __future__ import annotations

from typing import Final

_GOOD: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#2563eb"/>'
    '<path d="M3 8.5 6.5 12 13 4.5" fill="none" stroke="#fff" stroke-width="2.2"/></svg>'
)
_BAD: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="M8 0.5 16 15.5H0z" fill="#d32f2f"/>'
    '<path d="M8 5.5v5M8 12v2" stroke="#fff" stroke-width="2"/></svg>'
)


def favicon(state: str) -> str:
    """Return the SVG of a state, `bad` or `good`."""
    return _BAD if state == "bad" else _GOOD
