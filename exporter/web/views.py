"""What the status page tells, as plain values that the app fills in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TargetRow:
    """One target address; `state` is leader, standby, up, down or the like, `age` the seconds since its last answer."""

    source: str
    address: str
    state: str
    installation: str = ""
    age: float | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """One rollout; `fraction` in [0,1] with the method it came from; None and "" are unknown, `unknown` says why."""

    namespace: str
    name: str
    phase: str = ""
    strategy: str = ""
    fraction: float | None = None
    method: str = ""
    updating: bool | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery line; `age` is the seconds since the last success, `queued` and `dropped` count points."""

    state: str
    endpoint: str = ""
    age: float | None = None
    queued: int = 0
    dropped: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The whole page; `uptime` in seconds, `delivery` None where no endpoint is set, `alarms` what ails the process."""

    version: str
    instance: str
    uptime: float
    targets: tuple[TargetRow, ...] = ()
    rollouts: tuple[RolloutRow, ...] = ()
    delivery: Delivery | None = None
    alarms: tuple[str, ...] = ()
