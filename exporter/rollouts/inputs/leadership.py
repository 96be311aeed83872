"""Elects the leader among all controller addresses.

A standby answers 200 with a page without rollouts, so a successful scrape does not make a leader. A process that has
worked its queues is the leader until it ends, since a controller exits when it loses the lease.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from exporter.metrics import Source
from exporter.rollouts.inputs.controller import process_start_time
from exporter.rollouts.model import ControllerProcess

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from exporter.metrics import ScrapeResult

_STARTING_SECONDS: Final = 30.0
"""Time for a new process to take the lease and export rollouts: the lease of a dead leader expires after 15 s."""
_LEADER_FAMILIES: Final = ("rollout_info", "rollout_phase", "rollout_events_total", "analysis_run_info")


class ControllerRole(StrEnum):
    """What a controller address is."""

    LEADER = "leader"
    STANDBY = "standby"
    STARTING = "starting"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class ScrapedController:
    """A controller address with its role and the evidence for it.

    `established`: the process led at the previous tick, too, and its page has no parse errors. The first page of a new
    leader may be incomplete, so only what an established one does not show is gone.
    """

    result: ScrapeResult
    process: ControllerProcess
    role: ControllerRole
    evidence: str
    established: bool = False


def elect_leaders(results: Iterable[ScrapeResult], previous: Collection[ControllerProcess]) -> list[ScrapedController]:
    """Return all controllers, established leaders first; `previous` are the processes that led at the last tick."""
    controllers = [_controller(result, previous) for result in results if result.source is Source.ARGO]
    led = {c.result.installation for c in controllers if c.role is ControllerRole.LEADER}
    controllers = [_demote_starting(c) if c.result.installation in led else c for c in controllers]
    return sorted(controllers, key=lambda c: (not c.established, -c.process.start_time, c.result.target))


def _demote_starting(controller: ScrapedController) -> ScrapedController:
    """Make a starting process a standby if another one of its installation leads."""
    if controller.role is not ControllerRole.STARTING:
        return controller
    evidence = "it shows no rollouts, and another controller leads"
    return replace(controller, role=ControllerRole.STANDBY, evidence=evidence)


def _controller(result: ScrapeResult, previous: Collection[ControllerProcess]) -> ScrapedController:
    process = ControllerProcess(result.target, process_start_time(result), result.installation)
    if result.failure is not None:
        return ScrapedController(result, process, ControllerRole.DOWN, result.failure.message)
    established = process in previous and not result.parse_errors
    family = next((name for name in _LEADER_FAMILIES if len(result.families.get(name, ()))), "")
    if family:
        return ScrapedController(result, process, ControllerRole.LEADER, f"its page shows {family}", established)
    if any(value > 0 for _, value in result.samples("workqueue_adds_total")):
        evidence = "its work queues have had work"
        return ScrapedController(result, process, ControllerRole.LEADER, evidence, established)
    if result.scraped_at - process.start_time < _STARTING_SECONDS:
        evidence = "it has just started, and shows no rollouts"
        return ScrapedController(result, process, ControllerRole.STARTING, evidence)
    evidence = "its page shows no rollouts, its work queues no work"
    return ScrapedController(result, process, ControllerRole.STANDBY, evidence)
