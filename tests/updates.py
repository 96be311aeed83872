"""Counts the updates that ended, from the Kubernetes objects and from `argo_rollouts_updates_total`."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from exporter.metrics import MetricsSnapshot
    from exporter.rollouts.model import RolloutKey
    from tests.agreement import KubeObject

ResultCounts = Counter[str]
"""How many updates ended, by result."""


class RevisionStatus(NamedTuple):
    """Stable and current hash of a Rollout object, whether its update is aborted, and its uid."""

    stable: str
    current: str
    is_aborted: bool
    uid: str

    @property
    def state(self) -> str:
        """The update state."""
        if self.stable == self.current:
            return "settled"
        return "aborted" if self.is_aborted else "updating"


def revision_status(rollout: KubeObject) -> RevisionStatus | None:
    """Return the revisions of an object; None before the first one is stable."""
    status = rollout["status"]
    stable, current = status.get("stableRS") or "", status.get("currentPodHash") or ""
    return RevisionStatus(stable, current, bool(status.get("abort")), rollout["uid"]) if stable and current else None


def count_results(history: Iterable[RevisionStatus]) -> ResultCounts:
    """Count the updates that end between each two successive statuses of one rollout."""
    return Counter(result for before, now in pairwise(history) for result in _results(before, now))


def _results(before: RevisionStatus, now: RevisionStatus) -> Iterator[str]:
    if before.uid != now.uid:  # another object of the same name: nothing of the deleted one ends
        return
    promoted, changed = before.stable != now.stable, before.current != now.current
    was, state = before.state, now.state
    if promoted:
        # Also from settled: an update that started and was promoted between the two statuses.
        yield "promoted"
    elif was == "updating" and state == "settled":
        yield "rolled_back"
    elif was == "updating" and changed:
        yield "superseded"
    if state == "aborted" and (was != "aborted" or (changed and not promoted)):
        yield "aborted"


def true_results(truth: Iterable[KubeObject], until: float) -> dict[RolloutKey, ResultCounts]:
    """Return the results of each rollout up to and including a time (Unix seconds)."""
    histories: dict[RolloutKey, list[RevisionStatus]] = defaultdict(list)
    for frame in truth:
        for rollout in frame["rollouts"] if frame["at"] <= until else ():
            status = revision_status(rollout)
            if status is not None:
                histories[rollout["namespace"], rollout["name"]].append(status)
    return {key: count_results(history) for key, history in histories.items()}


class ExportedResults:
    """Adds up the growth of `argo_rollouts_updates_total`, snapshot by snapshot."""

    def __init__(self) -> None:
        self.by_rollout: dict[RolloutKey, ResultCounts] = defaultdict(Counter)
        self._previous: dict[RolloutKey, Mapping[str, float]] = {}

    def add(self, snapshot: MetricsSnapshot) -> None:
        """Add a snapshot; the counters of a rollout that was absent start at 0 again."""
        current: dict[RolloutKey, dict[str, float]] = defaultdict(dict)
        for family in snapshot.families:
            for series, value in family.samples() if family.name == "argo_rollouts_updates_total" else ():
                current[series.label("namespace"), series.label("name")][series.label("result")] = value
        for key, counts in current.items():
            for result, value in counts.items():
                previous = self._previous.get(key, {}).get(result, 0.0)
                self.by_rollout[key][result] += int(value - previous if value >= previous else value)
        self._previous = dict(current)


def different_results(
    true: Mapping[RolloutKey, ResultCounts], exported: Mapping[RolloutKey, ResultCounts]
) -> dict[RolloutKey, tuple[ResultCounts, ResultCounts]]:
    """Return the rollouts whose results differ: true and exported ones."""
    pairs = {key: (+true.get(key, Counter()), +exported.get(key, Counter())) for key in {*true, *exported}}
    return {key: pair for key, pair in sorted(pairs.items()) if pair[0] != pair[1]}
