"""What the settings decide about tracking."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.rollouts.model import RolloutKey


@dataclass(frozen=True, slots=True)
class TrackingPolicy:
    """Settings of the tracker; times are in seconds.

    `grace`: absence that counts as deletion; longer than a failover, which takes about 20 s (a lease of 15 s and the
    new leader's first reconciliations). `ended_info`: how long a replaced info series is exported as 0. `hold_down`:
    how long a phase without an event that explains it must last to count. `role_labels`: pod label, spelled as
    kube-state-metrics spells it, to role by label value. `has_router`: rollouts that have a traffic router even if the
    controller exports none. `namespace_allowed`: namespaces to track, None for all. `passes_through`: families to
    export unchanged. `sidecar`: export nothing about rollouts unless this controller leads.
    """

    grace: float = 60.0
    ended_info: float = 300.0  # stores that ignore staleness markers return a last value for 5 min
    hold_down: float = 20.0
    role_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    has_router: Callable[[RolloutKey], bool] = lambda _: False
    namespace_allowed: Callable[[str], bool] | None = None
    passes_through: Callable[[str], bool] = lambda _: True
    derive: bool = True
    sidecar: bool = False
    series_limit: int = 1_000_000
