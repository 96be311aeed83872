"""AnalysisRuns: which rollout owns each, and how many finished."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from exporter.rollouts.model import RolloutKey, RolloutState

RUN_PHASES: Final = ("Pending", "Running", "Successful", "Failed", "Error", "Inconclusive")
FINISHED_PHASES: Final = ("Successful", "Failed", "Error", "Inconclusive")
_NAME_SUFFIX: Final = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{1,10}-[0-9]+(?:[-.].*)?")
"""`-<hash>-<revision>` and what may follow; a hash has only the characters of Kubernetes' SafeEncodeString."""


def owning_rollout(namespace: str, name: str, rollouts: Collection[RolloutKey]) -> RolloutKey | None:
    """Return the rollout that owns an AnalysisRun or Experiment, by its name `<rollout>-<hash>-<revision>…`.

    Only existing rollouts count: the name of a rollout may itself look like the name of a run.
    """
    ends = [end for end, letter in enumerate(name) if letter == "-" and _NAME_SUFFIX.fullmatch(name, end)]
    # The longest name first: rollouts `a` and `a-bc-1` may both exist.
    candidates = ((namespace, name[:end]) for end in reversed(ends))
    return next((key for key in candidates if key in rollouts), None)


def group_by_rollout(
    runs: Iterable[tuple[str, str, str]], rollouts: Collection[RolloutKey]
) -> dict[RolloutKey, dict[str, str]]:
    """Group runs (namespace, name, phase) by the rollout that owns them: run name → phase."""
    grouped: dict[RolloutKey, dict[str, str]] = defaultdict(dict)
    for namespace, name, phase in runs:
        key = owning_rollout(namespace, name, rollouts)
        if key is not None:
            grouped[key][name] = phase or "Pending"  # "" until the controller writes the first status
    return grouped


@dataclass(frozen=True, slots=True)
class RunsOnPage:
    """The runs of a rollout on a page: name → phase. If the page is `complete`, runs that it does not show are gone."""

    runs: Mapping[str, str]
    complete: bool


def count_finished(state: RolloutState, page: RunsOnPage, *, first: bool) -> RolloutState:
    """Return the state with its runs, and finished ones counted; runs that finished before the `first` page are not."""
    if page.runs == state.runs:
        return state
    counts = Counter(state.finished_run_counts)
    if not first:
        counts.update(
            phase
            for name, phase in page.runs.items()
            if phase in FINISHED_PHASES and state.runs.get(name) not in FINISHED_PHASES
        )
    runs = page.runs if page.complete else {**state.runs, **page.runs}
    return state if runs == state.runs else replace(state, runs=runs, finished_run_counts=dict(counts))
