"""The fleet: which rollouts pass the filters of a page or of the API, in which order, and their cards."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.rollouts.explain.explain import explain
from exporter.rollouts.explain.position import set_weight
from exporter.rollouts.explain.sentences import short_image
from exporter.rollouts.model import BLUE_GREEN, UpdateState
from exporter.service.pages.urgency import urgencies
from exporter.web.model import PAGE_ROWS, RolePods, RolloutCard, SortKey, StepMark, TrafficShare, Urgency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from exporter.rollouts.explain.model import Explanation
    from exporter.rollouts.model import Rollout, RolloutKey
    from exporter.rollouts.tracker import TrackerStatus
    from exporter.web.model import FleetQuery

_TURN_SECONDS: Final = 0.005
"""How long rollouts are explained before other tasks of the event loop get a turn."""
TURN_ROLLOUTS: Final = 20
"""Rollouts between two looks at the clock: an explanation takes some 30 µs, rarely 1 ms."""
MAX_NAMESPACES: Final = 500
"""Namespaces that can be chosen; of more, the text filter finds the others."""
MAX_COMPARED: Final = 500
"""Names that are compared letter by letter with one that does not exist: some 20 ms."""
_SIMILAR: Final = 3
_RANK: Final = {urgency: rank for rank, urgency in enumerate(Urgency)}


@dataclass(frozen=True, slots=True)
class FleetEntry:
    """A rollout with its groups, the most urgent first; `text` is what the text filter searches."""

    rollout: Rollout
    urgencies: tuple[Urgency, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """All rollouts of a tick; `by_urgency` counts a rollout in each of its groups."""

    entries: tuple[FleetEntry, ...] = ()
    by_urgency: Mapping[Urgency, int] = field(default_factory=dict)
    namespaces: tuple[str, ...] = ()


class FleetIndex:
    """The fleet of the last tick, computed when it is asked for: only rollouts that changed are judged again."""

    def __init__(self) -> None:
        self._status: TrackerStatus | None = None
        self._fleet = Fleet()
        self._entries: dict[RolloutKey, FleetEntry] = {}
        self._lock = asyncio.Lock()

    async def read(self, status: TrackerStatus) -> Fleet:
        """Return the fleet of a status, the same object for the same status."""
        async with self._lock:
            if status is not self._status:
                self._fleet, self._status = await self._judge(status), status
            return self._fleet

    async def _judge(self, status: TrackerStatus) -> Fleet:
        clock = asyncio.get_running_loop().time
        previous, entries = self._entries, {}
        turn_started = clock()
        for number, rollout in enumerate((*status.rollouts, *status.unshown)):
            entry = previous.get(rollout.key)
            entries[rollout.key] = entry if entry is not None and entry.rollout is rollout else fleet_entry(rollout)
            if number % TURN_ROLLOUTS == 0 and clock() - turn_started > _TURN_SECONDS:
                await asyncio.sleep(0)
                turn_started = clock()
        self._entries = entries
        counts = Counter(urgency for entry in entries.values() for urgency in entry.urgencies)
        namespaces = sorted({namespace for namespace, _ in entries})[:MAX_NAMESPACES]
        return Fleet(tuple(entries.values()), dict(counts), tuple(namespaces))


def fleet_entry(rollout: Rollout) -> FleetEntry:
    """Return the entry of a rollout; no group of it depends on the time."""
    return FleetEntry(rollout, urgencies(rollout, explain(rollout, 0.0)), "/".join(rollout.key).casefold())


def matching_entries(fleet: Fleet, query: FleetQuery) -> list[FleetEntry]:
    """Return the rollouts that pass all filters of a query, in its order: the most urgent group first."""
    text, namespace, urgency = query.text.casefold(), query.namespace, query.urgency
    entries = [
        entry
        for entry in fleet.entries
        if text in entry.text
        and namespace in {"", entry.rollout.key[0]}
        and (urgency is None or urgency in entry.urgencies)
    ]
    key = _SORT_KEYS[query.sort]
    return sorted(entries, key=lambda entry: (_RANK[entry.urgencies[0]], key(entry.rollout), entry.rollout.key))


def page_of(entries: Sequence[FleetEntry], page: int) -> Sequence[FleetEntry]:
    """Return the entries of a page, from 1 to `last_page`."""
    start = (page - 1) * PAGE_ROWS
    return entries[start : start + PAGE_ROWS]


def last_page(entries: Sequence[FleetEntry]) -> int:
    """Return the number of the last page, 1 without entries."""
    return max(-(-len(entries) // PAGE_ROWS), 1)


def similar_names(fleet: Fleet, name: str) -> tuple[str, ...]:
    """Return up to three names, as namespace/name, that are close to one that does not exist.

    Those of the same name in other namespaces come first; the comparison of all is for fleets of a sensible size.
    """
    names = ["/".join(entry.rollout.key) for entry in fleet.entries]
    same = [each for each in names if each.partition("/")[2] == name.partition("/")[2]]
    from difflib import get_close_matches  # noqa: PLC0415 - only for the page of a rollout that is not there

    return tuple(dict.fromkeys((*same, *get_close_matches(name, names[:MAX_COMPARED], _SIMILAR))))[:_SIMILAR]


def _shown_share(rollout: Rollout) -> float:
    return -1.0 if rollout.fraction is None or rollout.fraction.value is None else rollout.fraction.value


_SORT_KEYS: Final[Mapping[SortKey, Callable[[Rollout], float]]] = {
    SortKey.NAME: lambda _: 0.0,
    SortKey.PHASE_TIME: lambda rollout: rollout.state.phases.started_at,
    SortKey.SHARE: lambda rollout: -_shown_share(rollout),
}


# Cards


def cards(entries: Iterable[FleetEntry], last_seen: Mapping[RolloutKey, float], now: float) -> tuple[RolloutCard, ...]:
    """Return the cards of rollouts at a time (Unix seconds)."""
    return tuple(
        rollout_card(entry.rollout, explain(entry.rollout, now), last_seen.get(entry.rollout.key, 0.0), now)
        for entry in entries
    )


def rollout_card(rollout: Rollout, explanation: Explanation, last_seen: float, now: float) -> RolloutCard:
    """Return the card of a rollout; `last_seen` is when a leader showed it last (Unix seconds, 0 for never)."""
    state, view = rollout.state, rollout.observation.view
    stable, current = revision_names(rollout, explanation)
    phase = view.phase if view is not None else state.phases.phase
    return RolloutCard(
        namespace=rollout.key[0],
        name=rollout.key[1],
        urgency=urgencies(rollout, explanation)[0],
        strategy=state.strategy,
        phase=phase,
        phase_seconds=max(now - state.phases.started_at, 0.0) if phase else None,
        sentence=explanation.sentence,
        next_action=explanation.next_action,
        step=step_mark(rollout, explanation),
        share=traffic_share(rollout),
        stable=stable,
        current=current,
        pods=role_pods(rollout),
        last_result=state.account.result,
        last_result_age=_age(state.account.ended_at, now),
        unknown=rollout.unknown_reasons,
        absent_seconds=None if view is not None or not last_seen else max(now - last_seen, 0.0),
    )


def _age(timestamp: float | None, now: float) -> float | None:
    return max(now - timestamp, 0.0) if timestamp is not None else None


def step_mark(rollout: Rollout, explanation: Explanation) -> StepMark | None:
    """Return where an update stands or stopped, None without one, or if it is not known where."""
    step, stopped_at = explanation.step, explanation.stopped_at
    if step is None:
        return None
    if stopped_at is not None:
        return StepMark(stopped_at, step.count, is_stopped=True)
    # An abort sets the index back to 0.
    is_aborted = rollout.state.update_state is UpdateState.ABORTED
    return None if is_aborted else StepMark(step.index, step.count, step.kind)


def traffic_share(rollout: Rollout) -> TrafficShare:
    """Return the share of the new revision as it is set, and as it is."""
    if rollout.state.strategy == BLUE_GREEN:
        return TrafficShare(true=_switched_share(rollout), method="active_service")
    fraction = rollout.fraction
    if fraction is None:
        return TrafficShare(set_weight(rollout))
    return TrafficShare(set_weight(rollout), fraction.value, fraction.method, fraction.reason)


def _switched_share(rollout: Rollout) -> float | None:
    """Return 1 from the switch of the active Service on, 0 before; None if it is not known what that selects."""
    hashes, active = rollout.state.hashes, rollout.observation.details.active_hash
    if not active or active not in {hashes.current, hashes.stable}:
        return None
    return 1.0 if active == hashes.current else 0.0


def revision_names(rollout: Rollout, explanation: Explanation) -> tuple[str, str]:
    """Return what to call the stable and the current revision: images without registry, else number, else hash."""
    hashes, images = rollout.state.hashes, explanation.images
    if images is not None:
        # Of a pod with sidecars, those that the update changes; all of them if it changes none.
        changed = [name for name, image in images.current.items() if images.stable.get(name, image) != image]
        names = changed or list(images.current)
        stable = ", ".join(short_image(images.stable[name]) for name in names if name in images.stable)
        current = ", ".join(short_image(images.current[name]) for name in names)
        if stable and current:
            return stable, current
    stable, current = (revision_number(rollout, each) or each for each in (hashes.stable, hashes.current))
    return stable or current, current or stable


def revision_number(rollout: Rollout, pod_template_hash: str) -> str:
    """Return a revision as `revision 4`, "" if its number is not known."""
    replica_set = rollout.observation.replica_sets.get(pod_template_hash)
    details = rollout.observation.details
    number = str(replica_set.revision) if replica_set is not None and replica_set.revision is not None else ""
    if not number and pod_template_hash and pod_template_hash == rollout.state.hashes.current:
        number = details.revision
    return f"revision {number}" if number else ""


def role_pods(rollout: Rollout) -> tuple[RolePods, ...]:
    """Return the number of pods, and of ready ones, by role."""
    counts = Counter(role for _, role in rollout.pod_roles)
    ready = Counter(role for pod, role in rollout.pod_roles if pod.ready)
    return tuple(RolePods(role.value, count, ready[role]) for role, count in sorted(counts.items()))
