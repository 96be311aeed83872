"""The series of each target address: whether its scrape succeeded, which controller leads, how old its data is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.incremental import SeriesFactory
from exporter.metrics import MetricFamily, MetricType, ScrapeResult, Source, family_from_samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.rollouts.inputs.leadership import ControllerRole, ScrapedController

TARGET_FAMILIES: Final = {
    "argo_rollouts_controller_leader": "1 for the leading controller, 0 for a standby or one whose scrape failed.",
    "rollouts_exporter_target_up": "1 if the last scrape of the target succeeded.",
    "rollouts_exporter_target_scrape_duration_seconds": "Duration of the last scrape of the target.",
    "rollouts_exporter_target_samples": "Samples of selected families in the last scrape of the target.",
    "rollouts_exporter_source_age_seconds": "Time since the last successful scrape of the target.",
}
"""Not named `up` and `scrape_…`, since a Prometheus that scrapes /metrics writes series of these names itself (T49)."""
TARGET_LABELS: Final = ("source", "installation", "instance")


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """An address and its last scrape; `last_success` (Unix seconds) is None before the first successful one."""

    result: ScrapeResult
    last_success: float | None
    controller: ScrapedController | None = None

    @property
    def role(self) -> ControllerRole | None:
        """The role of a controller address, None for other sources."""
        return self.controller.role if self.controller is not None else None


class TargetTracker:
    """All current addresses; one that the last resolution of its source does not contain is gone."""

    def __init__(self) -> None:
        self._targets: dict[tuple[str, str, str], TargetStatus] = {}
        self._factory = SeriesFactory()

    @property
    def statuses(self) -> tuple[TargetStatus, ...]:
        """Every target, in the order of source, installation and instance."""
        return tuple(self._targets[key] for key in sorted(self._targets))

    def update(self, results: Sequence[ScrapeResult], controllers: Iterable[ScrapedController]) -> None:
        """Process the results of a tick."""
        # By id, since a result holds mappings and so has no hash.
        by_result = {id(controller.result): controller for controller in controllers}
        scraped_sources = {result.source for result in results}
        previous = self._targets
        self._targets = {key: target for key, target in previous.items() if key[0] not in scraped_sources}
        for result in results:
            key = (result.source.value, result.installation, result.target)
            last_success = previous[key].last_success if key in previous else None
            if result.failure is None:
                last_success = result.scraped_at
            self._targets[key] = TargetStatus(result, last_success, by_result.get(id(result)))

    def families(self, now: float) -> tuple[MetricFamily, ...]:
        """Return TARGET_FAMILIES at a tick."""
        families: list[MetricFamily] = []
        for name, help_text in TARGET_FAMILIES.items():
            samples = [
                (self._factory.series(name, tuple(zip(TARGET_LABELS, key, strict=True))), value)
                for key, target in sorted(self._targets.items())
                if (value := _value(name, target, now)) is not None
            ]
            families += [family_from_samples(name, MetricType.GAUGE, help_text, samples)] if samples else []
        self._factory.end_cycle()
        return tuple(families)


def _value(name: str, target: TargetStatus, now: float) -> float | None:
    result = target.result
    match name:
        case "argo_rollouts_controller_leader":
            return float(target.role == "leader") if result.source is Source.ARGO else None
        case "rollouts_exporter_target_up":
            return float(result.failure is None)
        case "rollouts_exporter_target_scrape_duration_seconds":
            return result.duration
        case "rollouts_exporter_target_samples":
            return float(result.sample_count)
        case _:
            return None if target.last_success is None else max(now - target.last_success, 0.0)
