"""The query string of the fleet page and of a timeline: what a person can bookmark. A wrong value is the default."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from exporter.web.model import FleetQuery, SortKey, TimelineQuery, Urgency

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TEXT: Final = 200
"""Characters of a filter; a name has at most 253, and nobody types as many."""
MAX_PAGE: Final = 100_000
ZOOM_HOURS: Final = (0.25, 1.0, 3.0, 6.0, 12.0, 24.0, 72.0, 168.0)
"""Widths of a timeline, in hours."""
USUAL_HOURS: Final = 6.0
"""The width that is shown first: a working day's updates are wide enough to be separate."""


def fleet_query(parameters: Mapping[str, str]) -> FleetQuery:
    """Parse the query of the fleet page."""
    return FleetQuery(
        text=parameters.get("q", "").strip()[:MAX_TEXT],
        namespace=parameters.get("ns", "").strip()[:MAX_TEXT],
        urgency=_urgency(parameters.get("state", "")),
        sort=_sort(parameters.get("sort", "")),
        page=_page(parameters.get("page", "")),
    )


def _page(text: str) -> int:
    # isdecimal() alone is true of digits of other scripts; a number of thousands of digits is slow to parse.
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(MAX_PAGE)):
        return 1
    return min(max(int(text), 1), MAX_PAGE)


def _urgency(text: str) -> Urgency | None:
    with suppress(ValueError):
        return Urgency(text)
    return None


def _sort(text: str) -> SortKey:
    with suppress(ValueError):
        return SortKey(text)
    return SortKey.NAME


def fleet_href(query: FleetQuery) -> str:
    """Return the link to a fleet page, relative to it; only what differs from the default is written."""
    parameters = {
        "q": query.text,
        "ns": query.namespace,
        "state": query.urgency.value if query.urgency is not None else "",
        "sort": query.sort.value if query.sort is not SortKey.NAME else "",
        "page": str(query.page) if query.page > 1 else "",
    }
    return "?" + urlencode({name: value for name, value in parameters.items() if value})


def timeline_query(parameters: Mapping[str, str]) -> TimelineQuery:
    """Parse the query of a timeline; the hours are the nearest width that there is."""
    hours = _number(parameters.get("hours", ""))
    width = None if hours is None else min(ZOOM_HOURS, key=lambda width: abs(width - hours))
    return TimelineQuery(width, _number(parameters.get("until", "")))


def fitting_hours(held_seconds: float) -> float:
    """Return the width that shows what has been held for so long, the usual one at most, a minute at least."""
    if held_seconds < 3600 * ZOOM_HOURS[0]:
        return max(held_seconds, 60.0) / 3600
    return next((hours for hours in ZOOM_HOURS if held_seconds <= 3600 * hours < 3600 * USUAL_HOURS), USUAL_HOURS)


def _number(text: str) -> float | None:
    with suppress(ValueError):
        number = float(text)
        # Beyond the year 9999 a time has no text.
        return number if math.isfinite(number) and 0 < number < 250e9 else None  # noqa: PLR2004
    return None


def timeline_href(hours: float, until: float | None = None) -> str:
    """Return the link to a timeline, relative to its page."""
    moment = {} if until is None else {"until": f"{until:.0f}"}
    return "?" + urlencode({"hours": f"{hours:g}", **moment})
