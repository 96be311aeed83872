"""The command `story`: what happened to one rollout, as a Markdown post-mortem."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from exporter.commands.printable import printable
from exporter.commands.timeline import clock_text, day_text, text_of, time_text, type_text
from exporter.durations import duration as duration_text
from exporter.log import CONTROL_CHARS
from exporter.rollouts.events.model import ATTEMPT_BEGINNINGS
from exporter.rollouts.events.wording import image_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exporter.commands.events import HeldTransitions
    from exporter.commands.timeline import TransitionObject

_RESULTS: Final = ("promoted", "aborted", "rolled_back", "superseded")
_MARKDOWN: Final = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|#"})


@printable
def story_lines(rollout: str, held: HeldTransitions, until: float) -> Iterator[str]:
    """Yield the lines of the post-mortem of a rollout, until a time (Unix seconds)."""
    attempts = list(_attempts(held.transitions))
    yield f"# {_escaped(rollout)}"
    yield ""
    yield f"From {time_text(held.since)} to {time_text(until)}."
    if held.held_since > held.since:
        yield f"What happened before {time_text(held.held_since)} is not held: the history begins then."
    yield ""
    yield _summary(held.transitions)
    if attempts:
        yield ""
        yield from _attempt_table(attempts)
    for day, transitions in _by_day(held.transitions):
        yield from ("", f"## {day}", "", "| time (UTC) | what | |", "|---|---|---|")
        yield from (_row(transition) for transition in transitions)


def _summary(transitions: Sequence[TransitionObject]) -> str:
    counts = Counter(transition["type"] for transition in transitions)
    results = [f"{counts[result]} {result.replace('_', ' ')}" for result in _RESULTS if counts[result]]
    if not counts["update_started"] and not results:
        return "No update started or ended." if transitions else "Nothing happened."
    ended = ", ".join(results) or "none ended"
    pauses = [transition["duration"] for transition in transitions if transition["type"] == "resumed"]
    paused = f" It was paused {len(pauses)} times, for {duration_text(sum(pauses))}." if pauses else ""
    return f"Updates: {counts['update_started']} started, {ended}.{paused}"


def _attempts(transitions: Iterable[TransitionObject]) -> Iterator[list[TransitionObject]]:
    """Group the transitions by attempt: from the start of an update, or a retry, to its end; others are left out."""
    attempt: list[TransitionObject] = []
    for transition in transitions:
        if transition["type"] in ATTEMPT_BEGINNINGS or (not attempt and transition["type"] in _RESULTS):
            if attempt:
                yield attempt
            attempt = [transition]
        elif attempt:
            attempt.append(transition)
        if attempt and transition["type"] in _RESULTS:
            yield attempt
            attempt = []
    if attempt:
        yield attempt


def _attempt_table(attempts: Iterable[Sequence[TransitionObject]]) -> Iterator[str]:
    yield "| revision | images | began (UTC) | result | after | cause | reached |"
    yield "|---|---|---|---|---|---|---|"
    for attempt in attempts:
        first, last = attempt[0], attempt[-1]
        ended = last["type"] in _RESULTS
        seconds = last.get("duration") if ended else None
        steps = [transition["step"] for transition in attempt if "step" in transition]
        cells = (
            first.get("revision", ""),
            image_texts(first) or image_texts(last),
            clock_text(first) if first["type"] in ATTEMPT_BEGINNINGS else "before",
            type_text(last) if ended else "under way",
            duration_text(seconds) if seconds is not None else "",
            last.get("cause", "").replace("_", " ") if ended else "",
            _step_text(steps[-1]["index"], steps[-1]["of"]) if steps else "",
        )
        yield f"| {' | '.join(map(_escaped, cells))} |"


def _step_text(index: int, count: int) -> str:
    return f"step {index + 1} of {count}" if index < count else f"all {count} steps"


def _by_day(transitions: Sequence[TransitionObject]) -> Iterator[tuple[str, list[TransitionObject]]]:
    days: dict[str, list[TransitionObject]] = {}
    for transition in transitions:
        days.setdefault(day_text(transition), []).append(transition)
    yield from days.items()


def _row(transition: TransitionObject) -> str:
    return f"| {clock_text(transition)} | {type_text(transition)} | {_escaped(text_of(transition))} |"


def _escaped(text: str) -> str:
    """Return users' text that Markdown shows as it is, on one line."""
    return CONTROL_CHARS.sub(" ", text).translate(_MARKDOWN)
