"""A provider of pages with fixed values, whose cycles a test ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.web.model import RolloutTransitions
from exporter.web.server import DataSources
from tests.pages import samples

if TYPE_CHECKING:
    from exporter.web.model import (
        ConfigurationPage,
        DeliveryPage,
        FleetPage,
        FleetQuery,
        GatesPage,
        PageHead,
        RolloutPage,
        TargetsPage,
        TimelineQuery,
    )
    from exporter.web.page_routes import PageProvider


class FixedPages:
    """Returns the samples of the rendering tests, or what a test sets instead.

    `reads` are the queries of the fleet page that were answered.
    """

    def __init__(self, head: PageHead = samples.HEAD) -> None:
        self.page_head = head
        self.fleet_page = samples.FLEET
        self.rollout_page_shown = samples.ROLLOUT
        self.next_cycle = asyncio.Event()
        self.cycle_count = 0
        self.interval = 15.0
        self.reads: list[FleetQuery] = []

    def end_cycle(self) -> None:
        """Wake the readers."""
        self.cycle_count += 1
        self.next_cycle.set()
        self.next_cycle = asyncio.Event()

    async def head(self) -> PageHead:
        return self.page_head

    async def fleet(self, query: FleetQuery) -> FleetPage:
        self.reads.append(query)
        return replace(self.fleet_page, head=self.page_head, query=query)

    async def transitions(self, *_: str) -> RolloutTransitions:
        return RolloutTransitions()

    async def rollout_page(self, namespace: str, name: str, *_: TimelineQuery | RolloutTransitions) -> RolloutPage:
        is_known = (namespace, name) == (samples.ROLLOUT.namespace, samples.ROLLOUT.name)
        return self.rollout_page_shown if is_known else samples.MISSING_ROLLOUT

    async def delivery(self) -> DeliveryPage:
        return samples.UNDELIVERED if self.page_head is samples.TROUBLE else samples.DELIVERY

    async def targets(self) -> TargetsPage:
        return samples.TARGETS

    async def gates(self) -> GatesPage:
        return samples.GATES

    async def configuration(self) -> ConfigurationPage:
        return samples.CONFIGURATION


def page_sources(pages: PageProvider) -> DataSources:
    """Return what a server needs to serve pages."""
    return DataSources(tuple, lambda: {"rollouts": []}, tuple, tuple, pages=pages)
