"""The core: `RolloutTracker.process(now, results)` turns the scrape results of a tick into a metrics snapshot.

No I/O, no clock, no log: `run`, `once`, `replay` and the tests pass in time and results. What outlives the process is
a `TrackerState`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.metrics import Labels, MetricFamily, MetricsSnapshot, ScrapeResult, Source, split
from exporter.rollouts.events.recognise import attempt_history, deletion, leader_changes, transitions_of
from exporter.rollouts.events.shown_state import follow
from exporter.rollouts.explain.memory import remember
from exporter.rollouts.inference.classify import observed_after
from exporter.rollouts.inference.join import AvailableSources, join
from exporter.rollouts.inference.state_machine import advance, advance_without_leader, without_future
from exporter.rollouts.inputs.controller import ControllerPageReader, RunsOnPage, count_finished, group_by_rollout
from exporter.rollouts.inputs.last_status import RememberedStatuses
from exporter.rollouts.inputs.leadership import ControllerRole, ScrapedController, elect_leaders
from exporter.rollouts.inputs.sources import SourceTracker
from exporter.rollouts.inputs.work_queue import reconciling_since
from exporter.rollouts.model import UNKNOWN_PHASE, ControllerProcess, PhaseHistory, Rollout, RolloutState, TickContext
from exporter.rollouts.output.catalogue import selected_families
from exporter.rollouts.output.durations import DurationHistograms, HistogramState
from exporter.rollouts.output.namespace_counters import CountKey, NamespaceCount, NamespaceCounters
from exporter.rollouts.output.pass_through import PassThrough
from exporter.rollouts.output.renderer import FamilyRenderer, InfoSeries
from exporter.rollouts.output.staleness import AbsencePolicy, StalenessTracker
from exporter.rollouts.output.targets import TargetStatus, TargetTracker
from exporter.rollouts.output.update_account import continue_account
from exporter.rollouts.replacing import replace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from exporter.rollouts.events.model import ReportedTransition
    from exporter.rollouts.model import ControllerView, Observation, RolloutKey, TrackingPolicy, UpdateTransition

MAX_ABSENCE_SECONDS: Final = 86_400.0
"""A rollout that no leader exports for this long is evicted even if no leader can prove that it is deleted."""
_EVICTION_TICKS: Final = 40
"""Ticks between two searches for namespaces without rollouts: an empty namespace keeps its histograms twice as long."""


@dataclass(frozen=True, slots=True)
class TrackerState:
    """What outlives a restart, so that the first tick after it exports what the running process would have."""

    updated_at: float = 0.0
    rollout_states: Mapping[RolloutKey, RolloutState] = field(default_factory=dict)
    last_seen: Mapping[RolloutKey, float] = field(default_factory=dict)
    leaders: frozenset[ControllerProcess] = frozenset()
    last_leaders: frozenset[ControllerProcess] = frozenset()
    successors: Mapping[ControllerProcess, ControllerProcess] = field(default_factory=dict)
    statuses: RememberedStatuses = field(default_factory=RememberedStatuses)
    info_series: InfoSeries = field(default_factory=InfoSeries)
    replaced_info_series: Mapping[tuple[str, Labels], float] = field(default_factory=dict)
    duration_histograms: Mapping[tuple[str, str], HistogramState] = field(default_factory=dict)
    namespace_counts: Mapping[CountKey, NamespaceCount] = field(default_factory=dict)
    deleted: frozenset[RolloutKey] = frozenset()


@dataclass(frozen=True, slots=True)
class TrackerStatus:
    """The result of the last tick, for readers on other threads: replaced after each tick, never changed.

    `last_seen` is when a leader showed each rollout last (Unix seconds), `omitted_series` counts those beyond
    `series.limit`, `unknown_phases` the rollouts in a phase that this exporter does not recognise, `type_conflicts` the
    samples of families that an earlier page shows with another type. `set_back` is by how many seconds the clock was
    set back before this tick, 0 unless that is more than the grace period. `unshown` are rollouts that rollout state
    shows, but no controller ever did. `transitions` are what happened since the tick before, in order.
    """

    rollouts: tuple[Rollout, ...] = ()
    last_seen: Mapping[RolloutKey, float] = field(default_factory=dict)
    targets: tuple[TargetStatus, ...] = ()
    has_leader: bool = False
    omitted_series: int = 0
    unknown_phases: int = 0
    type_conflicts: int = 0
    set_back: float = 0.0
    unshown: tuple[Rollout, ...] = ()
    transitions: tuple[ReportedTransition, ...] = ()


@dataclass(frozen=True, slots=True)
class _Tick:
    """A tick: the controllers, those that lead, the processes of established leaders, and the views of the leaders."""

    now: float
    controllers: Sequence[ScrapedController]
    leaders: Sequence[ScrapedController]
    established: Collection[ControllerProcess]
    views: Mapping[RolloutKey, ControllerView]


class RolloutTracker:
    """Tracks all rollouts from tick to tick; only `status` may be read by other threads."""

    def __init__(self, policy: TrackingPolicy, state: TrackerState | None = None) -> None:
        self._policy = policy
        self._rows = selected_families(policy.preset, policy.is_requested, policy.drops, policy.labels)
        self._had_leader_at = float("-inf")
        self._staleness = StalenessTracker()
        self._targets = TargetTracker()
        self._tick_count = 0
        self._start_from(state or TrackerState())
        self.status = TrackerStatus(has_leader=bool(self._leader_processes))

    def _start_from(self, state: TrackerState) -> None:
        """Take up a state; everything else that is carried from tick to tick starts empty."""
        self._updated_at = state.updated_at
        self._states = dict(state.rollout_states)
        self._last_seen = dict(state.last_seen)
        self._rollouts: dict[RolloutKey, Rollout] = {}
        self._unshown: dict[RolloutKey, Rollout] = {}
        # Rollouts that are deleted, as long as a source shows them on.
        self._deleted: set[RolloutKey] = set(state.deleted)
        # Rollouts that processing the same observation again left unchanged; skipped until an input changes.
        self._at_rest: set[RolloutKey] = set()
        self._available_sources = AvailableSources(leader_was_scraped=False, has_workload_source=False)
        self._readers: dict[str, ControllerPageReader] = {}
        self._reconciling_since: Mapping[ControllerProcess, float | None] = {}
        self._leader_processes = state.leaders  # also leaders whose last scrape failed
        # Of each installation those that led when it was led last.
        self._last_leaders = state.last_leaders
        self._transitions: list[ReportedTransition] = []
        # Of each process whose rollouts are not all shown again, the one that has shown some of them since.
        self._successors = dict(state.successors)
        states = state.rollout_states.items()
        event_counts = {key: {**rollout.event_counts, **rollout.pending_counts} for key, rollout in states}
        self._sources = SourceTracker(self._policy, state.statuses, event_counts)
        self._renderer = FamilyRenderer(state.info_series, dict(state.replaced_info_series), self._rows)
        self._durations = DurationHistograms(dict(state.duration_histograms))
        self._counters = NamespaceCounters(dict(state.namespace_counts))
        self._pass_through = PassThrough(self._policy)

    @property
    def state(self) -> TrackerState:
        """What the next process needs."""
        return TrackerState(
            self._updated_at,
            dict(self._states),
            dict(self._last_seen),
            self._leader_processes,
            self._last_leaders,
            dict(self._successors),
            self._sources.remembered_statuses,
            self._renderer.info_series,
            dict(self._renderer.replaced),
            dict(self._durations.by_key),
            dict(self._counters.by_key),
            frozenset(self._deleted),
        )

    def process(self, now: float, results: Iterable[ScrapeResult]) -> MetricsSnapshot:
        """Process a tick; `results` has only sources that are due. Its time is never before that of the last tick.

        If it raises, the next tick starts from the state before this one, and computes everything else from scratch:
        what is half updated would make living rollouts look deleted.
        """
        state = self.state
        try:
            return self._process(now, results)
        except Exception:
            # What was exported is still remembered, so that series which are gone by the next tick end.
            self._start_from(state)
            raise

    def _process(self, now: float, results: Iterable[ScrapeResult]) -> MetricsSnapshot:
        set_back = self._set_back(now)
        # Prometheus refuses a request with a point older than the last one of its series. Times are sent in
        # milliseconds.
        now = max(now, self._updated_at + 0.001)
        results = tuple(results)
        controllers = elect_leaders(results, self._leader_processes)
        leaders = [controller for controller in controllers if controller.role is ControllerRole.LEADER]
        # Targets and sources are followed on a standby, too: its sidecar exports the series of its targets.
        self._transitions = list(self._follow_leaders(leaders, now))
        self._targets.update(results, controllers)
        self._sources.update(now, results, self._states)
        if self._policy.sidecar and not leaders:
            return self._standby_snapshot(now, controllers, set_back)
        if self._policy.sidecar and not any(leader.process in self._leader_processes for leader in leaders):
            self._reset()
        views = self._read_views(leaders) if self._policy.derive else {}
        established = {leader.process for leader in leaders if leader.established}
        tick = _Tick(now, controllers, leaders, established, views)
        if self._policy.derive:
            self._advance_all(tick)
            self._evict_deleted(tick)
        # Sorted, since the renderer groups consecutive rollouts into blocks that it reuses.
        rollouts = tuple(self._rollouts[key] for key in sorted(self._states)) if self._policy.derive else ()
        unshown = self._find_unshown(now)
        families, omitted = self._families(tick, (*rollouts, *unshown))
        stale = self._staleness.update(families, self._absence_policy(tick))
        led = frozenset(leader.process for leader in leaders)
        self._leader_processes = led | self._unreachable_leaders(controllers)
        self._had_leader_at = now if leaders else self._had_leader_at
        self._updated_at = now
        has_leader = bool(self._leader_processes)
        unknown_phases = sum(view.phase == UNKNOWN_PHASE for view in views.values())
        self.status = TrackerStatus(
            rollouts,
            dict(self._last_seen),
            self._targets.statuses,
            has_leader,
            omitted,
            unknown_phases,
            self._pass_through.type_conflicts,
            set_back,
            tuple(rollout for rollout in unshown if rollout.key in self._sources.rollouts),
            # The order of the rollouts depends on which was seen first.
            tuple(sorted(self._transitions, key=lambda transition: transition.rollout or ("", ""))),
        )
        return MetricsSnapshot(now, families, stale)

    def _set_back(self, now: float) -> float:
        """Believe a clock that was set back by more than the grace period; return by how many seconds, else 0.

        Else one moment with a wrong clock, or stored state from one, would put all later points into the future, a
        millisecond apart. What was exported from there stays in the store, so series may lose their next samples.
        """
        seconds = self._updated_at - now
        if seconds <= self._policy.grace:
            return 0.0
        self._start_from(_without_future(self.state, now, self._policy.ended_info))
        self._staleness.set_back(now)
        self._had_leader_at = min(self._had_leader_at, now)
        return seconds

    # Sidecar mode ---------------------------------------------------------------------------------------------------

    def _standby_snapshot(
        self, now: float, controllers: Sequence[ScrapedController], set_back: float
    ) -> MetricsSnapshot:
        """Export nothing about rollouts, without staleness markers: the leader's sidecar exports the same series.

        While our own controller is down it may still be the leader, so nothing is reset before the grace period ends.
        """
        down = any(controller.role is ControllerRole.DOWN for controller in controllers)
        if not down or now - self._had_leader_at > self._policy.grace:
            self._reset()
        self._staleness = StalenessTracker()
        self._updated_at = now
        self.status = replace(
            self.status,
            rollouts=(),
            last_seen=dict(self._last_seen),
            targets=self._targets.statuses,
            has_leader=bool(self._leader_processes),
            set_back=set_back,
            transitions=(),  # those of the last tick that was led are reported already
        )
        return MetricsSnapshot(now, self._targets.families(now))

    def _reset(self) -> None:
        """Remove all rollouts: another sidecar may have exported them meanwhile, so our counters start again."""
        self._states.clear()
        self._rollouts.clear()
        self._last_seen.clear()
        self._at_rest.clear()
        self._leader_processes = frozenset()
        self._successors.clear()
        self._renderer = FamilyRenderer(rows=self._rows)
        self._durations = DurationHistograms()
        self._counters = NamespaceCounters()

    def _follow_leaders(self, leaders: Sequence[ScrapedController], now: float) -> tuple[ReportedTransition, ...]:
        """Remember who leads; return the transitions of processes that lead instead of others."""
        led = frozenset(leader.process for leader in leaders)
        former, installations = self._last_leaders, {process.installation for process in led}
        self._last_leaders = led | {process for process in former if process.installation not in installations}
        return leader_changes(former, led, now)

    # Inputs ---------------------------------------------------------------------------------------------------------

    def _unreachable_leaders(self, controllers: Sequence[ScrapedController]) -> frozenset[ControllerProcess]:
        """Return the leaders whose scrape failed: at the next tick they may well lead on."""
        down = {c.result.target for c in controllers if c.role is ControllerRole.DOWN}
        return frozenset(process for process in self._leader_processes if process.target in down)

    def _read_views(self, leaders: Sequence[ScrapedController]) -> dict[RolloutKey, ControllerView]:
        """Return the view of each rollout; of one that two leaders show, that of the first one."""
        results = [leader.result for leader in leaders]
        # Readers of addresses that lead no more go, and with them what they have cached.
        self._readers = {r.target: self._readers.get(r.target) or ControllerPageReader() for r in results}
        is_allowed = self._policy.namespace_allowed
        views: dict[RolloutKey, ControllerView] = {}
        for result in results:
            page_views = self._readers[result.target].read(result)
            if is_allowed is not None:
                page_views = {key: view for key, view in page_views.items() if is_allowed(key[0])}
            # With one leader, the usual case, the mapping of all rollouts is not copied.
            views = page_views | views if views else page_views
        return views

    # Inference ------------------------------------------------------------------------------------------------------

    def _advance_all(self, tick: _Tick) -> None:
        """Advance every rollout to this tick."""
        available = AvailableSources(bool(tick.leaders), self._sources.has_workload_source)
        # The reasons why something is unknown depend on the sources, of unchanged rollouts, too.
        has_same_sources, self._available_sources = available == self._available_sources, available
        if not has_same_sources:
            self._at_rest.clear()
        # After a longer gap, a rollout that is new to us need not be newly created.
        established = tick.established if tick.now - self._updated_at <= self._policy.grace else ()
        self._reconciling_since = {c.process: reconciling_since(c.result, tick.now) for c in tick.leaders}
        runs = [run for leader in tick.leaders for run in self._readers[leader.result.target].runs(leader.result)]
        runs_of = group_by_rollout(runs, tick.views)
        for key in {**self._states, **tick.views}:
            view, rollout, rollout_runs = tick.views.get(key), self._rollouts.get(key), runs_of.get(key, {})
            if rollout is not None and self._is_at_rest(key, rollout, view, rollout_runs):
                continue
            shown_by_established = view is not None and view.process in established
            first_deploy = shown_by_established and key not in self._states
            observation = self._sources.observe(key, view, first_deploy=first_deploy)
            same = rollout is not None and has_same_sources and self._is_same(rollout, observation, tick.now)
            if not (same and key in self._at_rest and rollout_runs == self._states[key].runs):
                self._advance(key, tick.now, observation, RunsOnPage(rollout_runs, shown_by_established), same=same)
        self._last_seen.update(dict.fromkeys(tick.views, tick.now))

    def _is_same(self, rollout: Rollout, observation: Observation, now: float) -> bool:
        """Return whether an observation shows what the rollout's last one did, and as far as that is recent enough."""
        previous, since = rollout.observation, rollout.state.phases.since
        if previous != observation or previous.has_status_since(since) != observation.has_status_since(since):
            return False
        if observation.view is not None:
            return True
        # Without a leader only pods of the very tick count.
        return previous.has_pods_since(self._updated_at) == observation.has_pods_since(now)

    def _is_at_rest(
        self, key: RolloutKey, rollout: Rollout, view: ControllerView | None, runs: Mapping[str, str]
    ) -> bool:
        """Return whether no source shows anything new of a rollout, without building its observation.

        Nearly all rollouts are at rest, so this decides what a tick costs.
        """
        if key not in self._at_rest or rollout.observation.view is not view or self._sources.changed(key):
            return False
        return runs == rollout.state.runs

    def _advance(self, key: RolloutKey, now: float, observation: Observation, runs: RunsOnPage, *, same: bool) -> None:
        """Advance one rollout; if the `same` observation as before changes nothing, it is at rest from now on."""
        previous = self._states.get(key)
        state = previous
        changes: tuple[UpdateTransition, ...] = ()
        if observation.view is not None:
            context = TickContext(
                now,
                self._last_seen.get(key, now),
                self._policy.hold_down,
                self._policy.has_router(key),
                self._sources.has_rollout_state,
                self._reconciling_since.get(observation.view.process),
            )
            state, changes = advance(previous, context, observation, observation.view)
            state = count_finished(state, runs, first=previous is None)
            self._durations.observe(key[0], changes)
            if previous is not None and previous.process != state.process:
                self._successors[previous.process] = state.process
        elif previous is not None and observation.status is not None and observation.status.observed_at >= now:
            state, changes = advance_without_leader(previous, now, self._policy.hold_down, observation)
            self._durations.observe(key[0], changes)
        if state is None:
            return
        state = remember(previous, state, observation, now, has_rollout_state=self._sources.has_rollout_state)
        last_shown = follow(previous, state, observation, changes, now)
        state = state if last_shown == state.last_shown else replace(state, last_shown=last_shown)
        if same and state == previous and state.account.counted_until is None:
            # Time alone still changes a rollout with outdated hashes or pending events, or in the hold-down of a phase,
            # and the next page of rollout state, though nothing changed on it, shows the health of a new phase.
            is_waiting = state.phases.hold_down_from is not None or state.pending_since > 0
            is_waiting |= observation.status is not None and not observation.has_status_since(state.phases.since)
            is_shown = observation.view is not None  # without a leader only pages of this very tick count
            if is_shown and observed_after(observation, state.last_event_at) and not is_waiting:
                self._at_rest.add(key)
            return
        self._at_rest.discard(key)
        joined = join(key, now, state, observation, self._available_sources, router=self._policy.has_router(key))
        rollout = replace(joined, run_counts=dict(Counter(state.runs.values()))) if state.runs else joined
        rollout = self._with_account(rollout, changes, now)
        if previous is not None:
            transitions = transitions_of(previous, rollout, changes, now)
            self._transitions += transitions
            rollout = _with_history(rollout, transitions)
        self._rollouts[key] = rollout
        self._states[key] = rollout.state

    def _with_account(self, rollout: Rollout, changes: Sequence[UpdateTransition], now: float) -> Rollout:
        """Return a rollout with the account of this tick, and count its namespace's part."""
        account = continue_account(rollout, changes, now)
        self._counters.observe(rollout.key[0], rollout.state.account, account, changes, now)
        if account == rollout.state.account:
            return rollout
        return replace(rollout, state=replace(rollout.state, account=account))

    def _evict_deleted(self, tick: _Tick) -> None:
        """Evict rollouts that are missing from the page of the established leader that showed them.

        After a failover, its successor's page counts once the grace period is over. In any case a rollout is evicted
        after MAX_ABSENCE_SECONDS.
        """
        # Only established leaders prove a deletion: the first page of a new leader may be incomplete.
        absent = [key for key in self._states if key not in tick.views]
        for key in absent:
            absence, process = tick.now - self._last_seen.get(key, tick.now), self._states[key].process
            absent_after_failover = absence > self._policy.grace and self._is_absent_from_successor(key, tick)
            if process in tick.established or absent_after_failover or absence > MAX_ABSENCE_SECONDS:
                is_allowed = self._policy.namespace_allowed
                # Neither a changed setting nor a long absence proves a deletion.
                if absence <= MAX_ABSENCE_SECONDS and (is_allowed is None or is_allowed(key[0])):
                    last = self._rollouts.get(key)
                    labels = last.observation.details.labels if last is not None else {}
                    self._transitions.append(deletion(key, self._states[key], tick.now, labels))
                for by_key in (self._states, self._rollouts, self._last_seen):
                    by_key.pop(key, None)
                self._deleted.add(key)
                self._at_rest.discard(key)
        if not absent:
            self._successors.clear()
        self._tick_count += 1
        if self._tick_count % _EVICTION_TICKS == 0:
            namespaces = {namespace for namespace, _ in self._states}
            self._durations.evict_absent(namespaces)
            self._counters.evict_absent(namespaces)

    def _is_absent_from_successor(self, key: RolloutKey, tick: _Tick) -> bool:
        """Return whether a leader leads what the process led that showed a rollout: it has shown others of these.

        With instance ids several controllers lead behind one address: none of them proves a deletion for another,
        unless no other source shows the rollout any more, either.
        """
        state = self._states[key]
        process, established = state.process, tick.established
        if (state.hashes.current or state.hashes.stable) and self._sources.is_gone(key):
            return any(leader.installation == process.installation for leader in established)
        successors = {process}
        while (successor := self._successors.get(process)) is not None and successor not in successors:
            successors.add(successor)
            process = successor
        addresses = {(successor.installation, successor.target) for successor in successors}
        return any((leader.installation, leader.target) in addresses for leader in established)

    def _unshown_rollout(self, key: RolloutKey, now: float) -> Rollout:
        """Return a rollout that another source shows, but no controller ever did."""
        cached = self._unshown.get(key)
        if cached is not None and not self._sources.changed(key):
            return cached
        observation = self._sources.observe(key, None)
        state = RolloutState(now, PhaseHistory("", now), ControllerProcess("", 0.0), {})
        state = remember(None, state, observation, now, has_rollout_state=True)
        # Another sidecar may export what a controller beside this one shows.
        reasons = () if self._policy.sidecar else ("never_shown",)
        return Rollout(key, state, observation, unknown_reasons=reasons, is_current=False, was_shown=False)

    def _find_unshown(self, now: float) -> tuple[Rollout, ...]:
        """Return the rollouts that kube-state-metrics or rollout state shows, but no controller ever did."""
        is_allowed = self._policy.namespace_allowed
        keys = self._sources.untracked_rollouts(self._states) if self._policy.derive else set()
        self._deleted &= keys
        allowed = [key for key in sorted(keys - self._deleted) if is_allowed is None or is_allowed(key[0])]
        self._unshown = {key: self._unshown_rollout(key, now) for key in allowed}
        return tuple(self._unshown.values())

    # Output ---------------------------------------------------------------------------------------------------------

    def _families(self, tick: _Tick, rollouts: Sequence[Rollout]) -> tuple[tuple[MetricFamily, ...], int]:
        """Return all families within the limit, and how many series are omitted beyond it."""
        families: list[MetricFamily] = []
        # The limit omits the last series, so those that pass through come last.
        if self._policy.derive:
            families += self._renderer.families(rollouts, tick.now, self._policy.ended_info)
            families += self._durations.families()
            families += self._counters.families()
        families += self._targets.families(tick.now)
        families = [family for family in families if not self._policy.drops(family.name)]
        results = [leader.result for leader in tick.leaders]
        families += self._pass_through.families(results, self._sources.workload_results, self._sources.pod_names)
        return limit_series(families, self._policy.series_limit)

    def _absence_policy(self, tick: _Tick) -> AbsencePolicy:
        """Return the policy of this tick: controllers are complete if each installation has an established leader."""
        led = {leader.process.installation for leader in tick.leaders}
        established = all(leader.established for leader in tick.leaders)
        complete = bool(led) and established and led == {c.process.installation for c in tick.controllers}
        complete_sources = self._sources.complete_sources | ({Source.ARGO} if complete else set())
        return AbsencePolicy(tick.now, self._policy.grace, self._states, tick.views.keys(), complete_sources)


def _with_history(rollout: Rollout, transitions: Iterable[ReportedTransition]) -> Rollout:
    """Return a rollout whose attempt under way remembers the transitions of this tick."""
    last_shown = rollout.state.last_shown
    history = attempt_history(last_shown, transitions)
    if history == last_shown.history:
        return rollout
    return replace(rollout, state=replace(rollout.state, last_shown=replace(last_shown, history=history)))


def _without_future(state: TrackerState, now: float, ended_info: float) -> TrackerState:
    """Return a state without times after `now`; its own is unknown."""
    return replace(
        state,
        updated_at=0.0,
        rollout_states={key: without_future(rollout, now) for key, rollout in state.rollout_states.items()},
        last_seen={key: min(seen_at, now) for key, seen_at in state.last_seen.items()},
        statuses=RememberedStatuses(),
        replaced_info_series={key: min(end, now + ended_info) for key, end in state.replaced_info_series.items()},
    )


def limit_series(families: Iterable[MetricFamily], limit: int) -> tuple[tuple[MetricFamily, ...], int]:
    """Return families of at most `limit` series together, and how many series are omitted: always the last ones."""
    limited: list[MetricFamily] = []
    room, omitted = limit, 0
    for family in families:
        count = min(len(family), room)
        limited += [next(split(family, count))] if count else []
        omitted += len(family) - count
        room -= count
    return tuple(limited), omitted
