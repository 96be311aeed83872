"""What the user may decide about the domain."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.rollouts.fleet import Key


def _every(_: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rules:
    """`grace`: seconds of absence before it counts as deletion; longer than a failover (20 s, observed.md 3.2).

    `ended_info`: seconds for which an info series whose label changed is said as 0. `roles`: pod label, as
    kube-state-metrics spells it, to role by value. `routers`: globs of namespace/name that have a router although
    the controller names none. `passes`: which families are passed through unchanged. `sidecar`: say nothing of
    rollouts unless the controller leads.
    """

    grace: float = 60.0
    ended_info: float = 300.0
    roles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    routers: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    namespaces_left_out: tuple[str, ...] = ()
    passes: Callable[[str], bool] = _every
    derive: bool = True
    sidecar: bool = False
    most_series: int = 1_000_000

    def named_router(self, key: Key) -> bool:
        """Tell whether the user says that a rollout has a router."""
        return any(fnmatchcase("/".join(key), glob) for glob in self.routers)

    def watched(self, namespace: str) -> bool:
        """Tell whether a namespace is among those looked at; an empty list of inclusions means all."""
        if any(fnmatchcase(namespace, glob) for glob in self.namespaces_left_out):
            return False
        return not self.namespaces or any(fnmatchcase(namespace, glob) for glob in self.namespaces)
