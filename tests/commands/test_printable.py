"""No text of a page, of an event or of a name acts on the terminal of whoever looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from exporter.commands.events import HeldTransitions
from exporter.commands.explain import ExplainError, explain_lines, history_lines, select
from exporter.commands.list import list_lines
from exporter.commands.rollout_source import RolloutsPage
from exporter.commands.story import story_lines
from exporter.commands.timeline import timeline_lines
from exporter.log import CONTROL_CHARS
from exporter.rollouts.events.document import transition_json
from exporter.service import views

if TYPE_CHECKING:
    from tests.recorded import Recordings

HOSTILE: Final = "\x1b[2J\x9b1A\nforged line\u2028"
PUBLIC_WORDS: Final = frozenset({"type", "standing", "kind"})
"""Members whose values this exporter chooses."""


def hostile(value: Any, name: str = "") -> Any:
    """Return a JSON value with control characters in each text that comes from outside."""
    if isinstance(value, dict):
        return {key: hostile(member, key) for key, member in value.items()}
    if isinstance(value, list):
        return [hostile(member, name) for member in value]
    return f"{value}{HOSTILE}" if isinstance(value, str) and name not in PUBLIC_WORDS else value


def test_every_command_replaces_control_characters(explained_recordings: Recordings) -> None:
    transitions, documents, timestamp = [], [], 0.0
    for tick, _, tracker in explained_recordings.play("inconclusive-1.10.2", "full"):
        timestamp = tick.timestamp
        transitions += [hostile(transition_json(transition)) for transition in tracker.status.transitions]
        keys = [rollout.key for rollout in tracker.status.rollouts]
        documents += [hostile(views.rollout_details_json(tracker.status, key, timestamp)) for key in keys]
    assert transitions
    held = HeldTransitions(timestamp - 60.0, timestamp - 60.0, transitions)
    page = RolloutsPage(timestamp, has_leader=True, rollouts=documents)
    moment = {"rollout": f"shop/{HOSTILE}", "at": timestamp, "transition": transitions[-1]}
    outputs = [
        *(line for document in documents for line in explain_lines(document)),
        *history_lines(moment),
        *(line for width in (60, 140, None) for line in list_lines(page, width)),
        *timeline_lines(transitions),
        *story_lines(f"shop/{HOSTILE}", held, timestamp),
    ]
    assert len(outputs) > 100
    assert [line for line in outputs if CONTROL_CHARS.search(line)] == []


def test_a_message_about_names_replaces_control_characters() -> None:
    with pytest.raises(ExplainError) as caught:
        select([{"namespace": "shop", "name": f"cart{HOSTILE}"}], "shop/card")
    assert CONTROL_CHARS.search(str(caught.value)) is None
