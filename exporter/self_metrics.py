"""The exporter's own metrics: one table, on a registry of its own, given out as families.

What is counted where it happens is told with `add`, `set` and `observe`. What somebody else keeps (the books of
delivery, above all) is watched: read in one go whenever families are asked for, so that the books balance in every
answer (E43).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from exporter import __version__
from exporter.metrics import Labels, MetricFamily, MetricType, Series

PREFIX: Final = "rollouts_exporter_"
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One own metric; `watched` means that a watch tells its value, not `add`, `set` or `observe`."""

    name: str
    kind: MetricType
    help: str
    labels: tuple[str, ...] = ()
    watched: bool = False


def _counter(name: str, text: str, *labels: str, watched: bool = False) -> Row:
    return Row(f"{PREFIX}{name}", MetricType.COUNTER, text, labels, watched)


def _gauge(name: str, text: str, *labels: str, watched: bool = False) -> Row:
    return Row(f"{PREFIX}{name}", MetricType.GAUGE, text, labels, watched)


def _histogram(name: str, text: str, *labels: str) -> Row:
    return Row(f"{PREFIX}{name}", MetricType.HISTOGRAM, text, labels)


class OwnMetric(Enum):
    """The table of own metrics: add a row here to have another."""

    BUILD = _gauge("build_info", "1, with the version that runs.", "version")
    CYCLES = _counter("cycles_total", "Cycles ended.")
    CYCLE_SECONDS = _gauge("cycle_seconds", "How long the last cycle took.")
    CYCLES_SKIPPED = _counter("cycles_skipped_total", "Ticks let go by because the cycle before was still under way.")
    SCRAPES = _counter("scrapes_total", "Scrapes, by source and result: ok or why it failed.", "source", "result")
    MALFORMED = _counter("malformed_lines_total", "Lines that were no exposition text.", "source", "reason")
    SAMPLES_DROPPED = _counter("samples_dropped_total", "Samples read but not used.", "reason")
    UNKNOWN_PHASES = _counter("unknown_phases_total", "Times that a rollout was in a phase never heard of.")
    SERIES = _gauge("series", "Series said in the last cycle.")
    SERIES_OVERFLOW = _counter("series_overflow_total", "Series left out because series.limit was reached.")
    POINTS_MADE = _counter("points_made_total", "Data points made for delivery.", watched=True)
    POINTS_DELIVERED = _counter("points_delivered_total", "Data points the endpoint took.", watched=True)
    POINTS_REJECTED = _counter("points_rejected_total", "Data points the endpoint turned down.", watched=True)
    POINTS_DROPPED = _counter("points_dropped_total", "Data points given up, by reason.", "reason", watched=True)
    POINTS_QUEUED = _gauge("points_queued", "Data points waiting for delivery.", watched=True)
    QUEUE_BYTES = _gauge("queue_bytes", "Size of the queue of delivery.", watched=True)
    QUEUE_LIMIT = _gauge("queue_limit_bytes", "Size at which the queue of delivery gives up its oldest.", watched=True)
    QUEUE_AGE = _gauge("queue_oldest_age_seconds", "Age of the oldest request in the queue.", watched=True)
    SPOOL_ON_DISK = _gauge(
        "spool_on_disk", "1 while all that waits is in otlp.queue.directory, 0 while memory stands in.", watched=True
    )
    REQUESTS = _counter("requests_total", "Requests to the endpoint, by status or why none came.", "code", watched=True)
    REQUESTS_RETRIED = _counter("requests_retried_total", "Requests that had to be sent again.", watched=True)
    WARNINGS = _counter("delivery_warnings_total", "Requests the endpoint took with a warning.", watched=True)
    REQUEST_SECONDS = _histogram("request_seconds", "How long requests to the endpoint took.")
    LAST_DELIVERY = _gauge("last_delivery_timestamp_seconds", "When the endpoint last took a request.", watched=True)
    DELIVERY_LAG = _gauge("delivery_lag_seconds", "From scrape to acknowledgement, of the last request.", watched=True)
    DELIVERY_STATE = _gauge("delivery_state", "1 for the state that delivery is in, else 0.", "state", watched=True)
    LONGEST_HOLD = _gauge("event_loop_longest_hold_seconds", "Longest time the event loop was held in the last cycle.")
    CONFIG_WARNINGS = _gauge("config_warnings", "Warnings about the configuration; the command check lists them.")
    MEMORY_WRITES = _counter("memory_writes_total", "Writes of the memory to its directory, by result.", "result")


TABLE: Final = tuple(own.value for own in OwnMetric)

# A number for a row without labels, else a number for each value of its one label; what is left out is not said.
Reading = Mapping[OwnMetric, float | Mapping[str, float]]


class SelfMetrics:
    """The own metrics of one process; `instance` is a label of each series (two writers never share one).

    `started` is when the process began to count (Unix seconds), the start of every counter and histogram.
    """

    def __init__(self, instance: str, started: float, version: str = __version__) -> None:
        self._instance = instance
        self._started = started
        self._own = CollectorRegistry()
        self._process = CollectorRegistry()
        self._watches = _Watches()
        self._series: dict[tuple[str, Labels], Series] = {}
        self._begun: dict[str, float] = {}
        self._counters = {own: self._counter(own.value) for own in _counted(MetricType.COUNTER)}
        self._gauges = {own: self._gauge(own.value) for own in _counted(MetricType.GAUGE)}
        self._histograms = {own: self._histogram(own.value) for own in _counted(MetricType.HISTOGRAM)}
        self._own.register(self._watches)
        ProcessCollector(registry=self._process)
        self.set(OwnMetric.BUILD, 1, version)

    def _counter(self, row: Row) -> Counter:
        return Counter(row.name, row.help, row.labels, registry=self._own)

    def _gauge(self, row: Row) -> Gauge:
        return Gauge(row.name, row.help, row.labels, registry=self._own)

    def _histogram(self, row: Row) -> Histogram:
        return Histogram(row.name, row.help, row.labels, registry=self._own, buckets=SECONDS)

    def add(self, own: OwnMetric, *labels: str, amount: float = 1) -> None:
        """Count up; `labels` are values in the row's order."""
        counter = self._counters[own]
        (counter.labels(*labels) if labels else counter).inc(amount)

    def set(self, own: OwnMetric, value: float, *labels: str) -> None:
        """Set a gauge; `labels` are values in the row's order."""
        gauge = self._gauges[own]
        (gauge.labels(*labels) if labels else gauge).set(value)

    def observe(self, own: OwnMetric, value: float, *labels: str) -> None:
        """Put a value into a histogram; `labels` are values in the row's order."""
        histogram = self._histograms[own]
        (histogram.labels(*labels) if labels else histogram).observe(value)

    def watch(self, read: Callable[[], Reading]) -> None:
        """Have `read` tell its rows from now on, once for each time that families are asked for.

        Raises ValueError when it tells a row that is counted here.
        """
        if strange := [own.value.name for own in read() if not own.value.watched]:
            raise ValueError(f"not watched, use add, set or observe: {', '.join(strange)}")
        self._watches.reads.append(read)

    def begun(self, since: float, *counters: OwnMetric) -> None:
        """Say that these began to count at another time (Unix seconds): an earlier process's books go on in them."""
        self._begun |= {own.value.name: since for own in counters}

    def families(self, *, process: bool = False) -> tuple[MetricFamily, ...]:
        """Return what is counted and watched, and this process's CPU, memory and files with `process` (E43)."""
        metrics = [*self._own.collect(), *(self._process.collect() if process else ())]
        return tuple(self._family(metric) for metric in metrics if metric.samples)

    def _family(self, metric: Metric) -> MetricFamily:
        """Turn the library's metric into columns; it has no `_total` in a counter's name, and adds `_created`."""
        kind = MetricType(metric.type)
        series: list[Series] = []
        values = array("d")
        for sample in metric.samples:
            if not sample.name.endswith("_created"):
                series.append(self._intern(sample.name, sample.labels))
                values.append(sample.value)
        name = f"{metric.name}_total" if kind is MetricType.COUNTER else metric.name
        started = self._begun.get(name, self._started)
        starts = None if kind is MetricType.GAUGE else array("d", [started]) * len(series)
        return MetricFamily(name, kind, metric.documentation, series, values, starts)

    def _intern(self, name: str, labels: Mapping[str, str]) -> Series:
        key = (name, (*labels.items(), ("instance", self._instance)))
        if key not in self._series:
            self._series[key] = Series(*key)
        return self._series[key]


class _Watches(Collector):
    """The watched rows as the library's registry wants them."""

    def __init__(self) -> None:
        self.reads: list[Callable[[], Reading]] = []

    def collect(self) -> Iterable[Metric]:
        readings = [read() for read in self.reads]
        for reading in readings:
            for own, told in reading.items():
                yield _told(own.value, told)


def _counted(kind: MetricType) -> list[OwnMetric]:
    return [own for own in OwnMetric if own.value.kind is kind and not own.value.watched]


def _told(row: Row, told: float | Mapping[str, float]) -> Metric:
    shape = CounterMetricFamily if row.kind is MetricType.COUNTER else GaugeMetricFamily
    metric = shape(row.name, row.help, labels=row.labels)
    for label, value in told.items() if isinstance(told, Mapping) else [(None, told)]:
        metric.add_metric([] if label is None else [label], value)
    return metric
