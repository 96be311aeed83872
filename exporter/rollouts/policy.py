"""What the user may decide about the domain."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.rollouts.model import RolloutKey


def _all(_: str) -> bool:
    return True


def _none(_: RolloutKey) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class TrackingPolicy:
    """What is decided; times are in seconds.

    `grace`: absence before it counts as deletion; longer than a failover (20 s, observed.md 3.2). `ended_info`: for how
    long an info series whose label changed is said as 0. `hold_down`: after which a change of phase that no event
    accounts for is real. `roles`: pod label, as kube-state-metrics spells it, to role by value. `named_router`:
    rollouts that have a router although the controller names none. `watched`: namespaces looked at, None for all.
    `passes`: families passed through unchanged. `sidecar`: say nothing of rollouts unless the controller leads.
    """

    grace: float = 60.0
    ended_info: float = 300.0
    hold_down: float = 20.0
    roles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    named_router: Callable[[RolloutKey], bool] = _none
    watched: Callable[[str], bool] | None = None
    passes: Callable[[str], bool] = _all
    derive: bool = True
    sidecar: bool = False
    most_series: int = 1_000_000
