"""Joins the running parts to the values of the pages; everything is called on the event loop."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from exporter import __version__
from exporter.rollouts.explain.explain import explain
from exporter.rollouts.output.catalogue import selected_families
from exporter.service.pages import rollout as of_rollout
from exporter.service.pages.configuration import configuration_page
from exporter.service.pages.delivery import delivery_brief, delivery_page, notices
from exporter.service.pages.fleet import (
    FleetIndex,
    cards,
    last_page,
    matching_entries,
    page_of,
    rollout_card,
    similar_names,
)
from exporter.service.pages.gates import gate_cards
from exporter.service.pages.targets import sources_without_targets, target_card
from exporter.service.pages.timeline import parsed_transitions, timeline
from exporter.storage.history import HistoryUnreadableError
from exporter.web.model import (
    ConfigurationPage,
    DeliveryPage,
    FleetCounts,
    FleetPage,
    GatesPage,
    PageHead,
    RolloutPage,
    RolloutTransitions,
    TargetsPage,
)
from exporter.web.pages.query import fitting_hours

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.config.load import LoadedConfig
    from exporter.log import NoticeHandler
    from exporter.metrics import MetricsSnapshot
    from exporter.otlp.delivery.accounting import DeliveryAccounting
    from exporter.rollouts.model import Rollout
    from exporter.rollouts.tracker import RolloutTracker, TrackerStatus
    from exporter.service.delivery_trend import DeliveryTrend
    from exporter.service.pages.fleet import Fleet
    from exporter.service.shadow import ShadowGates
    from exporter.storage import Storage
    from exporter.web.model import FleetQuery, TimelineQuery

MAX_TRANSITIONS: Final = 5_000
"""Transitions of one rollout that pages reach, the newest ones: an update has some twenty."""


@dataclass(frozen=True, slots=True)
class RunningParts:
    """What the pages read of a running exporter; `books` is None if nothing is pushed.

    `snapshot` returns the last published one, `warnings` what is wrong with the exporter itself.
    """

    loaded: LoadedConfig
    instance: str
    started: float
    tracker: RolloutTracker
    snapshot: Callable[[], MetricsSnapshot]
    storage: Storage
    trend: DeliveryTrend
    logged: NoticeHandler
    books: DeliveryAccounting | None = None
    gates: ShadowGates | None = None
    warnings: Callable[[], Sequence[str]] = tuple
    now: Callable[[], float] = field(default=time.time)


class PageSources:
    """The values of all pages at the moment of each call."""

    def __init__(self, parts: RunningParts) -> None:
        self._parts = parts
        self._index = FleetIndex()
        self._next_cycle = asyncio.Event()
        self._cycle_count = 0
        series = parts.loaded.settings.series
        rows = selected_families(series.preset, series.is_requested, series.drop.matches, ())
        self._rows = rows if series.derive else ()

    # For the stream of cycles -----------------------------------------------------------------------------------------

    @property
    def next_cycle(self) -> asyncio.Event:
        """An event that is set after the next cycle; take it before the page, so that none is missed."""
        return self._next_cycle

    @property
    def cycle_count(self) -> int:
        """The number of cycles so far."""
        return self._cycle_count

    @property
    def interval(self) -> float:
        """Seconds between two cycles."""
        return self._parts.loaded.settings.tick_seconds

    def on_cycle(self) -> None:
        """Wake whoever waits for a cycle: it has been published, or has failed."""
        self._cycle_count += 1
        self._next_cycle.set()
        self._next_cycle = asyncio.Event()

    # Pages ------------------------------------------------------------------------------------------------------------

    async def head(self) -> PageHead:
        """Return what stands on each page."""
        return self._head(await self.read_fleet(), self._parts.now())

    async def read_fleet(self) -> Fleet:
        """Return all rollouts of the last tick with their groups."""
        return await self._index.read(self._status)

    @property
    def _status(self) -> TrackerStatus:
        return self._parts.tracker.status

    def _head(self, fleet: Fleet, now: float) -> PageHead:
        parts, status = self._parts, self._status
        down = sum(target.result.failure is not None for target in status.targets)
        books = parts.books
        endpoint = str(parts.loaded.settings.otlp.endpoint)
        return PageHead(
            version=__version__,
            instance=parts.instance,
            uptime=now - parts.started,
            now=now,
            observed_at=parts.snapshot().timestamp,
            has_leader=any(target.role == "leader" for target in status.targets),
            counts=FleetCounts(len(fleet.entries), fleet.by_urgency, len(status.targets), down),
            delivery=delivery_brief(books, endpoint, now) if books is not None else None,
            warnings=tuple(parts.warnings()),
            has_gates=parts.gates is not None,
        )

    async def fleet(self, query: FleetQuery) -> FleetPage:
        """Return the fleet page; only the rollouts of the page are explained."""
        fleet, now = await self.read_fleet(), self._parts.now()
        entries = matching_entries(fleet, query)
        query = replace(query, page=min(max(query.page, 1), last_page(entries)))
        page_cards = cards(page_of(entries, query.page), self._status.last_seen, now)
        return FleetPage(self._head(fleet, now), query, page_cards, len(entries), fleet.namespaces)

    async def rollout_page(
        self, namespace: str, name: str, query: TimelineQuery, held: RolloutTransitions
    ) -> RolloutPage:
        """Return the page of a rollout with its transitions; its `card` is None if there is none of that name."""
        key, fleet = (namespace, name), await self.read_fleet()
        now = self._parts.now()
        page = RolloutPage(self._head(fleet, now), namespace, name, timeline_reason=held.reason)
        rollout = next((entry.rollout for entry in fleet.entries if entry.rollout.key == key), None)
        if rollout is None:
            return replace(page, similar=await asyncio.to_thread(similar_names, fleet, f"{namespace}/{name}"))
        return self._filled(page, rollout, held, query)

    def _filled(
        self, page: RolloutPage, rollout: Rollout, held: RolloutTransitions, query: TimelineQuery
    ) -> RolloutPage:
        now = page.head.now
        explanation = explain(rollout, now)
        until = min(query.until or now, now)
        held_since = self._parts.storage.history.held_since
        hours = query.hours or fitting_hours(now - held_since)
        newest = parsed_transitions(held)
        drawn, present = (newest, rollout) if until >= now else (parsed_transitions(held, until), None)
        span = timeline(drawn, present, held_since, until - hours * 3600.0, until)
        return replace(
            page,
            card=rollout_card(rollout, explanation, self._status.last_seen.get(rollout.key, 0.0), now),
            timeline=None if page.timeline_reason else span,
            steps=of_rollout.step_lines(rollout, explanation, newest, now),
            revisions=of_rollout.revision_lines(rollout),
            pods=of_rollout.pod_lines(rollout.pod_roles),
            analyses=of_rollout.analysis_lines(rollout),
            facts=of_rollout.fact_lines(explanation),
            estimates=of_rollout.estimate_lines(rollout),
            unknown=of_rollout.unknown_lines(rollout),
            series=of_rollout.series_lines(rollout, self._rows),
            links=of_rollout.link_lines(rollout, self._parts.loaded.settings.web.links),
            commands=of_rollout.command_lines(rollout.key, rollout),
        )

    async def transitions(self, namespace: str, name: str) -> RolloutTransitions:
        """Return the transitions of a rollout; a disk that hangs is waited for, for `storage.patience` at most."""
        try:
            records = await self._parts.storage.history.read(namespace=namespace, name=name, limit=MAX_TRANSITIONS)
        except HistoryUnreadableError as error:
            return RolloutTransitions(reason=str(error))
        return RolloutTransitions(tuple((record.timestamp, record.body) for record in records))

    async def delivery(self) -> DeliveryPage:
        """Return the page of delivery; without an endpoint only its notices."""
        parts, head = self._parts, await self.head()
        page = DeliveryPage(head)
        if parts.books is not None:
            page = delivery_page(head, parts.loaded.settings, parts.storage, parts.books, parts.trend)
        return replace(page, notices=notices(parts.logged.notices))

    async def targets(self) -> TargetsPage:
        """Return the page of targets."""
        head = await self.head()
        targets = tuple(target_card(target, head.now) for target in self._status.targets)
        return TargetsPage(head, targets, sources_without_targets(self._parts.loaded.settings, self._status))

    async def gates(self) -> GatesPage:
        """Return the page of shadow gates."""
        gates = self._parts.gates
        loaded = gate_cards(gates) if gates is not None else ()
        return GatesPage(await self.head(), self._parts.loaded.settings.read.url, loaded)

    async def configuration(self) -> ConfigurationPage:
        """Return the page of the configuration."""
        return configuration_page(await self.head(), self._parts.loaded)
