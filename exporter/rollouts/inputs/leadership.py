"""Every controller address, judged: leader, standby, starting or down, with the evidence.

A standby answers 200 with an idle page, so being up says nothing (facts/observed.md 3.2). A process that ever had
work in its queues leads until it ends: it exits when it loses the lease.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from exporter.metrics import Source
from exporter.rollouts.inputs.controller import samples, started
from exporter.rollouts.model import ControllerProcess

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from exporter.metrics import ScrapeResult

_STARTING: Final = 30.0
_LEADING: Final = ("rollout_info", "rollout_phase", "rollout_events_total", "analysis_run_info")


class Verdict(StrEnum):
    """What a controller address is."""

    LEADER = "leader"
    STANDBY = "standby"
    STARTING = "starting"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Controller:
    """One judged address. `steady`: the same process led at the last tick, too, and its page is whole.

    A new leader's first page may be incomplete (observed.md 3.2.3), so only a steady one's silence proves anything.
    """

    page: ScrapeResult
    process: ControllerProcess
    verdict: Verdict
    evidence: str
    steady: bool = False


def judge(pages: Iterable[ScrapeResult], led: Collection[ControllerProcess]) -> list[Controller]:
    """Judge the controllers' pages, those that go on leading first; `led` are the processes that led before."""
    judged = [_judge(page, led) for page in pages if page.source is Source.ARGO]
    taken = {one.page.installation for one in judged if one.verdict is Verdict.LEADER}
    judged = [_beside_leader(one) if one.page.installation in taken else one for one in judged]
    return sorted(judged, key=lambda one: (not one.steady, -one.process.start_time, one.page.target))


def _beside_leader(one: Controller) -> Controller:
    """Tell a process that has just started for a standby when another one of its installation leads."""
    if one.verdict is not Verdict.STARTING:
        return one
    return replace(one, verdict=Verdict.STANDBY, evidence="it shows no rollouts, and another controller leads")


def _judge(page: ScrapeResult, led: Collection[ControllerProcess]) -> Controller:
    process = ControllerProcess(page.target, started(page), page.installation)
    if page.failure is not None:
        return Controller(page, process, Verdict.DOWN, page.failure.message)
    shown = next((name for name in _LEADING if len(page.families.get(name, ()))), "")
    if shown:
        steady = process in led and not page.parse_errors
        return Controller(page, process, Verdict.LEADER, f"its page shows {shown}", steady)
    if any(value > 0 for _, value in samples(page, "workqueue_adds_total")):
        steady = process in led and not page.parse_errors
        return Controller(page, process, Verdict.LEADER, "its work queues have had work", steady)
    if page.scraped_at - process.start_time < _STARTING:
        return Controller(page, process, Verdict.STARTING, "it has just started, and shows no rollouts")
    return Controller(page, process, Verdict.STANDBY, "its page shows no rollouts, its work queues no work")
