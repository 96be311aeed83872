"""AnalysisRuns by owning rollout, and those that were seen to finish."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from exporter.rollouts.model import RolloutKey, RolloutState

PHASES: Final = ("Pending", "Running", "Successful", "Failed", "Error", "Inconclusive")
FINISHED: Final = ("Successful", "Failed", "Error", "Inconclusive")
_NAME_SUFFIX: Final = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{1,10}-[0-9]+(?:[-.].*)?")
"""`-<hash>-<revision>` and what may follow; a hash has only letters and digits that Kubernetes' SafeEncodeString uses."""


def owning_rollout(namespace: str, name: str, known: Collection[RolloutKey]) -> RolloutKey | None:
    """Return the rollout that owns an AnalysisRun or Experiment, by its name `<rollout>-<hash>-<revision>…`.

    Only known rollouts count: the name of a rollout may itself look like the name of a run.
    """
    ends = [end for end, letter in enumerate(name) if letter == "-" and _NAME_SUFFIX.fullmatch(name, end)]
    candidates = ((namespace, name[:end]) for end in reversed(ends))
    return next((key for key in candidates if key in known), None)


def by_rollout(runs: Iterable[tuple[str, str, str]], known: Collection[RolloutKey]) -> dict[RolloutKey, dict[str, str]]:
    """Sort runs (namespace, name, phase) by the rollout that owns them: run name → phase."""
    found: dict[RolloutKey, dict[str, str]] = defaultdict(dict)
    for namespace, name, phase in runs:
        key = owning_rollout(namespace, name, known)
        if key is not None:
            found[key][name] = phase or "Pending"  # "" until the first status is written
    return found


@dataclass(frozen=True, slots=True)
class Seen:
    """The runs of a rollout on a page: name → phase; `whole`: runs that the page does not show are gone."""

    runs: Mapping[str, str]
    whole: bool


def follow(life: RolloutState, seen: Seen, *, first: bool) -> RolloutState:
    """Count runs that finished since the last tick; on first sight finished ones are history."""
    if seen.runs == life.runs:
        return life
    finished = Counter(life.finished_run_counts)
    if not first:
        finished.update(
            phase for name, phase in seen.runs.items() if phase in FINISHED and life.runs.get(name) not in FINISHED
        )
    runs = seen.runs if seen.whole else {**life.runs, **seen.runs}
    return life if runs == life.runs else replace(life, runs=runs, finished_run_counts=dict(finished))
