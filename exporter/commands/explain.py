"""The command `explain`: why a rollout is where it is, what to do, and the evidence for it."""

from __future__ import annotations

import time
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from exporter.commands.events import fetch_transitions
from exporter.commands.printable import printable
from exporter.commands.rollout_source import ExporterRollouts
from exporter.commands.timeline import text_of, time_text, type_text
from exporter.durations import duration as duration_text
from exporter.log import CONTROL_CHARS
from exporter.rollouts.events.wording import image_texts
from exporter.rollouts.explain.words import METHODS, UNKNOWN_REASONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exporter.commands.api_client import ExporterAddress
    from exporter.commands.rollout_source import RolloutObject, RolloutSource
    from exporter.rollouts.model import RolloutKey

_SUGGESTIONS: Final = 3
_UPDATE_STATES: Final = {
    "settled": "no update is in progress",
    "updating": "an update is in progress",
    "aborted": "the update was aborted; the current revision is not fully deployed",
    "unknown": "unknown whether an update is in progress",
}


class ExplainError(Exception):
    """No rollout can be explained; the message has a hint."""


async def read_rollout(source: RolloutSource, name: str) -> RolloutObject:
    """Return one rollout with its explanation. Raises ExplainError and what the source raises."""
    await source.refresh()
    rollout = select((await source.read_all()).rollouts, name)
    selected = (await source.read(rollout_key(rollout))).rollouts
    if not selected:
        raise ExplainError(f"{_listed([rollout_name(rollout)])} was deleted at this moment")
    return selected[0]


def select(rollouts: Sequence[RolloutObject], name: str) -> RolloutObject:
    """Return the rollout NAMESPACE/NAME, or NAME if it is the only one. Raises ExplainError with suggestions."""
    by_name = {rollout_name(rollout): rollout for rollout in rollouts}
    if name in by_name:
        return by_name[name]
    matching = [full_name for full_name in by_name if full_name.partition("/")[2] == name]
    if len(matching) == 1:
        return by_name[matching[0]]
    if matching:
        raise ExplainError(f"several rollouts are called {name}: {_listed(matching)}; write NAMESPACE/NAME")
    if not by_name:
        raise ExplainError(f"no rollout {name}: there are none; check that a controller is scraped")
    # A name without a namespace is compared with those of all namespaces.
    ends = {full_name if "/" in name else full_name.partition("/")[2]: full_name for full_name in by_name}
    similar = [ends[end] for end in get_close_matches(name, ends, _SUGGESTIONS, 0.0)]
    raise ExplainError(f"no rollout {name}; did you mean {_listed(similar)}? Without a name, `explain` lists all")


def rollout_key(rollout: RolloutObject) -> RolloutKey:
    """Return namespace and name."""
    return rollout["namespace"], rollout["name"]


def rollout_name(rollout: RolloutObject) -> str:
    """Return NAMESPACE/NAME."""
    return f"{rollout['namespace']}/{rollout['name']}"


def rollout_sentence(rollout: RolloutObject) -> str:
    """Return why a rollout is where it is, on one line."""
    return CONTROL_CHARS.sub(" ", str(rollout["sentence"]))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SUGGESTIONS} more" if len(names) > _SUGGESTIONS else ""
    return CONTROL_CHARS.sub(" ", ", ".join(names[:_SUGGESTIONS])) + more


async def history_at(address: ExporterAddress, name: str | None, timestamp: float) -> list[Mapping[str, Any]]:
    """Return the last transition before a time of each rollout, or of one, from a running exporter's history.

    A negative `timestamp` is seconds ago. Raises ExplainError and ExporterUnreachableError.
    """
    timestamp = timestamp + time.time() if timestamp < 0 else timestamp
    if name is not None and "/" not in name:
        name = rollout_name(select((await ExporterRollouts(address).read_all()).rollouts, name))
    held = await fetch_transitions(address, 0.0, name or "")
    if timestamp < held.held_since:
        hint = "use --recording; storage.history sets for how long it is held"
        raise ExplainError(
            f"{time_text(timestamp)} is before the history, which begins at {time_text(held.held_since)}; {hint}"
        )
    last = {each["rollout"]: each for each in held.transitions if each["at"] <= timestamp and "rollout" in each}
    if not last:
        subject = name or "any rollout"
        raise ExplainError(f"the history has no transition of {subject} from {time_text(held.held_since)} until then")
    moment = {"at": timestamp, "history_since": held.held_since}
    return [{"rollout": last_name, **moment, "transition": last[last_name]} for last_name in sorted(last)]


@printable
def history_lines(moment: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the history has of a rollout at a time, line by line."""
    transition = moment["transition"]
    age = duration_text(moment["at"] - transition["at"])
    yield f"{moment['rollout']} at {time_text(moment['at'])}, by its last transition"
    yield f"  {type_text(transition)} at {time_text(transition['at'])}, {age} before: {text_of(transition)}"
    if "revision" in transition:
        yield f"  revision: {transition['revision']} {image_texts(transition)}".rstrip()
    if "fraction" in transition:
        yield f"  canary fraction: {transition['fraction']:.3g}"


@printable
def explain_lines(rollout: RolloutObject) -> Iterator[str]:
    """Yield the explanation of a rollout, an object of /api/rollouts/NAMESPACE/NAME, line by line."""
    yield f"{rollout_name(rollout)} ({rollout['strategy'] or 'strategy unknown'})"
    yield f"  {rollout['sentence']}"
    yield f"  what to do: {rollout['next']}"
    yield "  evidence:"
    yield from map(_evidence_line, rollout["explanation"]["evidence"])
    yield from _state(rollout)
    yield from _revisions(rollout)
    yield from _fraction(rollout)
    for reason in rollout["unknown"]:
        yield f"  unknown ({reason}): {UNKNOWN_REASONS.get(reason, reason)}"


def _evidence_line(line: Mapping[str, Any]) -> str:
    age = f", {line['age']:.0f} s ago" if "age" in line else ""
    return f"    {line['text']} ({line['source']}{age})"


def _state(rollout: RolloutObject) -> Iterator[str]:
    phase = rollout["phase"]
    if phase is None and not rollout["last_seen"]:
        yield "  phase: unknown; no controller has exported it yet"
    elif phase is None:
        yield f"  phase: unknown since {time_text(rollout['last_seen'])}, when {rollout['controller']} last exported it"
    else:
        yield f"  phase: {phase} since {time_text(rollout['phase_since'])}, exported by {rollout['controller']}"
    yield f"  update state: {_UPDATE_STATES[rollout['standing']]} (by {rollout['evidence']})"
    update = rollout["update"]
    if update is not None:
        since = "before it was first observed" if update["since"] is None else time_text(update["since"])
        yield f"  update: {update['kind']}, since {since}"
    counts = ", ".join(f"{count} {result}" for result, count in rollout["updates"].items())
    yield f"  finished updates since it was first observed: {counts or 'none'}"


def _revisions(rollout: RolloutObject) -> Iterator[str]:
    revisions = rollout["revisions"]
    yield f"  revisions: current {revisions['wanted'] or 'unknown'}, stable {revisions['stable'] or 'unknown'}"
    if rollout["replicas"] is not None:
        yield "  replicas: " + ", ".join(f"{count:g} {state}" for state, count in rollout["replicas"].items())
    if rollout["pods"] is not None:
        yield "  pods: " + (", ".join(f"{count} {role}" for role, count in rollout["pods"].items()) or "none")


def _fraction(rollout: RolloutObject) -> Iterator[str]:
    fraction = rollout["fraction"]
    if fraction is None:
        yield "  canary fraction: none; the strategy has no canary, or no controller exports the rollout"
        return
    text = "unknown" if fraction["best"] is None else f"{fraction['best']:.3g}, method {fraction['method']}"
    yield f"  canary fraction: {text}; {fraction['why']}"
    yield f"  traffic router: {'yes' if rollout['router'] else 'no'}"
    for method, description in METHODS.items():
        value = fraction["estimates"].get(method)
        yield f"    {method} ({description}): {'unavailable' if value is None else f'{value:.3g}'}"
