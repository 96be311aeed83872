"""What kube-state-metrics and rollout state last exported, and whether it is all that there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from exporter.metrics import ScrapeResult, Source
from exporter.rollouts.inputs import kube_state_metrics, rollout_state
from exporter.rollouts.inputs.controller import owning_rollout
from exporter.rollouts.inputs.kube_state_metrics import WorkloadIndex
from exporter.rollouts.inputs.last_status import LastStatuses, RememberedStatuses
from exporter.rollouts.inputs.rollout_state import RolloutStatusReader
from exporter.rollouts.model import ControllerView, Observation, RolloutKey, RolloutStatus, TrackingPolicy, Workload
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, KeysView, Mapping, Sequence

T = TypeVar("T", Workload, RolloutStatus)
_IS_COMPLETE: Final[Mapping[Source, Callable[[ScrapeResult], bool]]] = {
    Source.KUBE_STATE_METRICS: kube_state_metrics.is_complete_page,
    Source.ROLLOUT_STATE: rollout_state.is_complete_page,
}


class SourceTracker:
    """Follows both sources; one that was not due at a tick counts as unchanged, for the grace period at most.

    `has_workload_source`: kube-state-metrics was scraped at least once. `complete_sources`: sources whose last pages
    show everything, so that what is absent from them is gone.
    """

    def __init__(
        self,
        policy: TrackingPolicy,
        statuses: RememberedStatuses,
        event_counts: Mapping[RolloutKey, Mapping[str, float]],
    ) -> None:
        self._policy = policy
        self._workload_index = WorkloadIndex(policy.role_labels, policy.commit_time)
        self._status_reader = RolloutStatusReader()
        self._workloads: dict[RolloutKey, Workload] = {}
        self._statuses = statuses.statuses
        self._last_statuses = LastStatuses(policy.grace, statuses, event_counts)
        self._now = float("-inf")
        self._carried_over: Mapping[RolloutKey, Workload] = {}
        self._last_scraped = dict.fromkeys(Source, float("-inf"))
        self._last_update = dict.fromkeys(Source, float("-inf"))
        self._changed: Collection[RolloutKey] | None = None
        self.has_workload_source = False
        self.complete_sources: set[Source] = set()
        self.workload_results: tuple[ScrapeResult, ...] = ()

    def update(self, now: float, results: Sequence[ScrapeResult], rollouts: Collection[RolloutKey]) -> None:
        """Process the results of a tick; `rollouts` may own the pods of experiments."""
        workloads, complete, self._now = self._workloads, self._workloads_complete, now
        changed_statuses: set[RolloutKey] = set()
        for source, is_complete in _IS_COMPLETE.items():
            source_results = tuple(result for result in results if result.source is source)
            if source_results:
                self._last_scraped[source] = now
            elif now - self._last_scraped[source] <= self._policy.grace:
                continue
            self.complete_sources.discard(source)
            if source_results and all(map(is_complete, source_results)):
                self.complete_sources.add(source)
            if source is Source.ROLLOUT_STATE:
                changed_statuses = self._update_statuses(now, source_results)
            else:
                self._update_workloads(now, source_results, rollouts)
            self._last_update[source] = now
        # None: completeness changed, which decides about every workload.
        self._changed = None
        if complete == self._workloads_complete:
            self._changed = _changed_keys(workloads, self._workloads) | changed_statuses

    def changed(self, key: RolloutKey) -> bool:
        """Return whether the last tick may have changed the observation of a rollout."""
        return self._changed is None or key in self._changed

    def observe(self, key: RolloutKey, view: ControllerView | None, *, first_deploy: bool = False) -> Observation:
        """Return all sources' view of one rollout at this tick."""
        workload = self._workload(key)
        replica_sets = workload.replica_sets if workload is not None else {}
        status = self._last_statuses.get(key, self._now, view, replica_sets)
        if view is None and (status is None or status.observed_at < self._now):
            # The last actions of a terminating leader are never scraped, so what was shown before may be outdated.
            workload = status = None
        elif workload is not None and not _shows_all_pods(workload, view, complete=self._workloads_complete):
            workload = None
        return Observation(view, workload, status, first_deploy)

    def is_gone(self, key: RolloutKey) -> bool:
        """Return whether a source that shows everything does not show a rollout."""
        by_source = {Source.ROLLOUT_STATE: self._statuses, Source.KUBE_STATE_METRICS: self._workloads}
        return any(key not in by_source[source] for source in self.complete_sources)

    @property
    def rollouts(self) -> KeysView[RolloutKey]:
        """The rollouts that rollout state shows."""
        return self._statuses.keys()

    def untracked_rollouts(self, tracked: Collection[RolloutKey]) -> set[RolloutKey]:
        """Return the rollouts that either source shows, without the tracked ones."""
        untracked = {key for key in self._statuses if key not in tracked}
        # An experiment's pods have its own name until its rollout is tracked; it has no ReplicaSets of a Rollout.
        return untracked | {key for key in self._workloads if key not in tracked and self._workloads[key].replica_sets}

    @property
    def has_rollout_state(self) -> bool:
        """Whether rollout state was scraped within the grace period."""
        return self._now - self._last_scraped[Source.ROLLOUT_STATE] <= self._policy.grace

    @property
    def remembered_statuses(self) -> RememberedStatuses:
        """The statuses that the next process needs."""
        return self._last_statuses.remembered

    @property
    def pod_names(self) -> set[tuple[str, str]]:
        """Namespace and name of every pod of a rollout."""
        return {(key[0], pod.name) for key, workload in self._workloads.items() for pod in workload.pods}

    @property
    def _workloads_complete(self) -> bool:
        return Source.KUBE_STATE_METRICS in self.complete_sources

    def _update_statuses(self, now: float, results: tuple[ScrapeResult, ...]) -> set[RolloutKey]:
        """Follow the pages of rollout state; return the rollouts whose status is another one."""
        previous, self._statuses = self._statuses, self._status_reader.read(results, now)
        changed = _changed_keys(previous, self._statuses)
        complete = Source.ROLLOUT_STATE in self.complete_sources
        return self._last_statuses.update(now, self._statuses, changed, complete=complete)

    def _update_workloads(
        self, now: float, results: tuple[ScrapeResult, ...], rollouts: Collection[RolloutKey]
    ) -> None:
        self.has_workload_source = self.has_workload_source or bool(results)
        self.workload_results = results
        workloads = _with_experiments(self._workload_index.read(results, now), rollouts)
        # While a shard is down, its rollouts stay as they were last observed.
        partial = bool(results) and not self._workloads_complete
        absent = [key for key in self._workloads if key not in workloads] if partial else []
        self._carried_over = {key: carried for key in absent if (carried := self._workload(key)) is not None}
        self._workloads = {**self._carried_over, **workloads}

    def _workload(self, key: RolloutKey) -> Workload | None:
        """Return a rollout's pods, observed when they were last on a page."""
        workload = self._workloads.get(key)
        carried = key in self._carried_over
        return workload if carried else _as_of(workload, self._last_update[Source.KUBE_STATE_METRICS])


def _as_of(workload: Workload | None, timestamp: float) -> Workload | None:
    """Return a workload that was on the last page, too: the reader leaves an unchanged one as it was first observed."""
    if workload is None or workload.observed_at == timestamp:
        return workload
    return replace(workload, observed_at=timestamp)


def _changed_keys(previous: Mapping[RolloutKey, T], current: Mapping[RolloutKey, T]) -> set[RolloutKey]:
    """Return the rollouts whose value differs, appeared or disappeared."""
    if previous is current:
        return set()
    changed = {key for key, item in current.items() if (old := previous.get(key)) is not item and old != item}
    return changed | (previous.keys() - current.keys())


def _shows_all_pods(workload: Workload, view: ControllerView | None, *, complete: bool) -> bool:
    """Return whether no pods are missing: a shard may be down, or kube-state-metrics still filling its caches."""
    pod_count = sum(not pod.experiment for pod in workload.pods)
    total = view.replicas.total if view is not None and view.replicas is not None else None
    if complete:
        return pod_count > 0 or not total
    return total is not None and pod_count == total


def _with_experiments(
    workloads: dict[RolloutKey, Workload], rollouts: Collection[RolloutKey]
) -> dict[RolloutKey, Workload]:
    """Move the pods of experiments to the rollouts that own them."""
    # Their ReplicaSets are owned by an Experiment, whose name begins with the rollout's.
    for key in [k for k in workloads if k not in rollouts and any(pod.experiment for pod in workloads[k].pods)]:
        owner = owning_rollout(*key, rollouts)
        if owner is not None:
            workload = workloads.get(owner, Workload())
            workloads[owner] = replace(workload, pods=workload.pods + workloads.pop(key).pods)
    return workloads
