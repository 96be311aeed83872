"""The command `once` and `series --estimate`: run one scrape cycle, check it, and compute its cost."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.metrics import Source
from exporter.rollouts.tracker import RolloutTracker
from exporter.scrape.scraper import Scraper
from exporter.service.wiring import identity, parser_factory, tracking_policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.config.settings import Settings
    from exporter.metrics import MetricsSnapshot, ScrapeResult
    from exporter.rollouts.output.targets import TargetStatus

_SECONDS_PER_MONTH: Final = 30 * 86_400.0
_POINT_LABELS: Final = ("le", "quantile")  # labels that distinguish the series of one histogram or summary point


@dataclass(frozen=True, slots=True)
class OnceResult:
    """The snapshot of one cycle, and its targets."""

    snapshot: MetricsSnapshot
    targets: tuple[TargetStatus, ...]

    @property
    def target_lines(self) -> Iterator[str]:
        """One line per target: its controller role, and its number of samples or the failure reason."""
        for target in self.targets:
            result = target.result
            role = f"{target.role}, " if target.role is not None else ""
            failure = result.failure
            outcome = f"{result.sample_count} samples" if failure is None else f"failed ({failure.reason})"
            yield f"{result.source} {result.target}: {role}{outcome}"

    @property
    def problems(self) -> tuple[str, ...]:
        """What this cycle did not find although an exporter needs it, each with a hint."""
        return (*self._scrape_failures(), *self._missing_leaders(), *self._missing_pods())

    def _scrape_failures(self) -> Iterator[str]:
        for result in self._results():
            if result.failure is not None:
                yield f"{result.source} {result.target}: {result.failure.message}"

    def _missing_leaders(self) -> Iterator[str]:
        led_installations = {target.result.installation for target in self.targets if target.role == "leader"}
        for installation in dict.fromkeys(result.installation for result in self._results(Source.ARGO)):
            if installation not in led_installations:
                location = "" if installation == "default" else f" in the installation {installation}"
                hint = "check argo.targets, and that there is a Rollout"
                yield f"no leading controller{location}: no target exports rollouts; {hint}"

    def _missing_pods(self) -> Iterator[str]:
        results = self._results(Source.KUBE_STATE_METRICS)
        if results and all(result.failure is not None for result in results):
            yield "no kube-state-metrics target could be scraped; check kube_state_metrics.targets"
        elif results and not any(len(family) for result in results for family in result.families.values()):
            hint = "check kube_state_metrics.targets, and that its --resources include pods and replicasets"
            yield f"kube-state-metrics exports no pods; {hint}"

    def _results(self, source: Source | None = None) -> list[ScrapeResult]:
        return [target.result for target in self.targets if source in (None, target.result.source)]


async def run_cycle(settings: Settings) -> OnceResult:
    """Scrape every target once. Raises ValueError for an invalid target."""
    scraper = Scraper(settings, parser_factory(settings))
    tracker = RolloutTracker(tracking_policy(settings))
    now = time.time()
    try:
        snapshot = tracker.process(now, await scraper.scrape(now))
    finally:
        await scraper.aclose()
    return OnceResult(snapshot, tracker.status.targets)


def to_otlp_json(snapshot: MetricsSnapshot, settings: Settings) -> Iterator[str]:
    """Yield the OTLP requests of a snapshot, each in OTLP's JSON mapping."""
    from exporter.otlp.encode.encoder import Encoder  # noqa: PLC0415 - OTLP's messages are loaded only if needed
    from exporter.otlp.encode.protobuf import otlp_json  # noqa: PLC0415 - the same

    limits, keeps_name = settings.otlp.request, settings.series.keep_names.matches
    encoder = Encoder(identity(settings), limits.points, limits.bytes, keeps_name)
    for request in encoder.requests(snapshot):
        yield json.dumps(otlp_json(request.body), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class FamilyCost:
    """The cost of a family: its series, and its data points per month of 30 days at the configured interval."""

    family: str
    series_count: int
    points_per_month: int


def family_costs(snapshot: MetricsSnapshot, tick_seconds: float) -> list[FamilyCost]:
    """Return the cost of each family, the largest first; all series of one histogram are one point per tick."""
    rows = []
    for family in snapshot.families:
        points = {tuple(pair for pair in series.labels if pair[0] not in _POINT_LABELS) for series in family.series}
        rows.append(FamilyCost(family.name, len(family), round(len(points) * _SECONDS_PER_MONTH / tick_seconds)))
    return sorted(rows, key=lambda row: (-row.series_count, row.family))


def estimate_lines(rows: Sequence[FamilyCost], price_per_million: float | None) -> Iterator[str]:
    """Yield a table of families with their share of all series, and the price of their points if there is one."""
    total = FamilyCost("all", sum(row.series_count for row in rows), sum(row.points_per_month for row in rows))
    priced = price_per_million is not None
    yield f"{'family':60} {'series':>9} {'share':>6} {'points/month':>15}" + (f" {'price/month':>12}" if priced else "")
    for row in (*rows, total):
        share = row.series_count / total.series_count if total.series_count else 0.0
        price = f" {row.points_per_month / 1e6 * price_per_million:12,.2f}" if price_per_million is not None else ""
        yield f"{row.family:60} {row.series_count:9,} {share:6.1%} {row.points_per_month:15,}{price}"
