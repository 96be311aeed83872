"""The command `list`: a line for each rollout, those that need a person first."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Final

from exporter.commands.explain import rollout_name, rollout_sentence
from exporter.commands.printable import printable
from exporter.commands.rollout_source import step_place
from exporter.durations import duration as duration_text
from exporter.log import CONTROL_CHARS
from exporter.rollouts.explain.words import percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.commands.rollout_source import RolloutObject, RolloutsPage

_HEADS: Final = ("ROLLOUT", "PHASE", "FOR", "STEP", "CANARY")
_GAP: Final = "  "
_WIDE: Final = 120
"""From this width on sentences stand beside the columns, below it under them."""
_MEDIUM: Final = 80
"""Below this width there is no column FOR: names of rollouts are longer than 20 characters."""
_MIN_NAME_WIDTH: Final = 12
_SENTENCE_INDENT: Final = "    "


@printable
def list_lines(page: RolloutsPage, width: int | None) -> Iterator[str]:
    """Yield the lines of a table that is at most `width` characters wide; None for no limit."""
    rollouts = sorted(page.rollouts, key=_urgency)
    is_wide = width is None or width >= _WIDE
    columns = range(len(_HEADS)) if width is None or width >= _MEDIUM else (0, 1, 3, 4)
    rows = [[cells[column] for column in columns] for cells in (_HEADS, *(_cells(each, page) for each in rollouts))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is not None:
        others = sum(widths[1:]) + len(_GAP) * (len(widths) - 1)
        widths[0] = min(widths[0], max(width // 3 if is_wide else width - others, _MIN_NAME_WIDTH))
    head, *lines = (_line(cells, widths) for cells in rows)
    yield f"{head}{_GAP}STATE" if is_wide else head.rstrip()
    for line, rollout in zip(lines, rollouts, strict=True):
        sentence = rollout_sentence(rollout)
        if is_wide:
            yield from _beside(f"{line}{_GAP}", sentence, width)
        else:
            yield line.rstrip()
            yield from () if _is_at_rest(rollout) else _below(sentence, width or _MEDIUM)


def _beside(line: str, sentence: str, width: int | None) -> Iterator[str]:
    if width is None:
        yield f"{line}{sentence}"
        return
    for place, text in enumerate(wrap(sentence, width - len(line)) or [""]):
        yield f"{' ' * len(line) if place else line}{text}".rstrip()


def _below(sentence: str, width: int) -> Iterator[str]:
    return iter(wrap(sentence, width, initial_indent=_SENTENCE_INDENT, subsequent_indent=_SENTENCE_INDENT))


def _urgency(rollout: RolloutObject) -> tuple[bool, bool, bool, str]:
    has_failed = rollout["standing"] == "aborted" or rollout["cause"] is not None
    return not has_failed, rollout["waits_for"] != "person", _is_at_rest(rollout), rollout_name(rollout)


def _is_at_rest(rollout: RolloutObject) -> bool:
    return rollout["standing"] == "settled" and rollout["cause"] is None


def _cells(rollout: RolloutObject, page: RolloutsPage) -> tuple[str, ...]:
    phase_since = rollout["phase_since"]
    return (
        CONTROL_CHARS.sub(" ", rollout_name(rollout)),
        rollout["phase"] or "unknown",
        duration_text(page.scraped_at - phase_since) if rollout["phase"] and phase_since else "-",
        _step(rollout),
        _canary(rollout),
    )


def _step(rollout: RolloutObject) -> str:
    place = step_place(rollout)
    return f"{place[0]}/{place[1]}" if place else "-"


def _canary(rollout: RolloutObject) -> str:
    fraction = rollout["fraction"]
    if fraction is None or _is_at_rest(rollout):
        return "-"
    return "unknown" if fraction["best"] is None else percent(fraction["best"])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *others = (f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))
    return _GAP.join((shortened(name, widths[0]), *others))


def shortened(name: str, width: int) -> str:
    """Return a name without its middle: names of one team begin, and those of one service end, with the same words."""
    if len(name) <= width:
        return name
    end = (width - 1) // 2
    return f"{name[: width - 1 - end]}…{name[len(name) - end :]}"
