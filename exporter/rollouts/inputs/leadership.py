"""Elects the leader among all controller addresses.

A standby answers 200 with a page without rollouts, so a successful scrape does not make a leader. A process that has
worked its queues is the leader until it ends, since a controller exits when it loses the lease.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from exporter.metrics import Source
from exporter.rollouts.inputs.controller import scraped_process

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from exporter.metrics import ScrapeResult
    from exporter.rollouts.model import ControllerProcess

_STARTING_SECONDS: Final = 30.0
"""Time for a new process to take the lease and export rollouts: the lease of a dead leader expires after 15 s."""
_LEADER_FAMILIES: Final = ("rollout_info", "rollout_phase", "rollout_events_total", "analysis_run_info")
"""Only a leader has samples of these: a standby's listers are empty."""


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
    for place, controller in enumerate(controllers):
        if controller.role is ControllerRole.STARTING and controller.result.installation in led:
            evidence = "it shows no rollouts, and another controller leads"
            controllers[place] = replace(controller, role=ControllerRole.STANDBY, evidence=evidence)
    # Of a rollout on two pages the first view is used, so the order decides during a takeover.
    return sorted(controllers, key=lambda c: (not c.established, -c.process.start_time, c.result.target))


def _controller(result: ScrapeResult, previous: Collection[ControllerProcess]) -> ScrapedController:
    process = scraped_process(result)
    role, evidence = _role(result, process.start_time)
    established = role is ControllerRole.LEADER and process in previous and not result.parse_errors
    return ScrapedController(result, process, role, evidence, established)


def _role(result: ScrapeResult, start_time: float) -> tuple[ControllerRole, str]:
    """Return the role of a controller by its own page, and the evidence."""
    if result.failure is not None:
        return ControllerRole.DOWN, result.failure.message
    family = next((name for name in _LEADER_FAMILIES if len(result.families.get(name, ()))), "")
    if family:
        return ControllerRole.LEADER, f"its page shows {family}"
    # Recognises a leader that has no rollouts; the queues of a standby are at 0.
    if any(value > 0 for _, value in result.samples("workqueue_adds_total")):
        return ControllerRole.LEADER, "its work queues have had work"
    if result.scraped_at - start_time < _STARTING_SECONDS:
        return ControllerRole.STARTING, "it has just started, and shows no rollouts"
    return ControllerRole.STANDBY, "its page shows no rollouts, its work queues no work"
