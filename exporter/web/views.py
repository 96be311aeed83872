"""The rows of the status page, as plain values that `service.views` fills in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One target; `state` is its controller role, else up or down; `last_success_age` in seconds, None for never."""

    source: str
    address: str
    state: str
    installation: str = ""
    last_success_age: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """One rollout; `fraction` in [0,1] with its method; None and "" are unknown, `unknown` holds the reasons."""

    namespace: str
    name: str
    phase: str = ""
    strategy: str = ""
    fraction: float | None = None
    method: str = ""
    updating: bool | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """The delivery section; `last_success_age` in seconds, None for never; `queued` and `dropped` count points."""

    state: str
    endpoint: str = ""
    last_success_age: float | None = None
    queued: int = 0
    dropped: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class StatusPage:
    """The complete page; `uptime` in seconds; `delivery` is None if no endpoint is set."""

    version: str
    instance: str
    uptime: float
    targets: tuple[TargetRow, ...] = ()
    rollouts: tuple[RolloutRow, ...] = ()
    delivery: DeliveryStatus | None = None
    warnings: tuple[str, ...] = ()
