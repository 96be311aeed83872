"""Push a heartbeat and read it back.

A store may return status 200 and drop points all the same, so only reading them back proves that they were stored.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from exporter.commands.api_client import ExporterUnreachableError, fetch_blocks
from exporter.commands.progress import progress
from exporter.commands.series import DERIVED_FAMILY_NAMES
from exporter.commands.verify import matching
from exporter.commands.verify.matching import SentFamily
from exporter.commands.verify.report import VerifyReport
from exporter.metrics import Failure, MetricsSnapshot, MetricType, Series, family_from_samples
from exporter.net.prometheus_api import PrometheusClient
from exporter.net.prometheus_response import METRIC_NAME, Vector
from exporter.otlp.delivery.producer import queued_request
from exporter.otlp.encode.encoder import Encoder
from exporter.otlp.result import Accepted, Retryable
from exporter.otlp.transport.configured import transport
from exporter.otlp.transport.response import classify
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.parser import ExpositionError, ExpositionParser
from exporter.service.wiring import identity, read_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.commands.api_client import ExporterAddress
    from exporter.commands.progress import Progress
    from exporter.config.settings import Settings
    from exporter.metrics import Labels
    from exporter.net.prometheus_api import PrometheusEndpoint
    from exporter.net.prometheus_response import QuerySample

HEARTBEAT_NAME: Final = "rollouts_exporter_heartbeat"
HEARTBEAT_FAMILIES: Final = (
    SentFamily(HEARTBEAT_NAME, MetricType.GAUGE, 1),
    SentFamily(f"{HEARTBEAT_NAME}s_total", MetricType.COUNTER, 1),
    SentFamily(f"{HEARTBEAT_NAME}_runs", MetricType.COUNTER, 1),
    SentFamily(f"{HEARTBEAT_NAME}_seconds", MetricType.HISTOGRAM, 4),
)
"""One family of each type; the second counter has no `_total`, as some of the controller's counters have none."""

HELP: Final = "When rollouts-exporter verify last ran (Unix seconds)."
PUSH_TIMEOUT: Final = 10.0
"""Seconds during which a failed push is retried."""
TRANSIENT_REASONS: Final = {"timeout", "unreachable", "busy"}
"""Failures of a query that may be over at the next one."""
MIN_POLL_INTERVAL, MAX_POLL_INTERVAL = 0.2, 2.0
"""Seconds between queries: short at first, since they are the resolution of the measured latency, then longer."""
PUSH_RETRY_INTERVAL: Final = 1.0
SECONDS_PER_DAY: Final = 86_400.0


class VerifyError(Exception):
    """Delivery cannot be verified; the message has a hint."""


class NotConfiguredError(VerifyError):
    """The settings or options have no endpoint to push to or to read from."""


class PushError(VerifyError):
    """The endpoint did not accept the heartbeat."""


class ReadBackError(VerifyError):
    """The store cannot be queried."""


def heartbeat(now: float) -> MetricsSnapshot:
    """Return a heartbeat; every value is `now`, the time of sending, which distinguishes it from other heartbeats."""
    families = (
        family_from_samples(family.name, family.type, HELP, ((series, now) for series in _series(family)))
        for family in HEARTBEAT_FAMILIES
    )
    return MetricsSnapshot(now, tuple(families))


def _series(family: SentFamily) -> tuple[Series, ...]:
    if family.type is not MetricType.HISTOGRAM:
        return (Series(family.name, ()),)
    buckets = (Series(f"{family.name}_bucket", (("le", bound),)) for bound in ("1", "+Inf"))
    return (*buckets, Series(f"{family.name}_sum", ()), Series(f"{family.name}_count", ()))


async def verify(
    settings: Settings,
    max_wait: float,
    address: ExporterAddress | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> VerifyReport:
    """Push a heartbeat and poll the store until all of it can be read, for at most `max_wait` seconds.

    `on_progress` is called with a line for people. `address` is a running exporter whose series are checked as well.
    Raises VerifyError.
    """
    endpoint = _endpoint(settings)
    exported = await _exported_families(address, settings) if address is not None else ()
    # Whole seconds, so that the value is the same text in the query, whatever precision the store keeps.
    sent_at, started_at = float(int(time.time())), time.monotonic()
    message = await _push(settings, heartbeat(sent_at), started_at + min(max_wait, PUSH_TIMEOUT))
    on_progress(f"pushed to {settings.otlp.endpoint}; waiting until it can be read at {settings.read.url}")
    async with PrometheusClient(endpoint) as client:
        poller = StorePoller(client, started_at + max_wait)
        samples, stored = await poller.poll(
            lambda number: f"{_heartbeat_selector(number)} == {sent_at:.0f}", HEARTBEAT_FAMILIES, lambda _: 1
        )
        latency = time.monotonic() - started_at
        labels = _labels_of_this_cluster(settings, samples)
        attributes = matching.map_attributes(settings.identity(), labels)
        # Distinguishes a slow store from one that belongs to another account.
        has_earlier = not samples and await poller.has_series(_heartbeat_selector(0), sent_at - SECONDS_PER_DAY)
        families = await _stored_families(poller, exported, attributes) if samples else ()
    added = matching.added_labels(attributes, labels)
    interval = max((source.interval for source in settings.argo), default=DEFAULT_INTERVAL)
    return VerifyReport(sent_at, latency, message, stored, attributes, added, families, has_earlier, interval)


DEFAULT_INTERVAL: Final = 15.0
"""Seconds between two samples if no controller is scraped: the default of the setting."""


def _endpoint(settings: Settings) -> PrometheusEndpoint:
    if settings.otlp.endpoint is None:
        raise NotConfiguredError("otlp.endpoint is not set; set it to the endpoint to push to")
    if not settings.read.url:
        raise NotConfiguredError(
            "read.address is not set; set it to the store to read from, or set read.last9.cluster and .organization"
        )
    try:
        return read_endpoint(settings.read)
    except (OSError, ValueError) as error:
        raise NotConfiguredError(f"read: a file cannot be used: {error}") from None


async def _push(settings: Settings, snapshot: MetricsSnapshot, deadline: float) -> str:
    """Push, and retry while the result is retryable; return the message of the endpoint. Raises PushError."""
    (encoded,) = Encoder(identity(settings)).requests(snapshot)  # a heartbeat fits into one
    request = queued_request(encoded, snapshot.timestamp, gzip=settings.otlp.compression == "gzip")
    async with transport(settings) as sender:
        while True:
            result = classify(await sender.post(request.body), request.points, time.time())
            if isinstance(result, Accepted) and result.accepted:
                rejected = f"rejected {result.rejected} of {request.points} points" if result.rejected else ""
                return ": ".join(filter(None, (rejected, result.message)))
            if not isinstance(result, Retryable) or time.monotonic() >= deadline:
                reason = result.message or ("it rejects every point" if isinstance(result, Accepted) else "")
                raise PushError(f"{settings.otlp.endpoint} does not accept the heartbeat: {reason}")
            await asyncio.sleep(PUSH_RETRY_INTERVAL)


class StorePoller:
    """Queries a store repeatedly, until `deadline` (monotonic clock)."""

    def __init__(self, client: PrometheusClient, deadline: float) -> None:
        self._client = client
        self._deadline = deadline
        self._query_number = 0

    async def poll(
        self, build_query: Callable[[int], str], sent: Sequence[SentFamily], series_count: Callable[[QuerySample], int]
    ) -> tuple[Sequence[QuerySample], tuple[matching.StoredFamily, ...]]:
        """Query until every family is complete or the deadline has passed; return the last result.

        `build_query` makes the query from its number, `series_count` returns how many series a sample of the result
        counts. Raises ReadBackError.
        """
        with progress("reading back", "families", len(sent)) as reading:
            return await self._poll(build_query, sent, series_count, reading)

    async def _poll(
        self, build_query: Callable[[int], str], sent: Sequence[SentFamily], series_count: Callable[[QuerySample], int],
        reading: Progress,
    ) -> tuple[Sequence[QuerySample], tuple[matching.StoredFamily, ...]]:  # fmt: skip # as the signature above
        pause = MIN_POLL_INTERVAL
        while True:
            self._query_number += 1
            result = await self._client.query(build_query(self._query_number))
            is_last = time.monotonic() >= self._deadline
            if isinstance(result, Failure):
                if is_last or result.reason not in TRANSIENT_REASONS:
                    raise ReadBackError(result.message)
            else:
                samples = result.value.samples if isinstance(result.value, Vector) else ()
                counts: Counter[str] = Counter()
                for sample in samples:
                    counts[sample.label(METRIC_NAME)] += series_count(sample)
                stored = matching.match_families(sent, counts)
                reading.done = sum(family.complete for family in stored)
                if is_last or all(family.complete for family in stored):
                    return samples, stored
            await asyncio.sleep(pause)
            pause = min(1.2 * pause, MAX_POLL_INTERVAL)

    async def has_series(self, match: str, since: float) -> bool:
        """Return whether the store has any series that a selector matches, since a time (Unix seconds)."""
        series = await self._client.series(match, start=since, end=time.time())
        return not isinstance(series, Failure) and bool(series)


def _heartbeat_selector(number: int) -> str:
    return f'{{{METRIC_NAME}=~".*{HEARTBEAT_NAME}.*",{matching.cache_buster(number)}}}'


def _labels_of_this_cluster(settings: Settings, samples: Sequence[QuerySample]) -> Sequence[Labels]:
    """Return the labels of the samples with our complete identity, in case another cluster sent at the same second."""
    values = set(settings.identity().values())
    matching = [sample.labels for sample in samples if values <= {value for _, value in sample.labels}]
    return matching or [sample.labels for sample in samples]


async def _stored_families(
    poller: StorePoller, exported: Sequence[SentFamily], attributes: Sequence[matching.AttributeMapping]
) -> tuple[matching.StoredFamily, ...]:
    if not exported:
        return ()
    names = [family.name for family in exported]

    def build_query(number: int) -> str:
        return f"count by ({METRIC_NAME}) ({matching.selector(names, attributes, number)})"

    _, stored = await poller.poll(build_query, exported, lambda sample: int(sample.value))
    return stored


async def _exported_families(address: ExporterAddress, settings: Settings) -> tuple[SentFamily, ...]:
    """Return the families that a running exporter pushes: the derived ones, and those that pass through."""
    passes_through = settings.series.passes_through
    parser = ExpositionParser(ScrapeCache(), lambda name: name in DERIVED_FAMILY_NAMES or passes_through(name))
    try:
        async for block in fetch_blocks(address, "/metrics"):
            parser.feed(block)
        families = parser.finish().families.values()
    except ExporterUnreachableError as error:
        raise NotConfiguredError(str(error)) from None
    except ExpositionError as error:
        raise NotConfiguredError(f"{address.shown_url}/metrics has no metrics ({error}); check --address") from None
    return tuple(SentFamily(family.name, family.type, len(family)) for family in families if len(family))
