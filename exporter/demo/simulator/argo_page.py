"""The /metrics of a simulated controller, as v1.8.3 writes it; most families of the Go runtime are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exporter.demo.simulator import conditions
from exporter.demo.simulator.controllers import RECONCILE_BOUNDS
from exporter.demo.simulator.exposition import Header, Row, number, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from exporter.demo.simulator.controllers import Controller, Timing
    from exporter.demo.simulator.objects import Key, Rollout

VERSION = "v1.8.3+49fa151"
COMMIT = "49fa1516cf71672b69e265267da4e1d16e1fe114"
GO = "go1.26.8"
PHASES = ("Abort", "Completed", "Error", "Paused", "Progressing", "Timeout")
QUEUES = ("AnalysisRuns", "DestinationRules", "Experiments", "Ingresses", "Rollouts", "Services")
QUEUE_BOUNDS = (1e-08, 1e-07, 1e-06, 9.999999999999999e-06, 9.999999999999999e-05, 0.001, 0.01, 0.1, 1.0, 10.0)
STUCK = (
    "[ALPHA] How many seconds of work has done that is in progress and hasn't been observed by work_duration. Large "
    "values indicate stuck threads. One can deduce the number of stuck threads by observing the rate at which this "
    "increases."
)


class Subject(NamedTuple):
    """What a page is made from: the process, when it started, and the rollouts it shows."""

    controller: Controller
    started: float
    rollouts: list[Rollout]


def page(controller: Controller, rollouts: Mapping[Key, Rollout], stamp: Callable[[float], float]) -> bytes:
    """Write the page: it shows the rollouts that this process has looked at, and no family without rows."""
    shown = [rollout for key, rollout in rollouts.items() if key in controller.tally.known]
    subject = Subject(controller, stamp(controller.started), shown)
    families = [(header, list(rows(subject))) for header, rows in FAMILIES]
    return "".join(render(header, rows) for header, rows in families if rows).encode()


def _constant(value: float, **labels: str) -> Callable[[Subject], Iterable[Row]]:
    """Make rows of one value that never changes."""
    return lambda _: [Row(tuple(labels.items()), value)]


def _gauge(read: Callable[[Rollout], float]) -> Callable[[Subject], Iterable[Row]]:
    """Make one row a rollout."""

    def rows(subject: Subject) -> Iterable[Row]:
        return _ordered(Row(_about(rollout.key), read(rollout)) for rollout in subject.rollouts)

    return rows


def _timings(read: Callable[[Subject], Mapping[Key, Timing]]) -> Callable[[Subject], Iterable[Row]]:
    """Make a histogram a rollout."""

    def rows(subject: Subject) -> Iterable[Row]:
        for key, timing in sorted(read(subject).items(), key=lambda one: (one[0].name, one[0].namespace)):
            yield from _histogram(_about(key), RECONCILE_BOUNDS, timing.within, timing.total, timing.count)

    return rows


def _histogram(
    labels: tuple[tuple[str, str], ...], bounds: tuple[float, ...], within: Iterable[int], total: float, count: int
) -> Iterable[Row]:
    for bound, amount in zip(bounds, within, strict=True):
        yield Row((*labels, ("le", number(bound))), amount, "_bucket")
    yield Row((*labels, ("le", "+Inf")), count, "_bucket")
    yield Row(labels, total, "_sum")
    yield Row(labels, count, "_count")


def _queues(subject: Subject) -> Iterable[tuple[str, int]]:
    """Say how much each work queue has done; only rollouts are worked on here."""
    done = sum(timing.count for timing in subject.controller.tally.reconciles.values())
    return [(name, done if name == "Rollouts" else 0) for name in QUEUES]


def _queue_gauge(subject: Subject) -> Iterable[Row]:
    return [Row((("name", name),), 0) for name, _ in _queues(subject)]


def _queue_counter(subject: Subject) -> Iterable[Row]:
    return [Row((("name", name),), done) for name, done in _queues(subject)]


def _queue_histogram(subject: Subject) -> Iterable[Row]:
    for name, done in _queues(subject):
        within = [done if bound >= 0.001 else 0 for bound in QUEUE_BOUNDS]  # noqa: PLR2004 - each takes half of that
        yield from _histogram((("name", name),), QUEUE_BOUNDS, within, done * 0.0005, done)


def _events(subject: Subject) -> Iterable[Row]:
    rows = []
    for event, count in subject.controller.tally.events.items():
        kind = "Warning" if event.warning else "Normal"
        rows.append(Row((*_about(event.key), ("reason", event.reason), ("type", kind)), count))
    return _ordered(rows)


def _errors(subject: Subject) -> Iterable[Row]:
    return _ordered(Row(_about(key), count) for key, count in subject.controller.tally.errors.items() if count)


def _infos(subject: Subject) -> Iterable[Row]:
    return _ordered(
        Row(
            (
                *_about(rollout.key),
                ("phase", conditions.phase(rollout.status)),
                ("strategy", rollout.spec.strategy.label),
                ("traffic_router", rollout.spec.router),
            ),
            1,
        )
        for rollout in subject.rollouts
    )


def _phases(subject: Subject) -> Iterable[Row]:
    return _ordered(
        Row(
            (*_about(rollout.key), ("phase", phase), ("strategy", rollout.spec.strategy.label)),
            phase == conditions.phase(rollout.status),
        )
        for rollout in subject.rollouts
        for phase in PHASES
    )


def _about(key: Key) -> tuple[tuple[str, str], ...]:
    return (("name", key.name), ("namespace", key.namespace))


def _ordered(rows: Iterable[Row]) -> list[Row]:
    """Order rows by their label values, as client_golang does."""
    return sorted(rows, key=lambda row: [value for _, value in row.labels])


FAMILIES: tuple[tuple[Header, Callable[[Subject], Iterable[Row]]], ...] = (
    (
        Header("argo_rollouts_controller_info", "gauge", "Running Argo-rollouts version"),
        _constant(1, version=VERSION),
    ),
    (
        Header(
            "build_info",
            "gauge",
            "A metric with a constant '1' value labeled by version from which Argo-Rollouts was built.",
        ),
        _constant(1, commit=COMMIT, goarch="amd64", goversion=GO, version=VERSION),
    ),
    (Header("go_goroutines", "gauge", "Number of goroutines that currently exist."), _constant(234)),
    (Header("go_info", "gauge", "Information about the Go environment."), _constant(1, version=GO)),
    (
        Header("notification_send", "histogram", "Notification send performance."),
        _timings(lambda subject: subject.controller.tally.notifications),
    ),
    (
        Header("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds."),
        lambda subject: [Row((), 0.05 + sum(done for _, done in _queues(subject)) / 100)],
    ),
    (Header("process_max_fds", "gauge", "Maximum number of open file descriptors."), _constant(20000)),
    (Header("process_open_fds", "gauge", "Number of open file descriptors."), _constant(21)),
    (Header("process_resident_memory_bytes", "gauge", "Resident memory size in bytes."), _constant(100212736)),
    (
        Header("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds."),
        lambda subject: [Row((), round(subject.started, 2))],
    ),
    (Header("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes."), _constant(5738913792)),
    (
        Header("process_virtual_memory_max_bytes", "gauge", "Maximum amount of virtual memory available in bytes."),
        _constant(1.8446744073709552e19),
    ),
    (Header("rollout_events_total", "counter", "Count of rollout events"), _events),
    (Header("rollout_info", "gauge", "Information about rollout."), _infos),
    (
        Header("rollout_info_replicas_available", "gauge", "The number of available replicas per rollout."),
        _gauge(lambda rollout: rollout.status.available),
    ),
    (
        Header("rollout_info_replicas_desired", "gauge", "The number of desired replicas per rollout."),
        _gauge(lambda rollout: rollout.spec.replicas),
    ),
    (
        Header("rollout_info_replicas_unavailable", "gauge", "The number of unavailable replicas per rollout."),
        _gauge(lambda rollout: rollout.status.replicas - rollout.status.available),
    ),
    (
        Header("rollout_info_replicas_updated", "gauge", "The number of updated replicas per rollout."),
        _gauge(lambda rollout: rollout.status.updated),
    ),
    (
        Header("rollout_phase", "gauge", "Information on the state of the rollout (DEPRECATED - use rollout_info)"),
        _phases,
    ),
    (
        Header("rollout_reconcile", "histogram", "Rollout reconciliation performance."),
        _timings(lambda subject: subject.controller.tally.reconciles),
    ),
    (Header("rollout_reconcile_error", "counter", "Error occurring during the rollout"), _errors),
    (
        Header("workqueue_adds_total", "counter", "[ALPHA] Total number of adds handled by workqueue"),
        _queue_counter,
    ),
    (Header("workqueue_depth", "gauge", "[ALPHA] Current depth of workqueue"), _queue_gauge),
    (
        Header(
            "workqueue_longest_running_processor_seconds",
            "gauge",
            "[ALPHA] How many seconds has the longest running processor for workqueue been running.",
        ),
        _queue_gauge,
    ),
    (
        Header(
            "workqueue_queue_duration_seconds",
            "histogram",
            "[ALPHA] How long in seconds an item stays in workqueue before being requested.",
        ),
        _queue_histogram,
    ),
    (
        Header("workqueue_retries_total", "counter", "[ALPHA] Total number of retries handled by workqueue"),
        _queue_gauge,
    ),
    (Header("workqueue_unfinished_work_seconds", "gauge", STUCK), _queue_gauge),
    (
        Header(
            "workqueue_work_duration_seconds",
            "histogram",
            "[ALPHA] How long in seconds processing an item from workqueue takes.",
        ),
        _queue_histogram,
    ),
)
