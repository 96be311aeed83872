"""What kube-state-metrics and rollout state last said, kept between their answers, and how far it can be believed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.metrics import Source
from exporter.rollouts.inputs.analysis_runs import owning_rollout
from exporter.rollouts.inputs.kube_state_metrics import Workloads, believable
from exporter.rollouts.inputs.rollout_state import States, shows_rollouts
from exporter.rollouts.model import Observation, RolloutKey, RolloutStatus, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from exporter.metrics import ScrapeResult
    from exporter.rollouts.model import ControllerView
    from exporter.rollouts.policy import TrackingPolicy

T = TypeVar("T")
_BELIEVABLE: Final[Mapping[Source, Callable[[ScrapeResult], bool]]] = {
    Source.KUBE_STATE_METRICS: believable,
    Source.ROLLOUT_STATE: shows_rollouts,
}


class Hearing:
    """Takes each tick's pages; a source that was not due is heard as it was last, for as long as the grace.

    `asked`: kube-state-metrics was ever asked. `proven`: sources whose last pages can be believed to be all.
    """

    def __init__(self, rules: TrackingPolicy) -> None:
        self._rules = rules
        self._workloads: dict[RolloutKey, Workload] = {}
        self._states: dict[RolloutKey, RolloutStatus] = {}
        self._late: Mapping[RolloutKey, Workload] = {}
        self._said = float("-inf")
        self._heard = dict.fromkeys(Source, float("-inf"))
        self._workloads_of = Workloads(rules.roles)
        self._states_of = States()
        self._stirred: Collection[RolloutKey] | None = None
        self.asked = False
        self.proven: set[Source] = set()
        self.pages: tuple[ScrapeResult, ...] = ()

    def take(self, at: float, pages: Sequence[ScrapeResult], known: Collection[RolloutKey]) -> None:
        """Take a tick's pages; `known` are the rollouts that may own an experiment's pods."""
        before = self._workloads, self._states, self._whole
        for source in (Source.KUBE_STATE_METRICS, Source.ROLLOUT_STATE):
            own = tuple(page for page in pages if page.source is source)
            if own:
                self._heard[source] = at
            elif at - self._heard[source] <= self._rules.grace:
                continue
            self._prove(source, own)
            if source is Source.ROLLOUT_STATE:
                self._states = self._states_of.read(own, at)
            else:
                self._take_workloads(at, own, known)
        workloads, states, whole = before
        self._stirred = None
        if whole == self._whole:
            self._stirred = {*_differing(workloads, self._workloads), *_differing(states, self._states)}

    def stirred(self, key: RolloutKey) -> bool:
        """Tell whether at the last tick something else was heard of a rollout than before, or in another way."""
        return self._stirred is None or key in self._stirred

    def _prove(self, source: Source, pages: Sequence[ScrapeResult]) -> None:
        if pages and all(map(_BELIEVABLE[source], pages)):
            self.proven.add(source)
        else:
            self.proven.discard(source)

    @property
    def _whole(self) -> bool:
        return Source.KUBE_STATE_METRICS in self.proven

    def _take_workloads(self, at: float, pages: tuple[ScrapeResult, ...], known: Collection[RolloutKey]) -> None:
        self.asked = self.asked or bool(pages)
        self.pages = pages
        found = _with_experiments(self._workloads_of.read(pages, at), known)
        partial = bool(pages) and not self._whole
        absent = [key for key in self._workloads if key not in found] if partial else []
        self._late = {key: late for key in absent if (late := self._workload(key)) is not None}
        self._workloads = {**self._late, **found}
        self._said = at

    def _workload(self, key: RolloutKey) -> Workload | None:
        """Return what was said of a rollout's pods, with the time when that was."""
        found = self._workloads.get(key)
        if found is None or key in self._late or found.observed_at == self._said:
            return found
        return replace(found, observed_at=self._said)

    @property
    def pods(self) -> set[tuple[str, str]]:
        """Every pod (namespace, name) of a rollout."""
        return {(key[0], pod.name) for key, found in self._workloads.items() for pod in found.pods}

    def sighting(self, key: RolloutKey, reading: ControllerView | None, *, first_deploy: bool = False) -> Observation:
        """Return all that is known of one rollout at this tick."""
        found, state = self._workload(key), self._states.get(key)
        if reading is None and state is None:
            found = None  # a dying leader's last deeds go unseen, so roles remembered may be wrong
        elif found is not None and not _complete(found, reading, whole=self._whole):
            found = None
        return Observation(reading, found, state, first_deploy)


def _differing(before: Mapping[RolloutKey, T], now: Mapping[RolloutKey, T]) -> Collection[RolloutKey]:
    """Return the rollouts of which something else is said."""
    if before is now:
        return frozenset()
    return {key for key in before.keys() | now.keys() if not _alike(before.get(key), now.get(key))}


def _alike(one: T | None, other: T | None) -> bool:
    return one is other or one == other


def _complete(found: Workload, reading: ControllerView | None, *, whole: bool) -> bool:
    """Tell whether the pods shown are all there are: a shard may be down, or a store still filling."""
    own = sum(not pod.experiment for pod in found.pods)
    total = reading.replicas.total if reading is not None and reading.replicas is not None else None
    if whole:
        return own > 0 or not total
    return total is not None and own == total


def _with_experiments(found: dict[RolloutKey, Workload], known: Collection[RolloutKey]) -> dict[RolloutKey, Workload]:
    """Give the pods of experiments to the rollouts that own them."""
    for key in [key for key in found if key not in known and any(pod.experiment for pod in found[key].pods)]:
        mine = owning_rollout(*key, known)
        if mine is not None:
            whole = found.get(mine, Workload())
            found[mine] = replace(whole, pods=whole.pods + found.pop(key).pods)
    return found
