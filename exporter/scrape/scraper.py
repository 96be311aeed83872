"""One tick → what everybody said: every address of every target that is due, all at once, by one deadline each."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from exporter.config.sources import Installation
from exporter.metrics import Failure, Source
from exporter.scrape.client import Fetcher, Sink, open_session
from exporter.scrape.response import Asked
from exporter.scrape.targets import Resolved, SystemLookup, Target, parse_all, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

    from exporter.config.settings import Settings
    from exporter.config.sources import ScrapeSource
    from exporter.scrape.targets import Address, Lookup

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
AT_ONCE: Final = 64


class Reader(Sink, Protocol[T_co]):
    """Takes one answer and makes something of it: PageReader a Page, a recording a page of a frame."""

    def close(self, trouble: Failure | None, seconds: float) -> T_co:
        """Return what came of it; `trouble` is what went wrong on the way."""


def _always(_source: Source, _section: ScrapeSource) -> bool:
    return True


@dataclass(frozen=True, slots=True, eq=False)
class _Section:
    """A section of the configuration, ready to be asked."""

    source: Source
    installation: str
    settings: ScrapeSource
    targets: tuple[Target, ...]
    fetcher: Fetcher

    def asked(self, label: str, at: float) -> Asked:
        return Asked(self.source, label, at, self.installation, self.settings.limits.samples)


class Scraper(Generic[T]):
    """Asks all targets of the settings. `reader` opens what reads an answer; `lookup` finds a name's addresses.

    Raises ValueError for a target that cannot be asked.
    """

    def __init__(self, settings: Settings, reader: Callable[[Asked], Reader[T]], lookup: Lookup | None = None) -> None:
        self._sections = tuple(_section(source, section) for source, section in settings.sources())
        self._reader = reader
        self._lookup = lookup or SystemLookup()
        self._session: aiohttp.ClientSession | None = None
        self._places = asyncio.Semaphore(AT_ONCE)

    async def scrape(self, at: float, due: Callable[[Source, ScrapeSource], bool] = _always) -> list[T]:
        """Ask the sources that are due, in the name of the tick `at` (Unix seconds); in the order of the settings.

        Every target has its source's `timeout` from now on, look-up included, so that is how long this may take.
        """
        tick = _Tick(at, asyncio.get_running_loop().time())
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._target(section, target, tick))
                for section in self._sections
                if due(section.source, section.settings)
                for target in section.targets
            ]
        return [page for task in tasks for page in task.result()]

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _target(self, section: _Section, target: Target, tick: _Tick) -> list[T]:
        resolved = await self._resolve(section, target, tick)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._address(section, address, tick))
                for address in resolved.addresses
                if tick.first(section, address)
            ]
        pages = [task.result() for task in tasks]
        if resolved.trouble is not None:
            reader = self._reader(section.asked(target.name, tick.at))
            pages.append(reader.close(resolved.trouble, tick.since()))
        return pages

    async def _resolve(self, section: _Section, target: Target, tick: _Tick) -> Resolved:
        try:
            async with asyncio.timeout_at(tick.deadline(section)):
                return await resolve(target, self._lookup, section.settings.limits.addresses, section.source)
        except TimeoutError:
            return Resolved(trouble=Failure("dns", section.fetcher.late(f"the name server asked for {target.host}")))

    async def _address(self, section: _Section, address: Address, tick: _Tick) -> T:
        reader = self._reader(section.asked(address.label, tick.at))
        async with self._places:
            began = tick.since()
            trouble = await section.fetcher.fetch(self._open(), address, reader, tick.deadline(section))
            return reader.close(trouble, tick.since() - began)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = open_session()
        return self._session


class _Tick:
    """One round: when it is, and who has been asked in it, since two targets may share an address."""

    def __init__(self, at: float, began: float) -> None:
        self.at = at
        self._began = began
        self._asked: set[tuple[_Section, str]] = set()

    def deadline(self, section: _Section) -> float:
        return self._began + section.settings.timeout

    def since(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    def first(self, section: _Section, address: Address) -> bool:
        one = (section, address.label)
        if one in self._asked:
            return False
        self._asked.add(one)
        return True


def _section(source: Source, settings: ScrapeSource) -> _Section:
    targets = parse_all(settings.targets, settings.path)
    installation = settings.name if isinstance(settings, Installation) else "default"
    return _Section(source, installation, settings, targets, Fetcher(settings, source))
