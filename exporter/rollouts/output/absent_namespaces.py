"""When counters of a namespace are evicted: they outlive rollouts, but not their namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class AbsentNamespaces:
    """The counted namespaces that had no rollout at the last call."""

    def __init__(self) -> None:
        self._absent: set[str] = set()

    def to_evict(self, counted: Iterable[str], namespaces: Collection[str]) -> set[str]:
        """Return the `counted` ones that are not among the `namespaces` with rollouts, now and at the last call."""
        previous, self._absent = self._absent, set(counted).difference(namespaces)
        return previous & self._absent
