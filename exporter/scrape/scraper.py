"""One scrape of all sources that are due: every address of every target concurrently, each with its own deadline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from exporter.config.sources import InstallationSource
from exporter.config.targets import parse_targets
from exporter.metrics import Failure, Source
from exporter.scrape.client import ScrapeClient, Sink, open_session
from exporter.scrape.response import ScrapeRequest
from exporter.scrape.targets import Resolution, SystemResolver, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

    from exporter.config.settings import Settings
    from exporter.config.sources import ScrapeSource
    from exporter.config.targets import Target
    from exporter.scrape.targets import Address, Resolver

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
MAX_CONCURRENCY: Final = 64
"""Concurrent requests over all sources: enough for all shards and controllers of a large cluster, with few sockets."""
MAX_IDLE_CONNECTIONS: Final = 256
"""With more addresses in a round, connections are closed after each scrape: a thousand would use up the descriptors."""


class ResponseSink(Sink, Protocol[T_co]):
    """Receives one response and makes a result of it: ResponseParser a ScrapeResult, a recording a stored response."""

    def finish(self, failure: Failure | None, seconds: float) -> T_co:
        """Return the result; `failure` is what went wrong in the exchange, None if the response is complete."""


class _SourceScraper:
    """A section of the settings with its targets and its client. Raises ValueError for a target that is no address."""

    def __init__(self, source: Source, settings: ScrapeSource) -> None:
        self.source = source
        self.settings = settings
        self.installation = settings.name if isinstance(settings, InstallationSource) else "default"
        self.targets = parse_targets(settings.targets, settings.path)
        self.client = ScrapeClient(settings, source)
        self._credential = next((path.partition(".")[0] for path in settings.credentials), "")

    def request(self, label: str, timestamp: float) -> ScrapeRequest:
        limit = self.settings.limits.samples
        return ScrapeRequest(self.source, label, timestamp, self.installation, limit, self._credential)


class Scraper(Generic[T]):
    """Scrapes all targets of the settings. `open_sink` creates the receiver of each response.

    Raises ValueError for a target that is not an address.
    """

    def __init__(
        self,
        settings: Settings,
        open_sink: Callable[[ScrapeRequest], ResponseSink[T]],
        resolver: Resolver | None = None,
    ) -> None:
        self._sources = tuple(_SourceScraper(source, section) for source, section in settings.sources())
        self._open_sink = open_sink
        self._resolver = resolver or SystemResolver()
        # By whether connections are kept; opened at the first scrape, since aiohttp needs a running loop.
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._slots = asyncio.Semaphore(MAX_CONCURRENCY)

    async def scrape(self, now: float, is_due: Callable[[Source, ScrapeSource], bool] = lambda *_: True) -> list[T]:
        """Scrape the sources that are due at the tick `now` (Unix seconds); results in the order of the settings.

        Each target has the `timeout` of its source, name resolution and waiting for a slot included.
        """
        scrape_round = _ScrapeRound(now, asyncio.get_running_loop().time())
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._scrape_target(source, target, scrape_round))
                for source in self._sources
                if is_due(source.source, source.settings)
                for target in source.targets
            ]
        return [result for task in tasks for result in task.result()]

    async def aclose(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def _scrape_target(self, source: _SourceScraper, target: Target, scrape_round: _ScrapeRound) -> list[T]:
        resolution = await self._resolve(source, target, scrape_round)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._scrape_address(source, address, scrape_round))
                for address in resolution.addresses
                if scrape_round.claim(source, address)
            ]
        results = [task.result() for task in tasks]
        # Too many addresses are a failure beside the results of those that are scraped.
        if resolution.failure is not None:
            sink = self._open_sink(source.request(target.name, scrape_round.timestamp))
            results.append(sink.finish(resolution.failure, scrape_round.elapsed()))
        return results

    async def _resolve(self, source: _SourceScraper, target: Target, scrape_round: _ScrapeRound) -> Resolution:
        try:
            async with asyncio.timeout_at(scrape_round.deadline(source)):
                return await resolve(target, self._resolver, source.settings.limits.addresses, source.source)
        except TimeoutError:
            message = source.client.timeout_message(f"the name server asked for {target.host}")
            return Resolution(failure=Failure("dns", message))

    async def _scrape_address(self, source: _SourceScraper, address: Address, scrape_round: _ScrapeRound) -> T:
        sink = self._open_sink(source.request(address.label, scrape_round.timestamp))
        session = self._session(keep_alive=scrape_round.address_count <= MAX_IDLE_CONNECTIONS)
        async with self._slots:
            # The wait for a slot is no part of the duration that is exported.
            started_at = scrape_round.elapsed()
            deadline = scrape_round.deadline(source)
            failure = await source.client.fetch(session, address, sink, deadline)
            return sink.finish(failure, scrape_round.elapsed() - started_at)

    def _session(self, *, keep_alive: bool) -> aiohttp.ClientSession:
        if keep_alive not in self._sessions:
            self._sessions[keep_alive] = open_session(keep_alive=keep_alive)
        return self._sessions[keep_alive]


class _ScrapeRound:
    """One scrape: its tick, its start on the loop's clock, and the addresses that were requested in it."""

    def __init__(self, timestamp: float, started_at: float) -> None:
        self.timestamp = timestamp
        self._started_at = started_at
        self._claimed: set[tuple[_SourceScraper, str]] = set()

    @property
    def address_count(self) -> int:
        """How many addresses have been requested in this round."""
        return len(self._claimed)

    def deadline(self, source: _SourceScraper) -> float:
        return self._started_at + source.settings.timeout

    def elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._started_at

    def claim(self, source: _SourceScraper, address: Address) -> bool:
        """Return whether an address is new in this round: two targets may resolve to the same one."""
        key = (source, address.label)
        is_new = key not in self._claimed
        self._claimed.add(key)
        return is_new
