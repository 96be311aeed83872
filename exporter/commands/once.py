"""One cycle, here and now: what `once` prints, and what `series --estimate` reckons from."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.metrics import Source
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.scraper import Scraper
from exporter.service.wiring import identity, page_readers, rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.config.settings import Settings
    from exporter.metrics import MetricsSnapshot, ScrapeResult
    from exporter.rollouts.output.targets import Target

DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Once:
    """One cycle and the targets that it asked."""

    cycle: MetricsSnapshot
    targets: tuple[Target, ...]

    @property
    def answers(self) -> Iterator[str]:
        """One line for each address: what was made of it, and how much it said."""
        for target in self.targets:
            page = target.page
            role = f"{target.verdict}, " if target.verdict is not None else ""
            said = f"{page.samples} samples" if page.failure is None else f"no answer ({page.failure.reason})"
            yield f"{page.source} {page.target}: {role}{said}"

    @property
    def lacks(self) -> tuple[str, ...]:
        """What a working exporter would have and this cycle had not, with the reason."""
        return (*self._troubles(), *self._leaderless(), *self._podless())

    def _troubles(self) -> Iterator[str]:
        for page in self._pages():
            if page.failure is not None:
                yield f"{page.source} {page.target}: {page.failure.message}"

    def _leaderless(self) -> Iterator[str]:
        led = {target.page.installation for target in self.targets if target.verdict == "leader"}
        for name in dict.fromkeys(page.installation for page in self._pages(Source.ARGO)):
            if name not in led:
                where = "" if name == "default" else f" in the installation {name}"
                yield (
                    f"no controller leads{where}: of the addresses asked none shows rollouts; check argo.targets, "
                    "and that there is a Rollout"
                )

    def _podless(self) -> Iterator[str]:
        pages = self._pages(Source.KUBE_STATE_METRICS)
        if pages and all(page.failure is not None for page in pages):
            yield "no kube-state-metrics answers; check kube_state_metrics.targets"
        elif pages and not any(len(family) for page in pages for family in page.families.values()):
            yield (
                "kube-state-metrics answers, but shows no pods; check kube_state_metrics.targets, "
                "and that pods and replicasets are among its --resources"
            )

    def _pages(self, source: Source | None = None) -> list[ScrapeResult]:
        return [target.page for target in self.targets if source in (None, target.page.source)]


async def go_round(settings: Settings) -> Once:
    """Ask every target once. Raises ValueError for a target that cannot be asked."""
    scraper = Scraper(settings, page_readers(settings))
    watch = RolloutTracker(rules(settings))
    at = time.time()
    try:
        cycle = watch.process(at, await scraper.scrape(at))
    finally:
        await scraper.aclose()
    return Once(cycle, tuple(watch.targets))


def as_otlp_json(cycle: MetricsSnapshot, settings: Settings) -> Iterator[str]:
    """Write a cycle as the OTLP requests it would make, each in OTLP's JSON mapping."""
    from exporter.otlp.encode.encoder import Encoder  # noqa: PLC0415 - OTLP's messages are loaded only when they are wanted
    from exporter.otlp.encode.protobuf import otlp_json  # noqa: PLC0415 - the same

    encoder = Encoder(identity(settings), settings.otlp.request.points, settings.otlp.request.bytes)
    for request in encoder.requests(cycle):
        yield json.dumps(otlp_json(request.body), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a family costs: its series, and the points a day that they come to at the present interval."""

    family: str
    series: int
    points_a_day: int


def costs(cycle: MetricsSnapshot, tick: float) -> list[Cost]:
    """Reckon the cost of each family from one cycle; a histogram's series make one point a tick together."""
    rows = []
    for family in cycle.families:
        points = len({tuple(pair for pair in one.labels if pair[0] not in ("le", "quantile")) for one in family.series})
        rows.append(Cost(family.name, len(family), round(points * DAY / tick)))
    return rows
