"""Holds explanations against a recording's `expected.jsonl`: what its script declared, and the objects show.

A frame agrees with its own row or that of a neighbouring frame, since a page may be older or newer than the objects by
a write. Left out though something is expected is unknown; anything that is not expected is wrong.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

from exporter.commands.replay import explanations_after
from exporter.rollouts.tracker import RolloutTracker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from exporter.rollouts.model import TrackingPolicy
    from tests.recorded import RecordedTick

Explanations = dict[str, dict[str, Any]]
"""The JSON of each rollout's explanation at a frame, by `namespace/name`."""
QUESTIONS: Final = (
    "cause", "run", "metric", "step", "stopped_at", "pause", "waits_for", "images", "replaces",
)  # fmt: skip # a table
Verdicts = dict[str, Counter[str]]
"""Question → how often the answer was right, wrong or unknown."""


def play(ticks: Iterable[RecordedTick], policy: TrackingPolicy) -> list[tuple[float, Explanations]]:
    """Return the explanations of each tick."""
    tracker = RolloutTracker(policy)
    answered = []
    for tick in ticks:
        tracker.process(tick.timestamp, tick.results)
        answered.append((tick.timestamp, explanations_after(tracker, tick.timestamp)))
    return answered


def answer(row: Mapping[str, Any], question: str) -> object:
    """Return what a row or an explanation answers, None if nothing."""
    value = row.get(question)
    match question:
        case _ if value in (None, "unknown"):
            return None
        case "metric":
            return value["name"]
        case "pause":
            return tuple(sorted({pause["reason"] for pause in value}))
        case "replaces":
            return value["revision"]
        case "step" | "images":
            return json.dumps(value, sort_keys=True)
    return value


def judge(expected: Path, frames: Sequence[tuple[float, Explanations]]) -> tuple[Verdicts, list[str]]:
    """Return the verdicts on the explanations of all frames, and a line for each wrong answer."""
    rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in expected.read_text().splitlines():
        row = json.loads(line)
        rows[row["rollout"]].append(row)
    verdicts: Verdicts = {question: Counter() for question in QUESTIONS}
    wrong: list[str] = []
    for place, (timestamp, explanations) in enumerate(frames):
        near = [timestamp, *(frames[other][0] for other in (place - 1, place + 1) if 0 <= other < len(frames))]
        for rollout, history in rows.items():
            if history[0]["at"] > timestamp + 0.0005:  # not there yet
                continue
            starts = [row["at"] for row in history]
            places = [bisect_right(starts, moment + 0.0005) - 1 for moment in near]
            right_rows = [history[index] for index in places if index >= 0]
            for question in QUESTIONS:
                answered = answer(explanations.get(rollout, {}), question)
                right = [answer(row, question) for row in right_rows]
                verdict = _verdict(answered, right)
                verdicts[question][verdict] += 1
                if verdict == "wrong":
                    wrong.append(f"{timestamp:.3f} {rollout} {question}: {answered}, right is {right[0]}")
    return verdicts, wrong


def _verdict(answered: object, right: Sequence[object]) -> str:
    if answered in right:
        return "right" if answered is not None or right[0] is not None else "not asked"
    return "unknown" if answered is None else "wrong"
