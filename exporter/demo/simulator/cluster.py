"""A simulated Kubernetes cluster with Argo Rollouts: deterministic, changed only by `advance` and by commands."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from exporter.demo.simulator.argo_page import render_argo_page
from exporter.demo.simulator.controllers import CLEANUP_SECONDS, ControllerGroup, DurationHistogram
from exporter.demo.simulator.ground_truth import ground_truth_of
from exporter.demo.simulator.kube_page import render_kube_page
from exporter.demo.simulator.kubelet import Kubelet, next_change
from exporter.demo.simulator.objects import ObjectKey, SimulatedReplicaSet, SimulatedRollout
from exporter.demo.simulator.reconciler import RECONCILE_DELAY, reconcile
from exporter.demo.simulator.state_page import render_state_page

if TYPE_CHECKING:
    from exporter.demo.simulator.controllers import SimulatedController
    from exporter.demo.simulator.ground_truth import GroundTruth
    from exporter.demo.simulator.objects import RolloutSpec

INFORM_INTERVAL = 0.0015
"""Seconds between the first reconciliations of a new leader: a real one took 63 ms for 44 rollouts."""
RESTART_SECONDS = 5.0
CONTROLLERS = ("argo-a", "argo-b")
# A fixed time, so that a test's pages are the same at each run.
DEFAULT_START = 1_795_446_000.0
RESOURCES = frozenset({"pods", "replicasets"})


class SimulatedCluster:
    """Rollouts, their pods and two controllers.

    Parameters and pages have Unix seconds; internal times start at `start` and run `speed` times as fast. Nothing
    happens between two calls of `advance`. After an event the controller sends notifications for
    `notification_seconds`, and only then writes the status.
    """

    def __init__(
        self, seed: int = 0, *, start: float = DEFAULT_START, speed: float = 1.0, notification_seconds: float = 0.0
    ) -> None:
        random = Random(seed)  # noqa: S311 - the same seed must give the same cluster
        self.start, self.speed, self._notification_seconds = start, speed, notification_seconds
        self.rollouts: dict[ObjectKey, SimulatedRollout] = {}
        self.orphans: list[SimulatedReplicaSet] = []
        self.controllers = ControllerGroup(CONTROLLERS, start, random)
        self._random = random
        self._kubelet = Kubelet(random)
        self._time = start

    @property
    def now(self) -> float:
        """The time up to which the cluster is simulated (Unix seconds)."""
        return self.to_unix_time(self._time)

    def to_unix_time(self, time: float) -> float:
        """Convert an internal time to Unix seconds."""
        return self.start + (time - self.start) / self.speed

    def advance(self, to: float) -> None:
        """Simulate up to and including `to` (Unix seconds); an earlier time changes nothing."""
        end = self.start + (to - self.start) * self.speed
        while (time := self._next_event_at()) <= end:
            self._time = max(self._time, time)
            self._process_due()
        self._time = max(self._time, end)

    def create(self, spec: RolloutSpec) -> None:
        """Apply a new Rollout."""
        rollout = SimulatedRollout(spec, self._time)
        self.rollouts[rollout.key] = rollout
        self._schedule_reconcile(rollout)

    def delete(self, namespace: str, name: str) -> None:
        """Delete a Rollout and its pods; its counters stay for 65 s."""
        rollout = self.rollouts.pop(ObjectKey(namespace, name))
        for replica_set in rollout.replica_sets.values():
            replica_set.desired, replica_set.sync_at = 0, self._time + RECONCILE_DELAY
        self.orphans += rollout.replica_sets.values()
        leader = self.controllers.leader
        if leader:
            leader.counters.observed_rollouts.discard(rollout.key)
            leader.counters.cleanups.append((self._time + CLEANUP_SECONDS, rollout.key))
            self._count_event(leader, rollout.key, "RolloutDeleted")

    def apply(self, spec: RolloutSpec) -> None:
        """Replace a Rollout's spec."""
        rollout = self.rollouts[ObjectKey(spec.namespace, spec.name)]
        rollout.spec, rollout.generation = spec, rollout.generation + 1
        self._schedule_reconcile(rollout)

    def deploy(self, namespace: str, name: str, image: str) -> None:
        """Set the image: a new one is an update, an old one a rollback."""
        self.apply(replace(self._spec(namespace, name), image=image))

    def scale(self, namespace: str, name: str, replicas: int) -> None:
        """Set spec.replicas."""
        self.apply(replace(self._spec(namespace, name), replicas=replicas))

    def pause(self, namespace: str, name: str) -> None:
        """Set spec.paused."""
        self.apply(replace(self._spec(namespace, name), paused=True))

    def resume(self, namespace: str, name: str) -> None:
        """Promote by one step: end the current pause, also one by spec.paused."""
        rollout = self._written_rollout(namespace, name)
        rollout.status.pause = None
        if rollout.spec.paused:
            self.apply(replace(rollout.spec, paused=False))
        self._schedule_reconcile(rollout)

    def promote_full(self, namespace: str, name: str) -> None:
        """Skip the remaining steps and pauses."""
        rollout = self._written_rollout(namespace, name)
        rollout.status.promote_full = not rollout.is_promoted
        self._schedule_reconcile(rollout)

    def skip_steps(self, namespace: str, name: str, count: int | None = None) -> None:
        """Skip some steps of a canary (promote --skip-current-step), or all (--skip-all-steps)."""
        rollout = self._written_rollout(namespace, name)
        index, last = rollout.status.step_index or 0, len(rollout.spec.steps)
        rollout.status.pause = None
        rollout.status.step_index = last if count is None else min(index + count, last)
        self._schedule_reconcile(rollout)

    def abort(self, namespace: str, name: str) -> None:
        """Abort the update; it stays aborted until a retry or a new revision."""
        rollout = self._written_rollout(namespace, name)
        rollout.status.abort = True
        self._schedule_reconcile(rollout)

    def retry(self, namespace: str, name: str) -> None:
        """Retry an aborted update from the first step."""
        rollout = self._written_rollout(namespace, name)
        rollout.status.abort = False
        self._schedule_reconcile(rollout)

    def rollback(self, namespace: str, name: str) -> None:
        """Deploy the image of the stable revision, or outside an update that of the revision before it."""
        rollout = self.rollouts[ObjectKey(namespace, name)]
        earlier = next(iter(rollout.other_replica_sets), None) if rollout.is_promoted else rollout.stable_replica_set
        if earlier is None:
            raise ValueError(f"{namespace}/{name} has no earlier revision; deploy another image first")
        self.deploy(namespace, name, earlier.image)

    def kill_controller(self, name: str) -> None:
        """End a controller; if it leads, no other one leads until its lease expires."""
        self._forget_unwritten(name)
        self.controllers.kill(name, self._time)

    def restart(self, name: str) -> None:
        """Start a controller that is down."""
        self.controllers.start(name, self._time)

    def failover(self) -> None:
        """End the leader; a standby leads when the lease expires, and the old leader restarts as a standby."""
        leader = self.controllers.leader
        if leader:
            self._forget_unwritten(leader.name)
            self.controllers.kill(leader.name, self._time, restarts_at=self._time + RESTART_SECONDS)

    def argo_page(self, controller: str) -> bytes | None:
        """Return a controller's /metrics, None if it is down."""
        process = self.controllers.by_name[controller]
        return render_argo_page(process, self.rollouts, self._time, self.to_unix_time) if process.is_up else None

    def kube_state_metrics_page(self, *, allow_lists: bool = True, resources: frozenset[str] = RESOURCES) -> bytes:
        """Return kube-state-metrics' page; `allow_lists` adds the pods' hash label and the ReplicaSets' revision."""
        return render_kube_page(
            self._replica_sets, self.orphans, self.to_unix_time, resources=resources, allow_lists=allow_lists
        )

    def state_page(self, *, uids: bool = False, details: bool = False) -> bytes:
        """Return the page of a kube-state-metrics with Rollout custom-resource state, as of the first configuration.

        `uids`: with the uids of the Rollouts; `details`: as of the second configuration.
        """
        return render_state_page(self.rollouts.values(), self.to_unix_time, uids=uids, details=details)

    def ground_truth(self) -> dict[ObjectKey, GroundTruth]:
        """Return the true state of each rollout, from the objects."""
        return {key: ground_truth_of(rollout) for key, rollout in self.rollouts.items()}

    @property
    def _replica_sets(self) -> list[SimulatedReplicaSet]:
        return [replica_set for rollout in self.rollouts.values() for replica_set in rollout.replica_sets.values()]

    def _spec(self, namespace: str, name: str) -> RolloutSpec:
        return self.rollouts[ObjectKey(namespace, name)].spec

    def _written_rollout(self, namespace: str, name: str) -> SimulatedRollout:
        """Return a rollout whose status a user changes: what the controller has not written yet is written first."""
        rollout = self.rollouts[ObjectKey(namespace, name)]
        if rollout.unwritten_status is not None:
            self._write_status(rollout)
        return rollout

    def _forget_unwritten(self, name: str) -> None:
        """Forget what a controller that ends has not written."""
        if self.controllers.by_name[name].is_leader:
            for rollout in self.rollouts.values():
                rollout.unwritten_status = None

    def _write_status(self, rollout: SimulatedRollout) -> None:
        """Write the status that waited for the notifications, and reconcile again."""
        assert rollout.unwritten_status is not None
        rollout.status, rollout.unwritten_status = rollout.unwritten_status, None
        if leader := self.controllers.leader:
            seconds = self._time - rollout.reconciled_at + rollout.reconcile_seconds
            leader.counters.observe_reconcile(rollout.key, seconds)
        rollout.next_reconcile_at = self._time + RECONCILE_DELAY

    def _schedule_reconcile(self, rollout: SimulatedRollout) -> None:
        if rollout.unwritten_status is not None:
            return
        if not rollout.status.spec_error:  # an invalid spec waits for its back-off, even once it is fixed
            rollout.next_reconcile_at = min(rollout.next_reconcile_at, self._time + RECONCILE_DELAY)

    def _next_event_at(self) -> float:
        times = [next_change(replica_set) for replica_set in [*self._replica_sets, *self.orphans]]
        times.append(self.controllers.next_change())
        if self.controllers.leader:
            times += [rollout.next_reconcile_at for rollout in self.rollouts.values()]
        return min(times)

    def _process_due(self) -> None:
        for rollout in self.rollouts.values():
            replica_sets = rollout.replica_sets.values()
            changes = [self._kubelet.reconcile(replica_set, self._time) for replica_set in replica_sets]
            if any(changes):
                self._schedule_reconcile(rollout)
        for replica_set in self.orphans:
            self._kubelet.reconcile(replica_set, self._time)
        self.orphans = [replica_set for replica_set in self.orphans if replica_set.pods]
        if self.controllers.advance(self._time):
            for index, rollout in enumerate(self.rollouts.values(), 1):
                rollout.next_reconcile_at = self._time + index * INFORM_INTERVAL
        if leader := self.controllers.leader:
            for rollout in self.rollouts.values():
                if rollout.next_reconcile_at > self._time:
                    continue
                if rollout.unwritten_status is not None:
                    self._write_status(rollout)
                else:
                    self._reconcile(leader, rollout)

    def _reconcile(self, leader: SimulatedController, rollout: SimulatedRollout) -> None:
        counters, key = leader.counters, rollout.key
        record = partial(self._count_event, leader, key)
        if key not in counters.observed_rollouts:
            counters.observed_rollouts.add(key)
            record("RolloutAddedToInformer")
        # A real controller, too, counts an error for each conflict: an update of a changed object is refused.
        has_conflict = rollout.spec.error or rollout.new_replica_set is None
        previous, event_count = replace(rollout.status), counters.events.total()
        reconcile(rollout, self._time, record)
        if self._notification_seconds and counters.events.total() > event_count and rollout.status != previous:
            rollout.unwritten_status, rollout.status = rollout.status, previous
            rollout.reconciled_at, rollout.next_reconcile_at = self._time, self._time + self._notification_seconds
        counters.errors[key] += bool(has_conflict)
        rollout.reconcile_seconds = self._random.uniform(0.002, 0.03)
        if rollout.unwritten_status is None:
            counters.observe_reconcile(key, rollout.reconcile_seconds)

    def _count_event(self, leader: SimulatedController, key: ObjectKey, reason: str) -> None:
        leader.counters.events[key, reason] += 1
        leader.counters.notifications.setdefault(key, DurationHistogram()).observe(self._random.uniform(1e-5, 5e-5))
