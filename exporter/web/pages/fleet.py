"""The page of all rollouts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from math import ceil
from typing import TYPE_CHECKING

from exporter.web.model import PAGE_ROWS, Urgency
from exporter.web.pages.headline import fleet_headline, is_undelivered
from exporter.web.pages.query import fleet_href
from exporter.web.pages.rendering import FLEET, render_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.web.model import FleetPage, RolloutCard


@dataclass(frozen=True, slots=True)
class FleetTile:
    """A number of the fleet and the link to its rollouts."""

    urgency: Urgency
    count: int
    href: str


def render(page: FleetPage) -> str:
    """Return the page as HTML."""
    counts = page.head.counts.by_urgency
    page_count = max(ceil(page.matching / PAGE_ROWS), 1)
    worst = next((urgency for urgency in (Urgency.PERSON, Urgency.FAILED) if counts.get(urgency)), Urgency.REST)
    if not (page.head.counts.rollouts and page.head.has_leader):
        worst = Urgency.UNKNOWN
    return render_page(
        "fleet.html",
        page.head,
        here=FLEET,
        page=page,
        headline=fleet_headline(page.head),
        shape=worst.value,
        undelivered=is_undelivered(page.head.delivery),
        tiles=tuple(_tiles(page, counts)),
        is_filtered=_is_filtered(page),
        groups=[(urgency, list(cards)) for urgency, cards in groupby(page.cards, key=_urgency)],
        empty_text=_empty_text(page),
        page_count=page_count,
        previous_href=fleet_href(replace(page.query, page=page.query.page - 1)),
        next_href=fleet_href(replace(page.query, page=page.query.page + 1)),
    )


def _urgency(card: RolloutCard) -> Urgency:
    return card.urgency


def _tiles(page: FleetPage, counts: Mapping[Urgency, int]) -> Iterator[FleetTile]:
    for urgency in Urgency:
        # A second click shows all again.
        chosen = None if page.query.urgency is urgency else urgency
        yield FleetTile(urgency, counts.get(urgency, 0), fleet_href(replace(page.query, urgency=chosen, page=1)))


def _is_filtered(page: FleetPage) -> bool:
    query = page.query
    return bool(query.text or query.namespace or query.urgency is not None)


def _empty_text(page: FleetPage) -> str:
    if page.head.counts.rollouts:
        return "No rollout passes this filter."
    if not page.head.observed_at:
        return "The first scrape is under way."
    return "No controller shows a rollout. Targets has what each answered."
