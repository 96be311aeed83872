"""Pushes a heartbeat and reads it back: stores answer 200 to what they drop, so only reading back tells."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from exporter.commands.verify import stores
from exporter.commands.verify.matching import SentFamily, added_labels, match_families, cache_buster, selector, map_attributes
from exporter.commands.verify.report import VerifyReport
from exporter.net.prometheus_api import Reader
from exporter.net.prometheus_response import NAME, Vector
from exporter.metrics import Failure, MetricsSnapshot, MetricType, Series, family_from_samples
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.encode.protobuf import packed
from exporter.otlp.result import classify
from exporter.otlp.transport.response import Accepted, Retryable
from exporter.rollouts.output import catalogue, durations, targets
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.parser import ExpositionError, Parser
from exporter.service.delivery import transport
from exporter.service.wiring import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exporter.commands.verify.matching import StoredFamily, AttributeMapping
    from exporter.config.settings import Settings
    from exporter.net.prometheus_api import ReadEndpoint
    from exporter.net.prometheus_response import Sample
    from exporter.metrics import Labels

HEARTBEAT_NAME: Final = "rollouts_exporter_heartbeat"
HEARTBEAT_FAMILIES: Final = (
    SentFamily(HEARTBEAT_NAME, MetricType.GAUGE, 1),
    SentFamily(f"{HEARTBEAT_NAME}s_total", MetricType.COUNTER, 1),
    SentFamily(f"{HEARTBEAT_NAME}_runs", MetricType.COUNTER, 1),
    SentFamily(f"{HEARTBEAT_NAME}_seconds", MetricType.HISTOGRAM, 4),
)
"""What a heartbeat is made of, one family a kind; the second counter lacks `_total` as some of the controller's do."""

DERIVED: Final = frozenset({row.name for row in catalogue.ROWS} | {durations.NAME} | set(targets.ROWS))
HELP: Final = "When rollouts-exporter verify last ran (Unix seconds)."
PATIENCE: Final = 10.0
"""Seconds for a push that may yet succeed, and for the page of a running exporter."""
PASSING: Final = {"timeout", "unreachable", "busy"}
"""Troubles of a store that may be over at the next question."""
SHORTEST, LONGEST = 0.2, 2.0
A_DAY: Final = 86_400.0
BLOCK: Final = 64 * 1024


class VerifyError(Exception):
    """Why nothing can be verified; the message names the cure."""


class NotConfiguredError(VerifyError):
    """The settings, or the arguments, do not say where to push, or where to read."""


class PushError(VerifyError):
    """The heartbeat was not taken."""


class ReadBackError(VerifyError):
    """The store does not answer what it is asked."""


def heartbeat(at: float) -> MetricsSnapshot:
    """Return a heartbeat: every value in it is the time at which it was sent, so that it can be told from others."""
    families = (
        family_from_samples(one.name, one.type, HELP, ((series, at) for series in _series(one))) for one in HEARTBEAT_FAMILIES
    )
    return MetricsSnapshot(at, tuple(families))


def _series(one: SentFamily) -> tuple[Series, ...]:
    if one.type is not MetricType.HISTOGRAM:
        return (Series(one.name, ()),)
    buckets = (Series(f"{one.name}_bucket", (("le", bound),)) for bound in ("1", "+Inf"))
    return (*buckets, Series(f"{one.name}_sum", ()), Series(f"{one.name}_count", ()))


async def verify(
    settings: Settings, seconds: float, address: str | None = None, say: Callable[[str], None] = lambda _: None
) -> VerifyReport:
    """Push a heartbeat and wait so many seconds at most until it can be read; `say` is told what is being done.

    `address` is that of a running exporter, whose series are looked for as well. Raises VerifyError.
    """
    endpoint = _endpoint(settings)
    exposed = await _exposed(address, settings) if address else ()
    at, begun = float(int(time.time())), time.monotonic()
    remark = await _push(settings, heartbeat(at), begun + min(seconds, PATIENCE))
    say(f"pushed to {settings.otlp.endpoint}; waiting until it can be read at {settings.read.url}")
    async with Reader(endpoint) as reader:
        look = StorePoller(reader, begun + seconds)
        samples, beat = await look.poll(lambda number: f"{_any(number)} == {at:.0f}", HEARTBEAT_FAMILIES, _each)
        waited = time.monotonic() - begun
        ours = _ours(settings, samples)
        spelt = map_attributes(settings.identity(), ours)
        earlier = not samples and await look.has_series(_any(0), at - A_DAY)
        families = await _families(look, exposed, spelt) if samples else ()
    return VerifyReport(at, waited, remark, beat, spelt, added_labels(spelt, ours), families, earlier)


def _endpoint(settings: Settings) -> ReadEndpoint:
    if settings.otlp.endpoint is None:
        raise NotConfiguredError("otlp.endpoint is not set: name where to push to")
    if not settings.read.url:
        raise NotConfiguredError(
            "read.address is not set: name where to read back, or set read.last9.cluster and .organization"
        )
    try:
        return stores.endpoint(settings.read)
    except (OSError, ValueError) as error:
        raise NotConfiguredError(f"read: a file cannot be used: {error}") from None


async def _push(settings: Settings, cycle: MetricsSnapshot, deadline: float) -> str:
    """Push once, and again while it may help; return what the other side remarks."""
    (request,) = Encoder(identity(settings)).requests(cycle)
    body = packed(request.body) if settings.otlp.compression == "gzip" else request.body
    async with transport(settings) as over:
        while True:
            verdict = classify(await over.post(body), request.points, time.time())
            if isinstance(verdict, Accepted) and verdict.accepted:
                rejected = f"rejected {verdict.rejected} of {request.points} points" if verdict.rejected else ""
                return ": ".join(filter(None, (rejected, verdict.message)))
            if not isinstance(verdict, Retryable) or time.monotonic() >= deadline:
                why = verdict.message or "it rejects every point" if isinstance(verdict, Accepted) else verdict.message
                raise PushError(f"{settings.otlp.endpoint} does not take it: {why}")
            await asyncio.sleep(1.0)


class StorePoller:
    """Asks a store again and again, until a time of the monotonic clock."""

    def __init__(self, reader: Reader, deadline: float) -> None:
        self._reader = reader
        self._deadline = deadline
        self._asked = 0

    async def poll(
        self,
        question: Callable[[int], str],
        sent: Sequence[SentFamily],
        count: Callable[[Sequence[Sample]], Mapping[str, int]],
    ) -> tuple[Sequence[Sample], tuple[StoredFamily, ...]]:
        """Ask until all that was sent is there, or it is time; return what is there. Raises ReadError.

        `question` makes the query from the number of the asking.
        """
        pause = SHORTEST
        while True:
            self._asked += 1
            answer = await self._reader.query(question(self._asked))
            late = time.monotonic() >= self._deadline
            if isinstance(answer, Failure):
                if late or answer.reason not in PASSING:
                    raise ReadBackError(answer.message)
            else:
                samples = answer.value.samples if isinstance(answer.value, Vector) else ()
                arrived = match_families(sent, count(samples))
                if late or all(one.complete for one in arrived):
                    return samples, arrived
            await asyncio.sleep(pause)
            pause = min(1.2 * pause, LONGEST)

    async def has_series(self, match: str, since: float) -> bool:
        """Tell whether the store has any series that a selector matches, since a time (Unix seconds)."""
        found = await self._reader.series(match, start=since, end=time.time())
        return not isinstance(found, Failure) and bool(found)


def _any(number: int) -> str:
    return f'{{{NAME}=~".*{HEARTBEAT_NAME}.*",{cache_buster(number)}}}'


def _each(samples: Sequence[Sample]) -> Mapping[str, int]:
    return Counter(one.label(NAME) for one in samples)


def _counted(samples: Sequence[Sample]) -> Mapping[str, int]:
    return {one.label(NAME): int(one.value) for one in samples}


def _ours(settings: Settings, samples: Sequence[Sample]) -> Sequence[Labels]:
    """Return the labels of those with all our identity, should another cluster have sent one in the same second."""
    values = set(settings.identity().values())
    ours = [one.labels for one in samples if values <= {value for _, value in one.labels}]
    return ours or [one.labels for one in samples]


async def _families(look: StorePoller, exposed: Sequence[SentFamily], spelt: Sequence[AttributeMapping]) -> tuple[StoredFamily, ...]:
    if not exposed:
        return ()
    names = [one.name for one in exposed]
    _, arrived = await look.poll(
        lambda number: f"count by ({NAME}) ({selector(names, spelt, number)})", exposed, _counted
    )
    return arrived


async def _exposed(address: str, settings: Settings) -> tuple[SentFamily, ...]:
    """Return the families that a running exporter pushes: the derived ones, and those that pass through."""
    url = f"{address.rstrip('/')}/metrics"
    passes = settings.series.pass_through.matches
    parser = Parser(ScrapeCache(), lambda name: name in DERIVED or passes(name))
    try:
        async with ClientSession(timeout=ClientTimeout(total=PATIENCE)) as session, session.get(url) as response:
            response.raise_for_status()
            async for block in response.content.iter_chunked(BLOCK):
                parser.feed(block)
        families = parser.finish().families.values()
    except (ClientError, TimeoutError, OSError, ExpositionError, ValueError) as error:
        raise NotConfiguredError(f"{url} shows no metrics ({error}); check --address") from None
    return tuple(SentFamily(one.name, one.type, len(one)) for one in families if len(one))
