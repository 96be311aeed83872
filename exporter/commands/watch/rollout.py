"""The view of one rollout in full."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from exporter.commands.explain import rollout_sentence
from exporter.commands.timeline import clock_text, text_of, type_text
from exporter.commands.watch.fleet import (
    fact_lines,
    foot_lines,
    greyed,
    head_lines,
    next_lines,
    title_line,
)
from exporter.commands.watch.state import is_away
from exporter.commands.watch.view import View, cell, packed, wrapped
from exporter.durations import duration as duration_text
from exporter.rollouts.events.model import ATTEMPT_BEGINNINGS
from exporter.rollouts.explain.words import percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exporter.commands.rollout_source import RolloutObject
    from exporter.commands.watch.state import WatchState

_RECENT: Final = 8
"""Transitions that are shown; `story` has all."""
_STEP_MARKS: Final = {"done": "·", "current": "▸", "stopped": "✗", "ahead": " "}


def rollout_view(state: WatchState, name: str, width: int) -> View:
    """Return the view of the only rollout of a state, or that there is none any more."""
    head, foot = [*head_lines(state, width)], [*foot_lines(state, width)]
    if not state.page.rollouts:
        return View(head, [[Text(), cell(f"{name} was deleted, or no source shows it")]], foot)
    rollout = state.page.rollouts[0]
    is_old = bool(state.failure) or not state.page.has_leader or is_away(rollout)
    blocks = [list(block) for block in _blocks(rollout, state.page.scraped_at, width)]
    sections = [[Text(), *block] for block in blocks if block]
    return View(head, [[greyed(line) for line in block] for block in sections] if is_old else sections, foot)


def _blocks(rollout: RolloutObject, now: float, width: int) -> Iterator[Sequence[Text]]:
    yield [
        title_line(rollout, now, width),
        *fact_lines(rollout, width),
        *wrapped(cell(rollout_sentence(rollout)), width),
        *next_lines(rollout, width),
    ]
    yield _section("steps", _step_lines(rollout, width))
    yield _section("revisions", _revision_lines(rollout, width))
    yield _section("analyses", _analysis_lines(rollout, width))
    yield _section("evidence", _evidence_lines(rollout, width))
    yield _section("recent events (UTC)", _event_lines(rollout, width))


def _section(title: str, lines: Iterator[Text]) -> list[Text]:
    rows = list(lines)
    return [cell(title, "bold"), *rows] if rows else []


def _step_lines(rollout: RolloutObject, width: int) -> Iterator[Text]:
    """Yield a line for each step of the plan, or for those that the recent events show."""
    steps = rollout.get("steps") or _reached_steps(rollout)
    for step in steps:
        mark = _STEP_MARKS.get(step.get("state", ""), " ")
        seconds = step.get("seconds")
        text = f"{mark} {step['index'] + 1:2} {_step_text(step)}"
        spent = f"for {duration_text(seconds)}" if seconds is not None else ""
        style = "bold" if step.get("state") == "current" else ""
        yield from packed([cell(f"{text:32}", style), cell(spent, style)] if spent else [cell(text, style)], width)


def _step_text(step: Mapping[str, Any]) -> str:
    if "text" in step:
        return str(step["text"])
    weight, duration = step.get("weight"), step.get("duration")
    detail = f"{weight:g} %" if weight is not None else f"{duration_text(duration)}" if duration is not None else ""
    return f"{step['kind']} {detail}".rstrip()


def _reached_steps(rollout: RolloutObject) -> list[Mapping[str, Any]]:
    """Return the steps of the present attempt that the recent events show, with the time spent in each so far."""
    reached: list[tuple[float, Mapping[str, Any]]] = []
    for event in rollout.get("events") or ():
        if event["type"] in ATTEMPT_BEGINNINGS:
            reached = []
        if (
            event["type"] in {*ATTEMPT_BEGINNINGS, "step_reached"}
            and event.get("step", {}).get("kind", "done") != "done"
        ):
            reached.append((event["at"], event["step"]))
    if not rollout["step"] or not reached:
        return []
    done = [{**step, "state": "done", "seconds": end - start} for (start, step), (end, _) in pairwise(reached)]
    return [*done, {**reached[-1][1], "state": "current" if rollout["stopped_at"] is None else "stopped"}]


def _revision_lines(rollout: RolloutObject, width: int) -> Iterator[Text]:
    revisions, images = rollout["revisions"], rollout.get("images") or {}
    for role, key in (("current", "wanted"), ("stable", "stable")):
        names = ", ".join((images.get(role) or {}).values())
        parts = [cell(f"{role:7} {revisions[key] or 'unknown'}"), *([cell(names)] if names else [])]
        yield from packed(parts, width)
    replicas = rollout["replicas"]
    if replicas is not None:
        yield from wrapped(
            cell(f"replicas {', '.join(f'{count:g} {name}' for name, count in replicas.items())}"), width
        )
    if rollout["fraction"] is not None:
        yield from wrapped(cell(_fraction_text(rollout["fraction"])), width)


def _fraction_text(fraction: Mapping[str, Any]) -> str:
    estimates = ", ".join(f"{method} {percent(share)}" for method, share in fraction["estimates"].items())
    return f"canary by {fraction['method'] or 'no method'}: {fraction['why']}{f' ({estimates})' if estimates else ''}"


def _analysis_lines(rollout: RolloutObject, width: int) -> Iterator[Text]:
    for run in rollout.get("analyses") or ():
        slot, message = (
            f"{mark}{run[name]}" if run.get(name) else "" for mark, name in ((" ", "slot"), (": ", "message"))
        )
        yield from wrapped(cell(f"{run['name']}{slot} {run.get('phase') or 'Pending'}{message}"), width)
        for metric in run.get("metrics") or ():
            yield from wrapped(cell(_metric_text(metric)), width, 4)


def _metric_text(metric: Mapping[str, Any]) -> str:
    counts = ", ".join(
        f"{metric[name]} {name}" for name in ("successful", "failed", "inconclusive", "error") if metric.get(name)
    )
    parts = (counts, f"last {metric['last']}" if metric.get("last") else "")
    return (
        f"{metric['name']} {metric.get('phase') or 'Pending'}: {'; '.join(filter(None, parts)) or 'not measured yet'}"
    )


def _evidence_lines(rollout: RolloutObject, width: int) -> Iterator[Text]:
    for line in rollout["explanation"]["evidence"]:
        age = f", {duration_text(line['age'])} ago" if "age" in line else ""
        yield from wrapped(Text.assemble(cell(line["text"]), (f" ({line['source']}{age})", "dim")), width, mark="- ")


def _event_lines(rollout: RolloutObject, width: int) -> Iterator[Text]:
    for event in (rollout.get("events") or ())[-_RECENT:]:
        yield from wrapped(cell(f"{type_text(event)}: {text_of(event)}"), width, mark=f"{clock_text(event)}  ")
