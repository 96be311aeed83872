"""The status of an AnalysisRun as frozen values, and as the controller writes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Phase(StrEnum):
    """How a measurement, a metric or a run stands."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCESSFUL = "Successful"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"
    FAILED = "Failed"

    @property
    def completed(self) -> bool:
        """Say whether it is the end."""
        return self not in {Phase.PENDING, Phase.RUNNING}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one question gave: the phase, the value as the controller writes it, and why there is none.

    `asked` is False when the provider could not even be made, as for an address that is none.
    """

    phase: Phase
    value: str = ""
    message: str = ""
    warnings: tuple[str, ...] = ()
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Measurement:
    """An outcome with its times, in Unix seconds."""

    outcome: Outcome
    started: float
    finished: float


@dataclass(frozen=True, slots=True)
class Counts:
    """How often a metric was measured how; `count` leaves errors out."""

    count: int = 0
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0
    consecutive_error: int = 0
    consecutive_success: int = 0


@dataclass(frozen=True, slots=True)
class MetricResult:
    """How one metric stands; `query` is the resolved one, "" where none was asked."""

    name: str
    phase: Phase = Phase.RUNNING
    dry_run: bool = False
    measurements: tuple[Measurement, ...] = ()
    counts: Counts = Counts()
    message: str = ""
    query: str = ""

    @property
    def last(self) -> Measurement | None:
        """Return the newest measurement."""
        return self.measurements[-1] if self.measurements else None


@dataclass(frozen=True, slots=True)
class Summary:
    """How many metrics there are, and how many ended how."""

    count: int = 0
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """How a run stands; times are Unix seconds, None before they come."""

    phase: Phase | None = None
    message: str = ""
    results: tuple[MetricResult, ...] = ()
    started: float | None = None
    completed: float | None = None
    summary: Summary | None = None
    dry_run_summary: Summary | None = None

    def result(self, name: str) -> MetricResult | None:
        """Return how a metric stands, None before its first measurement."""
        return next((one for one in self.results if one.name == name), None)


def as_json(status: Status) -> dict[str, Any]:
    """Return the status as the controller writes it: nothing that is empty, times to the second."""
    return _full(
        {
            "completedAt": _time(status.completed),
            "dryRunSummary": _summary_json(status.dry_run_summary),
            "message": status.message,
            "metricResults": [_result(one) for one in status.results],
            "phase": status.phase,
            "runSummary": _summary_json(status.summary),
            "startedAt": _time(status.started),
        }
    )


def _full(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value not in (None, "", 0, False, [])}


def _time(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")


def _summary_json(summary: Summary | None) -> dict[str, Any] | None:
    if summary is None:
        return None
    return _full(
        {
            "count": summary.count,
            "error": summary.error,
            "failed": summary.failed,
            "inconclusive": summary.inconclusive,
            "successful": summary.successful,
        }
    )


def _result(result: MetricResult) -> dict[str, Any]:
    counts = result.counts
    return _full(
        {
            "consecutiveError": counts.consecutive_error,
            "consecutiveSuccess": counts.consecutive_success,
            "count": counts.count,
            "dryRun": result.dry_run,
            "error": counts.error,
            "failed": counts.failed,
            "inconclusive": counts.inconclusive,
            "measurements": [_measurement(one) for one in result.measurements],
            "message": result.message,
            "metadata": {"ResolvedPrometheusQuery": result.query} if result.query else None,
            "name": result.name,
            "phase": result.phase,
            "successful": counts.successful,
        }
    )


def _measurement(measurement: Measurement) -> dict[str, Any]:
    outcome = measurement.outcome
    warnings = ", ".join(f'"{one}"' for one in outcome.warnings)
    return _full(
        {
            "finishedAt": _time(measurement.finished),
            "message": outcome.message,
            "metadata": {"warnings": warnings} if warnings else None,
            "phase": outcome.phase,
            "startedAt": _time(measurement.started),
            "value": outcome.value,
        }
    )
