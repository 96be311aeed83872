"""The history of one rollout as a timeline: phases as bands, the canary's share as points, and marks.

All of it follows from the transitions that are held; nothing is assumed of the time before them.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from exporter.log import CONTROL_CHARS
from exporter.rollouts.events.model import TransitionType
from exporter.rollouts.events.wording import what_happened
from exporter.rollouts.explain.position import set_weight, weight_at
from exporter.rollouts.model import UpdateState
from exporter.web.model import PhaseBand, SharePoint, Timeline, TimelineMark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.rollouts.model import Rollout
    from exporter.web.model import RolloutTransitions

    TransitionObject = Mapping[str, Any]
    """An object of /api/events."""

MAX_MARKS: Final = 200
"""Transitions of a timeline, the newest ones: more would take long to render. A link leads to older ones."""
_MAX_BEFORE: Final = 100
"""Transitions before those, which show what a rollout was in: an update has some twenty."""
_MAX_TEXT: Final = 300
"""Characters of a mark's text."""
UNKNOWN: Final = "unknown"
_ENDINGS: Final[Mapping[str, float | None]] = {
    TransitionType.ABORTED: 0.0,
    TransitionType.PROMOTED: None,
    TransitionType.ROLLED_BACK: None,
}
"""The weight after the end of an attempt; None: there is no canary."""
BEGINNINGS: Final = frozenset({TransitionType.UPDATE_STARTED, TransitionType.RETRIED, TransitionType.SUPERSEDED})
_WORD_OF_STATE: Final = {
    UpdateState.SETTLED: "settled",
    UpdateState.UPDATING: "updating",
    UpdateState.ABORTED: "aborted",
    UpdateState.UNKNOWN: UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class _ShownPhase:
    """What a rollout is in: the state of its update, and whether it is paused or degraded besides."""

    update: str = UNKNOWN
    is_paused: bool = False
    is_degraded: bool = False

    @property
    def word(self) -> str:
        if self.update == "aborted":
            return self.update
        return "degraded" if self.is_degraded else "paused" if self.is_paused else self.update


_CHANGES: Final[Mapping[str, Mapping[str, Any]]] = {
    TransitionType.UPDATE_STARTED: {"update": "updating", "is_paused": False},
    TransitionType.RETRIED: {"update": "updating", "is_paused": False},
    TransitionType.SUPERSEDED: {"update": "updating", "is_paused": False},
    TransitionType.STEP_REACHED: {"update": "updating"},
    TransitionType.PAUSED: {"is_paused": True},
    TransitionType.RESUMED: {"is_paused": False},
    TransitionType.ABORTED: {"update": "aborted", "is_paused": False},
    TransitionType.PROMOTED: {"update": "settled", "is_paused": False},
    TransitionType.ROLLED_BACK: {"update": "settled", "is_paused": False},
    TransitionType.DEGRADED: {"is_degraded": True},
    TransitionType.RECOVERED: {"is_degraded": False},
    TransitionType.DELETED: {"update": UNKNOWN, "is_paused": False, "is_degraded": False},
}
"""What a type of transition changes; the others change nothing."""
_BEFORE: Final[Mapping[str, _ShownPhase]] = {
    TransitionType.STEP_REACHED: _ShownPhase("updating"),
    TransitionType.RESUMED: _ShownPhase(is_paused=True),
    TransitionType.ABORTED: _ShownPhase("updating"),
    TransitionType.PROMOTED: _ShownPhase("updating"),
    TransitionType.ROLLED_BACK: _ShownPhase("updating"),
    TransitionType.SUPERSEDED: _ShownPhase("updating"),
    TransitionType.RETRIED: _ShownPhase("aborted"),
    TransitionType.RECOVERED: _ShownPhase(is_degraded=True),
}
"""What a rollout was in before its first transition that is held, as far as that shows it."""


def parsed_transitions(held: RolloutTransitions, until: float = math.inf) -> Sequence[TransitionObject]:
    """Return what a timeline up to a time (Unix seconds) is drawn of, oldest first, and the next one after it.

    Thousands are held, and to parse and draw them all would keep the event loop from other work.
    """
    places = [place for place, (timestamp, _) in enumerate(held.objects) if timestamp <= until]
    end = places[-1] + 1 if places else 0
    return [json.loads(body) for _, body in held.objects[max(end - MAX_MARKS - _MAX_BEFORE, 0) : end + 1]]


def timeline(
    transitions: Sequence[TransitionObject], rollout: Rollout | None, held_since: float, since: float, until: float
) -> Timeline:
    """Return the timeline of a rollout from its transitions, oldest first, also those before `since` (Unix seconds).

    `rollout` is what is known of it at the end, None if it is gone.
    """
    hours = (until - since) / 3600.0
    marks = [transition for transition in transitions if since <= transition["at"] <= until]
    if has_older := len(marks) > MAX_MARKS:
        marks = marks[-MAX_MARKS:]
        since = marks[0]["at"]
    start = max(since, held_since)
    return Timeline(
        since=since,
        until=until,
        held_since=held_since,
        hours=hours,
        bands=tuple(_bands(transitions, rollout, start, until)),
        shares=tuple(_clipped(_shares(transitions, rollout, until), start, until)),
        weights=tuple(_clipped(_weights(transitions, rollout, until), start, until)),
        marks=tuple(map(_mark, marks)),
        has_older=has_older,
    )


def attempt_of(transitions: Sequence[TransitionObject]) -> Sequence[TransitionObject]:
    """Return the transitions of the newest attempt: from its start or retry on; none if that is not held."""
    starts = [place for place, transition in enumerate(transitions) if transition["type"] in BEGINNINGS]
    return transitions[starts[-1] :] if starts else ()


def _bands(
    transitions: Sequence[TransitionObject], rollout: Rollout | None, start: float, until: float
) -> Iterator[PhaseBand]:
    """Yield the times in which a rollout was in the same phase, without gaps, from `start` to `until`."""
    changes = [(start, _word_before(transitions, rollout)), *_words(transitions)]
    ends = [*(timestamp for timestamp, _ in changes[1:]), until]
    spans = [
        PhaseBand(max(timestamp, start), min(end, until), word)
        for (timestamp, word), end in zip(changes, ends, strict=True)
    ]
    # Several transitions of one tick leave spans of no length.
    lasting = [span for span in spans if span.end > span.start]
    for word, group in groupby(lasting, key=lambda span: span.word):
        same = list(group)
        yield PhaseBand(same[0].start, same[-1].end, word)


def _word_before(transitions: Sequence[TransitionObject], rollout: Rollout | None) -> str:
    """Return the phase before the first transition; without any, it is the one of now."""
    if transitions:
        return _first_phase(transitions).word
    if rollout is None or not rollout.was_shown:
        return UNKNOWN
    state = rollout.state
    is_degraded = state.last_shown.degraded_since is not None
    return _ShownPhase(_WORD_OF_STATE[state.update_state], bool(state.last_shown.pauses), is_degraded).word


def _first_phase(transitions: Sequence[TransitionObject]) -> _ShownPhase:
    return next((_BEFORE[each["type"]] for each in transitions[:1] if each["type"] in _BEFORE), _ShownPhase())


def _words(transitions: Sequence[TransitionObject]) -> Iterator[tuple[float, str]]:
    """Yield since when a rollout was in which phase."""
    phase = _first_phase(transitions)
    for transition in transitions:
        phase = replace(phase, **_CHANGES.get(transition["type"], {}))
        yield transition["at"], phase.word


def _shares(
    transitions: Iterable[TransitionObject], rollout: Rollout | None, until: float
) -> Iterator[tuple[float, float | None]]:
    """Yield the canary's share after each transition that is of an update, and the one of now."""
    for transition in transitions:
        if transition["type"] in _CHANGES or "fraction" in transition:
            yield transition["at"], transition.get("fraction")
    if rollout is not None and rollout.fraction is not None:
        yield until, rollout.fraction.value


def _weights(
    transitions: Sequence[TransitionObject], rollout: Rollout | None, until: float
) -> Iterator[tuple[float, float | None]]:
    """Yield the weight that each step of the newest attempt set: the plan is its, and may have been another before."""
    status = rollout.observation.status if rollout is not None else None
    steps = rollout.observation.details.plan.steps if rollout is not None else None
    if rollout is None or status is None or not steps:
        return
    for transition in attempt_of(transitions):
        kind, step = transition["type"], transition.get("step")
        if kind in _ENDINGS:
            yield transition["at"], _ENDINGS[kind]
        elif kind in BEGINNINGS:
            yield transition["at"], weight_at(steps, 0, status.max_weight)
        elif kind == TransitionType.STEP_REACHED and step:
            yield transition["at"], weight_at(steps, step["index"], status.max_weight)
    if (weight := set_weight(rollout)) is not None:
        yield until, weight


def _clipped(points: Iterable[tuple[float, float | None]], start: float, until: float) -> Iterator[SharePoint]:
    """Yield the points in a span of time; the last one before it stands at its start."""
    before: float | None = None
    inside: list[SharePoint] = []
    for timestamp, share in points:
        if timestamp < start:
            before = share
        elif timestamp <= until:
            inside.append(SharePoint(timestamp, share))
    if before is not None:
        yield SharePoint(start, before)
    yield from inside


def _mark(transition: TransitionObject) -> TimelineMark:
    text = CONTROL_CHARS.sub(" ", what_happened(transition))
    return TimelineMark(transition["at"], transition["type"], text[:_MAX_TEXT])
