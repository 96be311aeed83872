"""The exporter's own metrics: one table, a registry of its own, exported as metric families.

A metric that is counted where it happens is updated with `add`, `set` and `observe`. A metric whose value another
object holds (the delivery accounting above all) is observable, as an OpenTelemetry observable instrument: a callback
returns all its values at one moment, so that made, delivered, dropped and queued points balance in every export (E43).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from exporter import __version__
from exporter.incremental import SeriesFactory
from exporter.metrics import MetricFamily, MetricType, Series

T = TypeVar("T")

PREFIX: Final = "rollouts_exporter_"
DURATION_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Histogram bounds in seconds, up to the longest request timeout that is usual."""


@dataclass(frozen=True, slots=True)
class OwnMetricDefinition:
    """One own metric; `observable` means that a callback supplies its value, not `add`, `set` or `observe`."""

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    observable: bool = False


def _counter(name: str, text: str, *labels: str, observable: bool = False) -> OwnMetricDefinition:
    return OwnMetricDefinition(f"{PREFIX}{name}", MetricType.COUNTER, text, labels, observable)


def _gauge(name: str, text: str, *labels: str, observable: bool = False) -> OwnMetricDefinition:
    return OwnMetricDefinition(f"{PREFIX}{name}", MetricType.GAUGE, text, labels, observable)


def _histogram(name: str, text: str, *labels: str) -> OwnMetricDefinition:
    return OwnMetricDefinition(f"{PREFIX}{name}", MetricType.HISTOGRAM, text, labels)


class OwnMetric(Enum):
    """The table of own metrics; a new metric is a new row."""

    BUILD = _gauge("build_info", "Always 1, with the running version.", "version")
    CYCLES = _counter("cycles_total", "Completed scrape cycles.")
    CYCLES_FAILED = _counter("cycles_failed_total", "Cycles that failed with an unexpected error; see the log.")
    CYCLE_SECONDS = _gauge("cycle_seconds", "Duration of the last cycle.")
    CYCLES_SKIPPED = _counter("cycles_skipped_total", "Cycles skipped because the previous one was still running.")
    SCRAPES = _counter("scrapes_total", "Scrapes by source and result (ok or the failure reason).", "source", "result")
    PARSE_ERRORS = _counter(
        "malformed_lines_total", "Scraped lines that are not valid exposition text.", "source", "reason"
    )
    SAMPLES = _counter("samples_total", "Samples and staleness markers to push: those encoded and those dropped.")
    SAMPLES_ENCODED = _counter("samples_encoded_total", "Samples and staleness markers encoded as data points.")
    SAMPLES_DROPPED = _counter(
        "samples_dropped_total", "Samples and staleness markers that cannot be pushed, by reason.", "reason"
    )
    CLOCK_STEPS = _counter("clock_steps_back_total", "Times that the clock was set back by more than lifecycle.grace.")
    UNKNOWN_PHASES = _counter("unknown_phases_total", "Observations of a rollout in an unrecognised phase.")
    SERIES = _gauge("series", "Series exported in the last cycle.")
    SERIES_OMITTED = _counter("series_overflow_total", "Series omitted because series.limit was reached.")
    POINTS_MADE = _counter("points_made_total", "Data points created for delivery.", observable=True)
    POINTS_DELIVERED = _counter("points_delivered_total", "Data points accepted by the endpoint.", observable=True)
    POINTS_REJECTED = _counter("points_rejected_total", "Data points rejected by the endpoint.", observable=True)
    POINTS_DROPPED = _counter(
        "points_dropped_total", "Data points dropped before delivery, by reason.", "reason", observable=True
    )
    POINTS_QUEUED = _gauge("points_queued", "Data points waiting for delivery.", observable=True)
    QUEUE_BYTES = _gauge("queue_bytes", "Size of the delivery queue.", observable=True)
    QUEUE_LIMIT = _gauge(
        "queue_limit_bytes", "Queue size limit; the oldest request is dropped beyond it.", observable=True
    )
    QUEUE_AGE = _gauge("queue_oldest_age_seconds", "Age of the oldest request in the queue.", observable=True)
    STORAGE_DEGRADED = _gauge(
        "storage_degraded", "1 if not everything is stored in storage.directory, 0 if it is.", observable=True
    )
    STORAGE_BYTES = _gauge("storage_bytes", "Size of the database and of its write-ahead log.", "file", observable=True)
    STORAGE_FREE_BYTES = _gauge("storage_free_bytes", "Free space in storage.directory.", observable=True)
    STORAGE_COMMITS = _counter("storage_commits_total", "Commits to the database by result.", "result", observable=True)
    STORAGE_COMMIT_SECONDS = _counter("storage_commit_seconds_total", "Time that commits took.", observable=True)
    STORAGE_ROWS_SALVAGED = _counter(
        "storage_rows_salvaged_total", "Rows that were read from a damaged database.", observable=True
    )
    STORAGE_ROWS_DAMAGED = _counter(
        "storage_rows_damaged_total", "Rows of the database that could not be read.", observable=True
    )
    STORAGE_COMMITS_MISSING = _counter(
        "storage_commits_missing_total",
        "Commits that were no longer in the database at the start, after a crash of the machine or damage.",
        observable=True,
    )
    PROBE = _gauge(
        "delivery_probe",
        "Always 1; pushed alone, to find out whether the endpoint accepts requests. Not in /metrics.",
        observable=True,
    )
    REQUESTS = _counter(
        "requests_total", "Requests to the endpoint, by response status or failure reason.", "code", observable=True
    )
    REQUESTS_RETRIED = _counter("requests_retried_total", "Requests that were sent more than once.", observable=True)
    DELIVERY_WARNINGS = _counter(
        "delivery_warnings_total", "Requests that the endpoint accepted with a warning.", observable=True
    )
    REQUEST_SECONDS = _histogram("request_seconds", "Duration of requests to the endpoint.")
    LAST_DELIVERY = _gauge(
        "last_delivery_timestamp_seconds", "When the endpoint last accepted a request (Unix seconds).", observable=True
    )
    DELIVERY_LAG = _gauge(
        "delivery_lag_seconds", "Time from scrape to acknowledgement of the last delivered request.", observable=True
    )
    DELIVERY_STATE = _gauge("delivery_state", "1 for the current delivery state, else 0.", "state", observable=True)
    MAX_LOOP_HOLD = _gauge(
        "event_loop_longest_hold_seconds", "Longest time that the event loop was blocked in the last cycle."
    )
    EVENTS_MADE = _counter(
        "events_made_total", "Messages about transitions, by destination.", "destination", observable=True
    )
    EVENTS_DELIVERED = _counter(
        "events_delivered_total", "Messages that the destination accepted.", "destination", observable=True
    )
    EVENTS_REJECTED = _counter(
        "events_rejected_total", "Messages that the destination refused for good.", "destination", observable=True
    )
    EVENTS_DROPPED = _counter(
        "events_dropped_total",
        "Messages given up before delivery, by reason.",
        "destination",
        "reason",
        observable=True,
    )
    EVENTS_PENDING = _gauge("events_pending", "Messages waiting for delivery.", "destination", observable=True)
    EVENTS_AGE = _gauge(
        "events_oldest_age_seconds", "Age of the oldest message that waits.", "destination", observable=True
    )
    SHADOW_GATE_ERRORS = _counter(
        "shadow_gate_errors_total", "Gates of the setting `gates` that could not be evaluated, by reason.", "reason"
    )
    CONFIG_WARNINGS = _gauge("config_warnings", "Configuration warnings; the check command lists them.")


DEFINITIONS: Final = tuple(metric.value for metric in OwnMetric)

# A number for a metric without labels, else a number for each value of its label, or for the values of both. An
# omitted metric is not exported.
ObservedValues = Mapping[OwnMetric, float | Mapping[str, float] | Mapping[tuple[str, str], float]]


class SelfMetrics:
    """The own metrics of one process; `instance` is a label of each series (two writers never share one).

    `start_time` (Unix seconds) is when the process started to count: the start of every counter and histogram.
    """

    def __init__(self, instance: str, start_time: float, version: str = __version__) -> None:
        self.instance = instance
        self._start_time = start_time
        # Registries of their own: the library's default one has metrics of the platform and the garbage collector.
        self._registry = CollectorRegistry()
        self._process_registry = CollectorRegistry()
        self._callbacks: list[Callable[[], ObservedValues]] = []
        self._factory = SeriesFactory()
        self._start_times: dict[str, float] = {}
        self._counters = self._register(MetricType.COUNTER, Counter)
        self._gauges = self._register(MetricType.GAUGE, Gauge)
        self._histograms = self._register(MetricType.HISTOGRAM, partial(Histogram, buckets=DURATION_BUCKETS))
        ProcessCollector(registry=self._process_registry)
        self.set(OwnMetric.BUILD, 1, version)

    def _register(self, kind: MetricType, new: Callable[..., T]) -> dict[OwnMetric, T]:
        """Register all metrics of a type with the library, except for the observable ones."""
        rows = (row for row in OwnMetric if row.value.type is kind and not row.value.observable)
        return {row: new(row.value.name, row.value.help, row.value.labels, registry=self._registry) for row in rows}

    def add(self, metric: OwnMetric, *labels: str, amount: float = 1) -> None:
        """Increment a counter; `labels` are label values in the definition's order."""
        counter = self._counters[metric]
        (counter.labels(*labels) if labels else counter).inc(amount)

    def set(self, metric: OwnMetric, value: float, *labels: str) -> None:
        """Set a gauge; `labels` are label values in the definition's order."""
        gauge = self._gauges[metric]
        (gauge.labels(*labels) if labels else gauge).set(value)

    def observe(self, metric: OwnMetric, value: float, *labels: str) -> None:
        """Add a value to a histogram; `labels` are label values in the definition's order."""
        histogram = self._histograms[metric]
        (histogram.labels(*labels) if labels else histogram).observe(value)

    def register_callback(self, callback: Callable[[], ObservedValues]) -> None:
        """Call `callback` for the values of its metrics at each export.

        Raises ValueError when it returns a metric that is not observable.
        """
        # Called once at registration, so that a wrong callback fails at the start.
        if others := [metric.value.name for metric in callback() if not metric.value.observable]:
            raise ValueError(f"not observable, use add, set or observe: {', '.join(others)}")
        self._callbacks.append(callback)

    def set_start_time(self, start_time: float, *counters: OwnMetric) -> None:
        """Set when these counters started (Unix seconds), for counts that an earlier process started."""
        self._start_times |= {metric.value.name: start_time for metric in counters}

    def families(self, *, process: bool = False) -> tuple[MetricFamily, ...]:
        """Return all own metrics; with `process`, also this process's CPU, memory and open files (E43)."""
        process_metrics = self._process_registry.collect() if process else ()
        metrics = (*self._registry.collect(), *self._observe_callbacks(), *process_metrics)
        families = tuple(self._family(metric) for metric in metrics if metric.samples)
        self._factory.end_cycle()
        return families

    def _family(self, metric: Metric) -> MetricFamily:
        """Convert the library's metric; it strips `_total` from a counter's name and adds `_created` samples."""
        kind = MetricType(metric.type)
        series: list[Series] = []
        values = array("d")
        for sample in metric.samples:
            if not sample.name.endswith("_created"):
                labels = (*sample.labels.items(), ("instance", self.instance))
                series.append(self._factory.series(sample.name, labels))
                values.append(sample.value)
        name = f"{metric.name}_total" if kind is MetricType.COUNTER else metric.name
        start_time = self._start_times.get(name, self._start_time)
        start_times = None if kind is MetricType.GAUGE else array("d", [start_time]) * len(series)
        return MetricFamily(name, kind, metric.documentation, series, values, start_times)

    def _observe_callbacks(self) -> Iterator[Metric]:
        # All callbacks run before the first family is built, so that their values are of one moment.
        observations = [callback() for callback in self._callbacks]
        for observation in observations:
            for metric, value in observation.items():
                yield _library_metric(metric.value, value)


def _library_metric(definition: OwnMetricDefinition, values: float | Mapping[Any, float]) -> Metric:
    family_class = CounterMetricFamily if definition.type is MetricType.COUNTER else GaugeMetricFamily
    metric = family_class(definition.name, definition.help, labels=definition.labels)
    for label, value in values.items() if isinstance(values, Mapping) else [(None, values)]:
        metric.add_metric([] if label is None else list(label) if isinstance(label, tuple) else [label], value)
    return metric
