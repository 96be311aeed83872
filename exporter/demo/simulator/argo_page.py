"""Renders /metrics of a simulated controller as v1.8.3 does, without most families of the Go runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exporter.demo.simulator import conditions
from exporter.demo.simulator.controllers import RECONCILE_BOUNDS
from exporter.demo.simulator.exposition import SampleRow, format_number, parse_headers, render_family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from exporter.demo.simulator.controllers import DurationHistogram, SimulatedController
    from exporter.demo.simulator.exposition import LabelPair
    from exporter.demo.simulator.objects import ObjectKey, SimulatedRollout

    PageRows = Callable[["PageInput"], Iterable[SampleRow]]

VERSION = "v1.8.3+49fa151"
COMMIT = "49fa1516cf71672b69e265267da4e1d16e1fe114"
GO_VERSION = "go1.26.8"
# rollout_phase has no InvalidSpec: such a rollout is six zeros.
PHASES = ("Abort", "Completed", "Error", "Paused", "Progressing", "Timeout")
QUEUES = ("AnalysisRuns", "DestinationRules", "Experiments", "Ingresses", "Rollouts", "Services")
ITEM_SECONDS = 0.0005
"""How long an item waits in a work queue, and is worked on."""
WORK_UPDATE_SECONDS = 0.5
"""How often client-go updates the gauges of unfinished work (updateUnfinishedWorkLoop of util/workqueue)."""
WARNINGS = (conditions.ABORTED,)
"""Events of the type Warning."""
# The products of Go's exponential buckets, with their rounding errors.
QUEUE_BOUNDS = (1e-08, 1e-07, 1e-06, 9.999999999999999e-06, 9.999999999999999e-05, 0.001, 0.01, 0.1, 1.0, 10.0)
FAMILIES = parse_headers("""
argo_rollouts_controller_info gauge Running Argo-rollouts version
build_info gauge A metric with a constant '1' value labeled by version from which Argo-Rollouts was built.
go_goroutines gauge Number of goroutines that currently exist.
go_info gauge Information about the Go environment.
notification_send histogram Notification send performance.
process_cpu_seconds_total counter Total user and system CPU time spent in seconds.
process_max_fds gauge Maximum number of open file descriptors.
process_open_fds gauge Number of open file descriptors.
process_resident_memory_bytes gauge Resident memory size in bytes.
process_start_time_seconds gauge Start time of the process since unix epoch in seconds.
process_virtual_memory_bytes gauge Virtual memory size in bytes.
process_virtual_memory_max_bytes gauge Maximum amount of virtual memory available in bytes.
rollout_events_total counter Count of rollout events
rollout_info gauge Information about rollout.
rollout_info_replicas_available gauge The number of available replicas per rollout.
rollout_info_replicas_desired gauge The number of desired replicas per rollout.
rollout_info_replicas_unavailable gauge The number of unavailable replicas per rollout.
rollout_info_replicas_updated gauge The number of updated replicas per rollout.
rollout_phase gauge Information on the state of the rollout (DEPRECATED - use rollout_info)
rollout_reconcile histogram Rollout reconciliation performance.
rollout_reconcile_error counter Error occurring during the rollout
workqueue_adds_total counter [ALPHA] Total number of adds handled by workqueue
workqueue_depth gauge [ALPHA] Current depth of workqueue
workqueue_longest_running_processor_seconds gauge [ALPHA] How many seconds has the longest running processor for \
workqueue been running.
workqueue_queue_duration_seconds histogram [ALPHA] How long in seconds an item stays in workqueue before being \
requested.
workqueue_retries_total counter [ALPHA] Total number of retries handled by workqueue
workqueue_unfinished_work_seconds gauge [ALPHA] How many seconds of work has done that is in progress and hasn't been \
observed by work_duration. Large values indicate stuck threads. One can deduce the number of stuck threads by \
observing the rate at which this increases.
workqueue_work_duration_seconds histogram [ALPHA] How long in seconds processing an item from workqueue takes.
""")


class PageInput(NamedTuple):
    """The input of a page: the process, its start (Unix seconds), the rollouts on the page, and what is in work.

    `work_count` reconciliations are not over; `work_seconds` are the times for which they had run when the gauges of
    that were updated last.
    """

    controller: SimulatedController
    start_time: float
    rollouts: list[SimulatedRollout]
    work_count: int
    work_seconds: list[float]


def render_argo_page(
    controller: SimulatedController,
    rollouts: Mapping[ObjectKey, SimulatedRollout],
    now: float,
    to_unix_time: Callable[[float], float],
) -> bytes:
    """Return the page, with the rollouts that this process has reconciled, and no family without rows."""
    visible = [rollout for key, rollout in rollouts.items() if key in controller.counters.observed_rollouts]
    begun = [rollout.reconciled_at for rollout in rollouts.values() if rollout.unwritten_status is not None]
    begun = begun if controller.is_leader else []
    updated_at = now - (now - controller.started_at) % WORK_UPDATE_SECONDS
    work_seconds = [updated_at - time for time in begun if time <= updated_at]
    page = PageInput(controller, to_unix_time(controller.started_at), visible, len(begun), work_seconds)
    families = [(header, list(ROWS[header.name](page))) for header in FAMILIES]
    return "".join(render_family(header, rows) for header, rows in families if rows).encode()


def _constant(value: float, **labels: str) -> PageRows:
    """Return a function that makes a row with a constant value."""
    return lambda _: [SampleRow(tuple(labels.items()), value)]


def _gauge(read: Callable[[SimulatedRollout], float]) -> PageRows:
    """Return a function that makes a row for each rollout."""
    return lambda page: _sorted_rows(SampleRow(_key_labels(rollout.key), read(rollout)) for rollout in page.rollouts)


def _histograms(read: Callable[[PageInput], Mapping[ObjectKey, DurationHistogram]]) -> PageRows:
    """Return a function that makes a histogram for each rollout."""

    def rows(page: PageInput) -> Iterable[SampleRow]:
        for key, timing in sorted(read(page).items(), key=lambda item: (item[0].name, item[0].namespace)):
            yield from _histogram(_key_labels(key), RECONCILE_BOUNDS, timing.bucket_counts, timing.total, timing.count)

    return rows


def _histogram(
    labels: tuple[LabelPair, ...], bounds: tuple[float, ...], bucket_counts: list[int], total: float, count: int
) -> Iterable[SampleRow]:
    for bound, amount in zip(bounds, bucket_counts, strict=True):
        yield SampleRow((*labels, ("le", format_number(bound))), amount, "_bucket")
    yield SampleRow((*labels, ("le", "+Inf")), count, "_bucket")
    yield SampleRow(labels, total, "_sum")
    yield SampleRow(labels, count, "_count")


def _reconcile_count(page: PageInput) -> int:
    return sum(timing.count for timing in page.controller.counters.reconciles.values())


def _queue_counts(page: PageInput) -> Iterable[tuple[tuple[LabelPair, ...], int]]:
    """Return the labels of each work queue and how many items it has processed; only rollouts are simulated."""
    return [((("name", name),), _reconcile_count(page) if name == "Rollouts" else 0) for name in QUEUES]


def _queue_gauge(read: Callable[[PageInput], float] = lambda _: 0.0) -> PageRows:
    """Return a function that makes a row for each work queue: of the rollouts' one with what is read, of others 0."""
    return lambda page: [SampleRow((("name", name),), read(page) if name == "Rollouts" else 0) for name in QUEUES]


def _queue_counter(page: PageInput) -> Iterable[SampleRow]:
    """Return how many items were added to each work queue: those that are in work, too."""
    begun = {"Rollouts": page.work_count}
    return [SampleRow(labels, count + begun.get(labels[0][1], 0)) for labels, count in _queue_counts(page)]


def _queue_histogram(page: PageInput) -> Iterable[SampleRow]:
    for labels, count in _queue_counts(page):
        bucket_counts = [count if bound >= ITEM_SECONDS else 0 for bound in QUEUE_BOUNDS]
        yield from _histogram(labels, QUEUE_BOUNDS, bucket_counts, count * ITEM_SECONDS, count)


def _work_histogram(page: PageInput) -> Iterable[SampleRow]:
    """Return how long items were worked on; of rollouts in the buckets of their own histogram."""
    for labels, count in _queue_counts(page):
        timings = page.controller.counters.reconciles.values() if count else ()
        bucket_counts = [sum(timing.count_up_to(bound) for timing in timings) for bound in QUEUE_BOUNDS]
        yield from _histogram(labels, QUEUE_BOUNDS, bucket_counts, sum(timing.total for timing in timings), count)


def _event_rows(page: PageInput) -> Iterable[SampleRow]:
    rows = []
    for (key, reason), count in page.controller.counters.events.items():
        kind = "Warning" if reason in WARNINGS else "Normal"
        rows.append(SampleRow((*_key_labels(key), ("reason", reason), ("type", kind)), count))
    return _sorted_rows(rows)


def _error_rows(page: PageInput) -> Iterable[SampleRow]:
    errors = page.controller.counters.errors.items()
    return _sorted_rows(SampleRow(_key_labels(key), count) for key, count in errors if count)


def _info_rows(page: PageInput) -> Iterable[SampleRow]:
    rows = []
    for rollout in page.rollouts:
        labels = (*_phase_labels(rollout, conditions.phase(rollout.status)), ("traffic_router", rollout.spec.router))
        rows.append(SampleRow(labels, 1))
    return _sorted_rows(rows)


def _phase_rows(page: PageInput) -> Iterable[SampleRow]:
    return _sorted_rows(
        SampleRow(_phase_labels(rollout, phase), phase == conditions.phase(rollout.status))
        for rollout in page.rollouts
        for phase in PHASES
    )


def _phase_labels(rollout: SimulatedRollout, phase: str) -> tuple[LabelPair, ...]:
    return (*_key_labels(rollout.key), ("phase", phase), ("strategy", rollout.spec.strategy.label))


def _key_labels(key: ObjectKey) -> tuple[LabelPair, ...]:
    return (("name", key.name), ("namespace", key.namespace))


def _sorted_rows(rows: Iterable[SampleRow]) -> list[SampleRow]:
    """Sort rows by their label values, as client_golang does."""
    return sorted(rows, key=lambda row: [value for _, value in row.labels])


ROWS: dict[str, PageRows] = {
    "argo_rollouts_controller_info": _constant(1, version=VERSION),
    "build_info": _constant(1, commit=COMMIT, goarch="amd64", goversion=GO_VERSION, version=VERSION),
    "go_goroutines": _constant(234),
    "go_info": _constant(1, version=GO_VERSION),
    "notification_send": _histograms(lambda page: page.controller.counters.notifications),
    "process_cpu_seconds_total": lambda page: [SampleRow((), 0.05 + _reconcile_count(page) / 100)],
    "process_max_fds": _constant(20000),
    "process_open_fds": _constant(21),
    "process_resident_memory_bytes": _constant(100212736),
    "process_start_time_seconds": lambda page: [SampleRow((), round(page.start_time, 2))],
    "process_virtual_memory_bytes": _constant(5738913792),
    "process_virtual_memory_max_bytes": _constant(1.8446744073709552e19),
    "rollout_events_total": _event_rows,
    "rollout_info": _info_rows,
    "rollout_info_replicas_available": _gauge(lambda rollout: rollout.status.available),
    "rollout_info_replicas_desired": _gauge(lambda rollout: rollout.spec.replicas),
    "rollout_info_replicas_unavailable": _gauge(lambda rollout: rollout.status.replicas - rollout.status.available),
    "rollout_info_replicas_updated": _gauge(lambda rollout: rollout.status.updated),
    "rollout_phase": _phase_rows,
    "rollout_reconcile": _histograms(lambda page: page.controller.counters.reconciles),
    "rollout_reconcile_error": _error_rows,
    "workqueue_adds_total": _queue_counter,
    "workqueue_depth": _queue_gauge(),
    "workqueue_longest_running_processor_seconds": _queue_gauge(lambda page: max(page.work_seconds, default=0.0)),
    "workqueue_queue_duration_seconds": _queue_histogram,
    "workqueue_retries_total": _queue_gauge(),
    "workqueue_unfinished_work_seconds": _queue_gauge(lambda page: sum(page.work_seconds)),
    "workqueue_work_duration_seconds": _work_histogram,
}
