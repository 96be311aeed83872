"""What kube-state-metrics and rollout state last said, kept between their answers, and how far it can be believed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.family import Source
from exporter.rollouts.fleet import Key, Sighting, State, Workload
from exporter.rollouts.rollout import owner
from exporter.rollouts.state import states
from exporter.rollouts.workload import believable, workloads

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from exporter.family import Page
    from exporter.rollouts.fleet import Reading
    from exporter.rollouts.rules import Rules


class Hearing:
    """Takes each tick's pages; a source that was not due is heard as it was last, for as long as the grace.

    `asked`: kube-state-metrics was ever asked. `whole`: its last pages, of every shard, can be believed to be all.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._workloads: dict[Key, Workload] = {}
        self._states: dict[Key, State] = {}
        self._heard = dict.fromkeys(Source, float("-inf"))
        self.asked = False
        self.whole = False
        self.pages: tuple[Page, ...] = ()

    def take(self, at: float, pages: Sequence[Page], known: Collection[Key]) -> None:
        """Take a tick's pages; `known` are the rollouts that may own an experiment's pods."""
        for source in (Source.KUBE_STATE_METRICS, Source.ROLLOUT_STATE):
            own = tuple(page for page in pages if page.source is source)
            if own:
                self._heard[source] = at
            elif at - self._heard[source] <= self._rules.grace:
                continue
            if source is Source.ROLLOUT_STATE:
                self._states = states(own)
            else:
                self._take_workloads(own, known)

    def _take_workloads(self, pages: tuple[Page, ...], known: Collection[Key]) -> None:
        self.asked = self.asked or bool(pages)
        self.whole = bool(pages) and all(believable(page) for page in pages)
        self.pages = pages
        found = _with_experiments(workloads(pages, self._rules.roles), known)
        partial = bool(pages) and not self.whole
        self._workloads = self._workloads | found if partial else found

    def sighting(self, key: Key, reading: Reading | None, *, first_deploy: bool = False) -> Sighting:
        """Return all that is known of one rollout at this tick."""
        found, state = self._workloads.get(key), self._states.get(key)
        if reading is None and state is None:
            found = None  # a dying leader's last deeds go unseen, so roles remembered may be wrong
        elif found is not None and not _complete(found, reading, whole=self.whole):
            found = None
        return Sighting(reading, found, state, first_deploy)


def _complete(found: Workload, reading: Reading | None, *, whole: bool) -> bool:
    """Tell whether the pods shown are all there are: a shard may be down, or a store still filling."""
    own = sum(not pod.experiment for pod in found.pods)
    total = reading.replicas.total if reading is not None and reading.replicas is not None else None
    if whole:
        return own > 0 or not total
    return total is not None and own == total


def _with_experiments(found: dict[Key, Workload], known: Collection[Key]) -> dict[Key, Workload]:
    """Give the pods of experiments to the rollouts that own them."""
    for key in [key for key in found if key not in known and any(pod.experiment for pod in found[key].pods)]:
        mine = owner(*key, known)
        if mine is not None:
            whole = found.get(mine, Workload())
            found[mine] = replace(whole, pods=whole.pods + found.pop(key).pods)
    return found
