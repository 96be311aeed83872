"""A simulated Kubernetes cluster with Argo Rollouts: pure, repeatable, moved only by `advance` and by commands."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from exporter.demo.simulator import argo_page, ground_truth, kube_page, state_page
from exporter.demo.simulator.controllers import CLEANUP_SECONDS, SimulatedController, ControllerGroup, EventKey, DurationHistogram
from exporter.demo.simulator.kubelet import Kubelet, next_change
from exporter.demo.simulator.objects import NEVER, ObjectKey, SimulatedReplicaSet, SimulatedRollout
from exporter.demo.simulator.reconciler import RECONCILE_DELAY, reconcile

if TYPE_CHECKING:
    from exporter.demo.simulator.objects import RolloutSpec

INFORM_INTERVAL = 0.0015
"""Seconds between two rollouts that a new leader takes up (44 of them took 63 ms, observed.md §3.2)."""
RESTART_SECONDS = 5.0
DEFAULT_START = 1_795_446_000.0
RESOURCES = frozenset({"pods", "replicasets"})


class SimulatedCluster:
    """Rollouts, their pods and two controllers.

    `now` and every time given or shown are Unix seconds outside; inside, the simulation runs `speed` times as fast
    from `start` on. Nothing happens between two calls of `advance`.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        start: float = DEFAULT_START,
        speed: float = 1.0,
        controllers: tuple[str, ...] = ("argo-a", "argo-b"),
    ) -> None:
        chance = Random(seed)  # noqa: S311 - the same seed must give the same cluster
        self.start, self.speed = start, speed
        self.rollouts: dict[ObjectKey, SimulatedRollout] = {}
        self.orphans: list[SimulatedReplicaSet] = []
        self.controllers = ControllerGroup(controllers, start, chance)
        self._random = chance
        self._kubelet = Kubelet(chance)
        self._time = start

    @property
    def now(self) -> float:
        """How far the cluster has come."""
        return self.to_unix_time(self._time)

    def to_unix_time(self, time: float) -> float:
        """Turn a time inside the simulation into one outside."""
        return self.start + (time - self.start) / self.speed

    def advance(self, to: float) -> None:
        """Let everything happen that is due up to and including `to`; going back is no movement."""
        end = self.start + (to - self.start) * self.speed
        while (moment := self._next_event_at()) <= end:
            self._time = max(self._time, moment)
            self._process_due()
        self._time = max(self._time, end)

    def create(self, spec: RolloutSpec) -> None:
        """Apply a new Rollout."""
        rollout = SimulatedRollout(spec, self._time)
        self.rollouts[rollout.key] = rollout
        self._schedule_reconcile(rollout)

    def delete(self, namespace: str, name: str) -> None:
        """Delete a Rollout; its pods go, its counters linger for 65 s."""
        rollout = self.rollouts.pop(ObjectKey(namespace, name))
        for one in rollout.replica_sets.values():
            one.desired, one.sync_at = 0, self._time + RECONCILE_DELAY
        self.orphans += rollout.replica_sets.values()
        leader = self.controllers.leader
        if leader:
            leader.counters.observed_rollouts.discard(rollout.key)
            leader.counters.cleanups.append((self._time + CLEANUP_SECONDS, rollout.key))
            self._count_event(leader, rollout.key, "RolloutDeleted", warning=False)

    def apply(self, spec: RolloutSpec) -> None:
        """Change a Rollout's spec as a whole."""
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
        """Promote by one: end the pause that the rollout is in, whoever made it."""
        rollout = self.rollouts[ObjectKey(namespace, name)]
        rollout.status.pause = None
        if rollout.spec.paused:
            self.apply(replace(rollout.spec, paused=False))
        self._schedule_reconcile(rollout)

    def promote_full(self, namespace: str, name: str) -> None:
        """Skip all steps and pauses that are left."""
        rollout = self.rollouts[ObjectKey(namespace, name)]
        rollout.status.promote_full = not rollout.is_promoted
        self._schedule_reconcile(rollout)

    def abort(self, namespace: str, name: str) -> None:
        """Abort the update; it stays aborted until a retry or a new revision."""
        rollout = self.rollouts[ObjectKey(namespace, name)]
        rollout.status.abort = True
        self._schedule_reconcile(rollout)

    def retry(self, namespace: str, name: str) -> None:
        """Try an aborted update again, from the first step."""
        rollout = self.rollouts[ObjectKey(namespace, name)]
        rollout.status.abort = False
        self._schedule_reconcile(rollout)

    def rollback(self, namespace: str, name: str) -> None:
        """Go back to the template of the stable revision or, at rest, of the one before it."""
        rollout = self.rollouts[ObjectKey(namespace, name)]
        before = rollout.stable_replica_set if not rollout.is_promoted else next(iter(rollout.other_replica_sets), None)
        if before is None:
            raise ValueError(f"{namespace}/{name} has no earlier revision; deploy another image first")
        self.deploy(namespace, name, before.image)

    def kill_controller(self, name: str) -> None:
        """End a controller; nobody leads until its lease has run out."""
        self.controllers.kill(name, self._time)

    def restart(self, name: str) -> None:
        """Start a controller that is down."""
        self.controllers.start(name, self._time)

    def failover(self) -> None:
        """End the leader; a standby takes over after the lease, and the old leader comes back as a standby."""
        leader = self.controllers.leader
        if leader:
            self.controllers.kill(leader.name, self._time, restarts_at=self._time + RESTART_SECONDS)

    def argo_page(self, controller: str) -> bytes | None:
        """Show a controller's /metrics, None when it is down."""
        one = self.controllers.by_name[controller]
        return argo_page.argo_page(one, self.rollouts, self.to_unix_time) if one.is_up else None

    def kube_state_metrics_page(self, *, allow_lists: bool = True, resources: frozenset[str] = RESOURCES) -> bytes:
        """Show kube-state-metrics' page; `allow_lists` admits the pods' hash label and the ReplicaSets' revision."""
        sets = [one for rollout in self.rollouts.values() for one in rollout.replica_sets.values()]
        return kube_page.kube_page(sets, self.orphans, self.to_unix_time, resources=resources, allow_lists=allow_lists)

    def state_page(self) -> bytes:
        """Show what a kube-state-metrics with Rollout custom-resource state says."""
        return state_page.state_page(self.rollouts.values(), self.to_unix_time)

    def ground_truth(self) -> dict[ObjectKey, ground_truth.GroundTruth]:
        """Say what is the case, by rollout, from the objects themselves."""
        return {key: ground_truth.ground_truth_of(rollout) for key, rollout in self.rollouts.items()}

    def _spec(self, namespace: str, name: str) -> RolloutSpec:
        return self.rollouts[ObjectKey(namespace, name)].spec

    def _schedule_reconcile(self, rollout: SimulatedRollout) -> None:
        if not rollout.status.spec_error:
            rollout.next_reconcile_at = min(rollout.next_reconcile_at, self._time + RECONCILE_DELAY)

    def _next_event_at(self) -> float:
        moments = [next_change(one) for rollout in self.rollouts.values() for one in rollout.replica_sets.values()]
        moments += [next_change(one) for one in self.orphans]
        moments.append(self.controllers.next_change())
        if self.controllers.leader:
            moments += [rollout.next_reconcile_at for rollout in self.rollouts.values()]
        return min(moments, default=NEVER)

    def _process_due(self) -> None:
        for rollout in self.rollouts.values():
            moved = [self._kubelet.reconcile(one, self._time) for one in rollout.replica_sets.values()]
            if any(moved):
                self._schedule_reconcile(rollout)
        for one in self.orphans:
            self._kubelet.reconcile(one, self._time)
        self.orphans = [one for one in self.orphans if one.pods]
        if self.controllers.advance(self._time):
            for place, rollout in enumerate(self.rollouts.values(), 1):
                rollout.next_reconcile_at = self._time + place * INFORM_INTERVAL
        leader = self.controllers.leader
        for rollout in list(self.rollouts.values()) if leader else []:
            if leader and rollout.next_reconcile_at <= self._time:
                self._reconcile(leader, rollout)

    def _reconcile(self, leader: SimulatedController, rollout: SimulatedRollout) -> None:
        tally, key = leader.counters, rollout.key

        def record(reason: str, *, warning: bool = False) -> None:
            self._count_event(leader, key, reason, warning=warning)

        if key not in tally.observed_rollouts:
            tally.observed_rollouts.add(key)
            record("RolloutAddedToInformer")
        conflicts = rollout.spec.error or rollout.new_replica_set is None
        reconcile(rollout, self._time, record)
        tally.errors[key] += bool(conflicts)
        tally.reconciles.setdefault(key, DurationHistogram()).observe(self._random.uniform(0.002, 0.03))

    def _count_event(self, leader: SimulatedController, key: ObjectKey, reason: str, *, warning: bool) -> None:
        leader.counters.events[EventKey(key, reason, warning)] += 1
        leader.counters.notifications.setdefault(key, DurationHistogram()).observe(self._random.uniform(1e-5, 5e-5))
