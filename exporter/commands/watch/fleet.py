"""The view of all rollouts: grouped by urgency, with the sentence, the step, the canary's share, versions and pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from exporter.commands.explain import rollout_name, rollout_sentence
from exporter.commands.list import shortened
from exporter.commands.timeline import time_text
from exporter.commands.watch.state import by_urgency, is_away, set_weight, urgency
from exporter.commands.watch.texts import has_share, phase_text, pods_text, share_text, step_text
from exporter.commands.watch.view import GAP, MARKS, STYLES, View, bar, cell, packed, spread, wrapped
from exporter.durations import duration as duration_text
from exporter.rollouts.events.wording import image_texts
from exporter.web.model import Urgency

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exporter.commands.rollout_source import RolloutObject
    from exporter.commands.watch.state import WatchState

_HEADINGS: Final = {
    Urgency.PERSON: "waiting for a person",
    Urgency.FAILED: "aborted or failed",
    Urgency.UPDATING: "updating",
    Urgency.UNKNOWN: "unknown",
    Urgency.REST: "at rest",
}
_BAR_WIDTHS: Final = ((100, 30), (70, 20), (0, 12))
"""From which width of the view on, and how wide a bar is: the text beside it has up to 23 characters."""
_PHASE_WIDTH: Final = len("InvalidSpec 47 h 59 min")
"""The room for phase and time beside a long name."""
_NO_LEADER: Final = "no leading controller can be read: what is shown is the last known state; check argo.targets"
_MAX_PROBLEMS: Final = 3
"""Targets that are down, each a line of the foot: more of them would leave no room for rollouts."""


def fleet_view(state: WatchState, width: int) -> View:
    """Return the view of all rollouts for a terminal of some width."""
    groups = by_urgency(state.page.rollouts)
    counts = ", ".join(f"{len(members)} {_HEADINGS[group]}" for group, members in groups.items())
    count = len(state.page.rollouts)
    summary = f"{count} rollout{'' if count == 1 else 's'}{f': {counts}' if counts else ''}"
    blocks = [block for group, members in groups.items() for block in _group_blocks(group, members, state, width)]
    head = [*head_lines(state, width), *wrapped(cell(summary), width, 0)]
    return _greyed(state, View(head, blocks, [*foot_lines(state, width)]))


def head_lines(state: WatchState, width: int) -> Iterator[Text]:
    """Yield where the rollouts are read and when, and what is wrong with it."""
    clock = time_text(state.page.scraped_at).partition(" ")[2]
    yield spread(cell(f"rollouts of {state.origin}", "bold"), cell(clock), width)
    if state.failure:
        age = duration_text(state.now - state.page.scraped_at)
        yield from wrapped(cell(f"not reached, the state of {age} ago is shown: {state.failure}", "bold red"), width, 0)
    elif not state.page.has_leader:
        yield from wrapped(cell(_NO_LEADER, "bold red"), width, 0)


def foot_lines(state: WatchState, width: int) -> Iterator[Text]:
    """Yield what is wrong with targets, how delivery stands, and the notes."""
    targets = state.status.get("targets") or ()
    if targets or state.notes or "delivery" in state.status:
        yield Text()
    down = [target for target in targets if target["state"] == "down"]
    for target in down[:_MAX_PROBLEMS]:
        yield from wrapped(_target_line(target), width, 0)
    if targets:
        yield cell(f"targets: {len(targets) - len(down)} up, {len(down)} down")
    if "delivery" in state.status:
        yield from wrapped(_delivery_line(state.status["delivery"]), width, 0)
    for note in state.notes:
        yield from wrapped(cell(note, "dim"), width, 0)


def _target_line(target: Mapping[str, Any]) -> Text:
    mark = (f"{MARKS[Urgency.FAILED]} ", STYLES[Urgency.FAILED])
    return Text.assemble(mark, cell(f"{target['source']} {target['address']} is down: {target['error']}"))


def _delivery_line(delivery: Mapping[str, Any] | None) -> Text:
    if delivery is None:
        return cell("delivery: none, otlp.endpoint is not set")
    reason = delivery.get("reason") or delivery.get("error") or ""
    return cell(f"delivery: {delivery['state']}, {delivery['queued']:,} points queued{f': {reason}' if reason else ''}")


def greyed(line: Text) -> Text:
    """Return a line without colours, grey."""
    return Text(line.plain, "dim")


def _greyed(state: WatchState, view: View) -> View:
    """Return the view with rollouts in grey if they could not be read now."""
    if not state.failure and state.page.has_leader:
        return view
    return View(view.head, [[greyed(line) for line in block] for block in view.blocks], view.foot)


def _group_blocks(
    group: Urgency, rollouts: Sequence[RolloutObject], state: WatchState, width: int
) -> Iterator[list[Text]]:
    yield [Text(), cell(f"{_HEADINGS[group]} ({len(rollouts)})", "bold")]
    step_width = max(len(step_text(rollout)) for rollout in rollouts)
    name_width = max(len(rollout_name(rollout)) for rollout in state.page.rollouts)
    for rollout in rollouts:
        lines = [title_line(rollout, state.page.scraped_at, width, name_width)]
        if group is not Urgency.REST or is_away(rollout):
            lines += [*fact_lines(rollout, width, step_width), *_sentences(rollout, group, width)]
        yield [greyed(line) for line in lines] if is_away(rollout) else lines


def title_line(rollout: RolloutObject, now: float, width: int, name_width: int = 0) -> Text:
    """Return the name of a rollout, which is shortened if it is too long, then its phase with the time in it."""
    group, phase = urgency(rollout), cell(phase_text(rollout, now))
    name_width = min(max(name_width, len(rollout_name(rollout))), max(width - _PHASE_WIDTH - len(GAP) - 2, 1))
    name = cell(f"{shortened(rollout_name(rollout), name_width):{name_width}}", "bold")
    line = Text.assemble((MARKS[group], f"bold {STYLES[group]}"), " ", name, GAP, phase)
    line.truncate(width, overflow="ellipsis")
    return line


def fact_lines(rollout: RolloutObject, width: int, step_width: int = 0) -> Iterator[Text]:
    """Yield step, share, versions and pods, as many on a line as fit."""
    share, step = _share_bar(rollout, width), step_text(rollout)
    # Bars stand under each other, also that of a rollout without steps.
    place = (
        Text.assemble(f"{step:{step_width}}{GAP}", share)
        if share and max(step_width, len(step))
        else share or cell(step)
    )
    parts = (place, cell(image_texts(rollout)), cell(pods_text(rollout)))
    yield from packed([part for part in parts if part], width)


def _share_bar(rollout: RolloutObject, width: int) -> Text:
    """Return the bar of the canary's share with its numbers, empty where there is none."""
    if not has_share(rollout):
        return Text()
    cells = next(cells for view_width, cells in _BAR_WIDTHS if width >= view_width)
    shape = bar(rollout["fraction"]["best"], set_weight(rollout), cells, STYLES[urgency(rollout)])
    return Text.assemble(shape, " ", cell(share_text(rollout)))


def _sentences(rollout: RolloutObject, group: Urgency, width: int) -> Iterator[Text]:
    yield from wrapped(cell(rollout_sentence(rollout)), width)
    if group in {Urgency.PERSON, Urgency.FAILED}:
        yield from next_lines(rollout, width)


def next_lines(rollout: RolloutObject, width: int) -> Iterator[Text]:
    """Yield what a person has to do, nothing if nobody has to."""
    if rollout["next"] and rollout["next"] != "Nothing.":
        yield from wrapped(Text.assemble(("what to do: ", "bold"), cell(rollout["next"])), width)
