"""What a view shows at one moment, and how urgent each rollout is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exporter.commands.explain import rollout_name
from exporter.web.model import Urgency

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.commands.rollout_source import RolloutObject, RolloutsPage

_AWAY: Final = {"no_leader", "not_shown", "never_shown"}
"""Reasons in `unknown` for which what is shown of a rollout is its last known state."""


@dataclass(frozen=True, slots=True)
class WatchState:
    """The rollouts that were read last from `origin`, seen at `now` (Unix seconds).

    `failure` is why the last read failed, "" if it did not: then everything is the last known state, from
    `page.scraped_at`. `status` is the object of /api/status, empty where there is none. `notes` are lines for the end.
    """

    origin: str
    page: RolloutsPage
    now: float
    failure: str = ""
    status: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


def urgency(rollout: RolloutObject) -> Urgency:
    """Return the group of a rollout, an object of /api/rollouts."""
    if rollout.get("urgency"):
        return Urgency(rollout["urgency"])
    standing = rollout["standing"]
    if rollout["waits_for"] == "person" or rollout["cause"] == "invalid_spec":
        return Urgency.PERSON
    if standing == "aborted" or rollout["cause"] is not None:
        return Urgency.FAILED
    if standing == "updating":
        return Urgency.UPDATING
    return Urgency.REST if standing == "settled" and rollout["phase"] else Urgency.UNKNOWN


def by_urgency(rollouts: Sequence[RolloutObject]) -> dict[Urgency, list[RolloutObject]]:
    """Return the rollouts of each group by name, the most urgent group first; groups without any are left out."""
    groups: dict[Urgency, list[RolloutObject]] = {group: [] for group in Urgency}
    for rollout in sorted(rollouts, key=rollout_name):
        groups[urgency(rollout)].append(rollout)
    return {group: members for group, members in groups.items() if members}


def is_away(rollout: RolloutObject) -> bool:
    """Return whether no controller shows a rollout now, so that its state is the last known one."""
    return bool(_AWAY & set(rollout["unknown"]))


def set_weight(rollout: RolloutObject) -> float | None:
    """Return the weight in [0, 1] that is set for the canary, None if it is not known."""
    if "set_weight" in rollout:
        weight: float | None = rollout["set_weight"]
        return weight
    fraction = rollout["fraction"]
    return fraction["estimates"].get("weight") if fraction is not None and rollout["router"] else None
