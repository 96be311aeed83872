"""A look at every target with the client of the exporter: what each address responds, and again where time matters."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter import log
from exporter.commands.doctor import sightings
from exporter.commands.doctor.model import ExaminedPage
from exporter.metrics import Source
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.response import ResponseParser, ScrapeRequest
from exporter.scrape.scraper import Scraper
from exporter.scrape.targets import Resolver, SystemResolver
from exporter.service.wiring import family_selection

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from exporter.config.settings import Settings
    from exporter.metrics import Failure

BODY_BYTES: Final = 256 * 1024
"""Bytes of a page that go into an archive: enough for HELP lines and examples of all families of a controller."""
SETTLE_SECONDS: Final = 5.0
"""Until the second look: a kube-state-metrics that has started fills its page within this, and a new rollout is shown
by every source."""
REPEATS: Final = 5
"""Further connections to an address that may stand for several pods: two pods stay hidden in one of 32 cases."""
_ERROR_BYTES: Final = 16 * 1024
"""Bytes of a page that is refused for its type: enough to recognise whose it is."""
_MAX_FAMILIES: Final = 5000
_ALL: Final = tuple(Source)


@dataclass(frozen=True, slots=True)
class ExaminedTargets:
    """The pages of all targets, as in Examination."""

    pages: tuple[ExaminedPage, ...] = ()
    later_pages: tuple[ExaminedPage, ...] = ()
    repeated: Mapping[str, tuple[ExaminedPage, ...]] = field(default_factory=dict)
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class ExaminingSink:
    """Parses a response as the exporter does, and notes what else is to be seen of it."""

    def __init__(self, request: ScrapeRequest, is_selected: Callable[[str], bool]) -> None:
        self._page_families: set[str] = set()
        self._is_selected = is_selected
        self._parser = ResponseParser(request, ScrapeCache(), self._select, log.REDACTOR.redact)
        self._status: int | None = None
        self._headers: dict[str, str] = {}
        self._received_at = 0.0
        self._body = bytearray()

    def _select(self, name: str) -> bool:
        if len(self._page_families) < _MAX_FAMILIES:
            self._page_families.add(name)
        return self._is_selected(name)

    @property
    def aborted(self) -> bool:
        """Whether the rest of the body is not needed; a refused page is read far enough to recognise it."""
        return self._parser.aborted and len(self._body) >= _ERROR_BYTES

    def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Note the head of the response."""
        self._received_at = time.time()
        self._status = status
        self._headers = {name.lower(): value for name, value in headers.items()}
        self._parser.start(status, headers)

    def feed(self, block: bytes) -> None:
        """Parse a block of the body, and note it if it is one of the first."""
        self._body += block[: BODY_BYTES - len(self._body)]
        if not self._parser.aborted:
            self._parser.feed(block)

    def finish(self, failure: Failure | None, seconds: float) -> ExaminedPage:
        """Return the response."""
        result = self._parser.finish(failure, seconds)
        body = log.REDACTOR.redact_bytes(bytes(self._body))
        families = frozenset(self._page_families)
        return ExaminedPage(result, self._status, self._headers, self._received_at, body, families)


class RecordingResolver:
    """Resolves names, and notes what they resolve to."""

    def __init__(self, resolver: Resolver | None) -> None:
        self._resolver = resolver or SystemResolver()
        self.addresses: dict[str, tuple[str, ...]] = {}

    async def __call__(self, host: str) -> Sequence[str]:
        """Return the addresses of a name. Raises OSError."""
        addresses = await self._resolver(host)
        self.addresses[host] = tuple(sorted(set(addresses)))
        return addresses


async def examine_targets(
    settings: Settings, resolver: Resolver | None = None, settle: float = SETTLE_SECONDS
) -> ExaminedTargets:
    """Look at all targets; again after `settle` seconds if the first look raises a question that time answers."""
    if not settings.sources():
        return ExaminedTargets()
    recording = RecordingResolver(resolver)
    pages, repeats = await asyncio.gather(_look(settings, recording), _look_again(settings, recording))
    later_pages: tuple[ExaminedPage, ...] = ()
    if sightings.needs_time(settings, pages):
        await asyncio.sleep(settle)
        later_pages = await _look(settings, recording)
    return ExaminedTargets(pages, later_pages, _by_address(repeats), recording.addresses)


async def _look(settings: Settings, resolver: Resolver) -> tuple[ExaminedPage, ...]:
    is_selected = family_selection(settings)
    return await _scrape(settings, resolver, lambda name: name in sightings.FAMILIES or is_selected(name))


async def _look_again(settings: Settings, resolver: Resolver) -> list[tuple[ExaminedPage, ...]]:
    """Look at the controllers over connections of their own: a Service picks a pod for each connection."""
    is_selected = sightings.PROCESS_FAMILIES.__contains__
    return await asyncio.gather(*(_scrape(settings, resolver, is_selected, {Source.ARGO}) for _ in range(REPEATS)))


async def _scrape(
    settings: Settings,
    resolver: Resolver,
    is_selected: Callable[[str], bool],
    sources: Container[Source] = _ALL,
) -> tuple[ExaminedPage, ...]:
    scraper = Scraper(settings, lambda request: ExaminingSink(request, is_selected), resolver)
    try:
        return tuple(await scraper.scrape(time.time(), lambda source, _: source in sources))
    finally:
        await scraper.aclose()


def _by_address(looks: Sequence[tuple[ExaminedPage, ...]]) -> Mapping[str, tuple[ExaminedPage, ...]]:
    by_address: dict[str, list[ExaminedPage]] = {}
    for page in (page for look in looks for page in look):
        by_address.setdefault(page.result.target, []).append(page)
    return {address: tuple(pages) for address, pages in by_address.items()}
