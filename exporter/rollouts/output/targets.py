"""The series of each target address: whether it answered, which controller leads, how old what it said is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.metrics import MetricFamily, MetricType, Series, Source, family_from_samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.metrics import ScrapeResult
    from exporter.rollouts.inputs.leadership import Controller, Verdict

ROWS: Final = {
    "argo_rollouts_controller_leader": "1 for the controller that leads, 0 for a standby or one that does not answer.",
    "rollouts_exporter_target_up": "1 when the target's last answer was whole.",
    "rollouts_exporter_target_scrape_duration_seconds": "How long the target's last answer took.",
    "rollouts_exporter_target_samples": "Samples of wanted families in the target's last answer.",
    "rollouts_exporter_source_age_seconds": "Age of the target's last whole answer.",
}
LABELS: Final = ("source", "installation", "instance")


@dataclass(frozen=True, slots=True)
class Target:
    """An address as it was last seen; `good` is the time of its last whole answer, None before the first."""

    page: ScrapeResult
    good: float | None
    controller: Controller | None = None

    @property
    def verdict(self) -> Verdict | None:
        """What a controller address was judged to be."""
        return self.controller.verdict if self.controller is not None else None


class Targets:
    """All addresses that the last answers named; one that its source names no longer is gone."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Target] = {}
        self._series: dict[tuple[str, tuple[str, str, str]], Series] = {}

    @property
    def all(self) -> Sequence[Target]:
        """Every target, in the order of source, installation and instance."""
        return [self._known[key] for key in sorted(self._known)]

    def saw(self, pages: Iterable[ScrapeResult], controllers: Iterable[Controller]) -> None:
        """Take the pages of a tick."""
        judged = {id(one.page): one for one in controllers}
        pages = list(pages)
        asked = {page.source for page in pages}
        before, self._known = self._known, {key: one for key, one in self._known.items() if key[0] not in asked}
        for page in pages:
            key = (page.source.value, page.installation, page.target)
            last = before.get(key)
            good = page.scraped_at if page.failure is None else last.good if last is not None else None
            self._known[key] = Target(page, good, judged.get(id(page)))

    def families(self, at: float) -> tuple[MetricFamily, ...]:
        """Return the families of ROWS at a tick."""
        rows = {name: self._samples(name, at) for name in ROWS}
        kept = {key: one for key, one in self._series.items() if key[1] in self._known}
        self._series = kept
        return tuple(
            family_from_samples(name, MetricType.GAUGE, ROWS[name], samples)
            for name, samples in rows.items()
            if samples
        )

    def _samples(self, name: str, at: float) -> list[tuple[Series, float]]:
        return [
            (self._one(name, key), value)
            for key, target in sorted(self._known.items())
            if (value := _value(name, target, at)) is not None
        ]

    def _one(self, name: str, key: tuple[str, str, str]) -> Series:
        series = self._series.get((name, key))
        if series is None:
            series = self._series[name, key] = Series(name, tuple(zip(LABELS, key, strict=True)))
        return series


def _value(name: str, target: Target, at: float) -> float | None:
    page = target.page
    match name:
        case "argo_rollouts_controller_leader":
            return float(target.verdict == "leader") if page.source is Source.ARGO else None
        case "rollouts_exporter_target_up":
            return float(page.failure is None)
        case "rollouts_exporter_target_scrape_duration_seconds":
            return page.duration
        case "rollouts_exporter_target_samples":
            return float(page.samples)
        case _:
            return None if target.good is None else max(at - target.good, 0.0)
