"""`events tail`, `story` and `replay --format events|timeline`: what they print, and where they say no."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from exporter.cli.root import main
from exporter.commands.events import HeldTransitions
from exporter.commands.story import story_lines
from exporter.commands.timeline import timeline_lines

if TYPE_CHECKING:
    from click.testing import Result

    from tests.recorded import Recordings

HOSTILE = "evil\x1b[2J\r\nname | <script>\u2028`x`"
IMAGES = {"current": {"app": "registry.local/app:v2"}, "stable": {"app": "registry.local/app:v1"}}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def transition(kind: str, timestamp: float = 1_795_893_047.0, **members: Any) -> dict[str, Any]:
    return {"at": timestamp, "rollout": "shop/cart", "type": kind, "sentence": f"It is {kind}.", **members}


@pytest.fixture
def frames(explained_recordings: Recordings) -> str:
    return str(explained_recordings.frames("superseded-1.9.3", "full"))


@pytest.mark.slow
def test_the_formats_and_the_commands_print_the_same_transitions(frames: str) -> None:
    replayed = invoke("replay", frames, "--format", "events")
    tailed = invoke("events", "tail", "--recording", frames, "--json")
    assert replayed.exit_code == tailed.exit_code == 0
    assert replayed.stdout == tailed.stdout
    events = [json.loads(line) for line in replayed.stdout.splitlines()]
    assert {"update_started", "superseded", "rolled_back", "promoted", "aborted"} <= {event["type"] for event in events}
    timeline = invoke("replay", frames, "--format", "timeline")
    assert timeline.stdout == invoke("events", "tail", "--recording", frames).stdout
    assert timeline.stdout.count("superseded") == sum(event["type"] == "superseded" for event in events)


def test_since_counts_from_the_end_of_a_recording(frames: str) -> None:
    complete = invoke("events", "tail", "--recording", frames, "--json").stdout.splitlines()
    latest = invoke("events", "tail", "--recording", frames, "--json", "--since", "20s").stdout.splitlines()
    assert 0 < len(latest) < len(complete)
    assert complete[-len(latest) :] == latest


def test_a_tail_names_when_the_history_begins(frames: str) -> None:
    result = invoke("events", "tail", "--recording", frames)
    assert "history is held since 2026-11-28 19:12:4" in result.stderr


@pytest.mark.parametrize("command", [("events", "tail"), ("story", "shop/cart")])
def test_an_exporter_that_does_not_answer_is_an_error_with_a_hint(command: tuple[str, ...]) -> None:
    result = invoke(*command, "--address", "http://ann:secret-pass@127.0.0.1:1")
    assert result.exit_code != 0
    assert "check --address" in result.stderr
    assert "secret-pass" not in result.output


def test_a_story_needs_a_namespace() -> None:
    result = invoke("story", "cart")
    assert result.exit_code == 2
    assert "NAMESPACE/NAME" in result.output


def test_a_story_has_each_attempt_with_its_result_and_cause(frames: str) -> None:
    lines = invoke("story", "shop/paused", "--recording", frames).stdout.splitlines()
    assert lines[0] == "# shop/paused"
    attempts = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in lines
        if line.startswith(("| 2 |", "| 3 |", "| 4 |"))
    ]
    assert [(row[0], row[1], row[3], row[5]) for row in attempts] == [
        ("2", "app:v1 → app:v2", "superseded", "new revision"),
        ("3", "app:v1 → app:v3", "promoted", ""),
        ("4", "app:v3 → app:v1", "under way", ""),
    ]


def test_a_story_names_the_start_of_the_history() -> None:
    held = HeldTransitions(0.0, 1_795_893_000.0, [])
    text = "\n".join(story_lines("shop/cart", held, 1_795_893_060.0))
    assert "What happened before 2026-11-28 19:10:00 UTC is not held" in text
    assert "Nothing happened." in text


def test_a_story_of_an_update_that_began_before_shows_its_end() -> None:
    held = HeldTransitions(0.0, 0.0, [transition("promoted", revision="2", duration=60.0, images=IMAGES)])
    text = "\n".join(story_lines("shop/cart", held, 1_795_893_060.0))
    assert "| 2 | app:v1 → app:v2 | before | promoted | 1 min |  |  |" in text


def test_text_of_users_moves_no_line_and_makes_no_markup() -> None:
    event = transition("aborted", sentence=HOSTILE, rollout=f"shop/{HOSTILE}", revision=HOSTILE, cause="analysis")
    for line in (*timeline_lines([event]), *story_lines(HOSTILE, HeldTransitions(0.0, 0.0, [event]), 1.0)):
        assert not set("\x1b\r\n\u2028") & set(line)
    story = "\n".join(story_lines(HOSTILE, HeldTransitions(0.0, 0.0, [event]), 1.0))
    assert "\\<script\\>" in story
    assert "name \\|" in story


def test_a_timeline_aligns_within_80_columns_and_has_a_line_for_each_day() -> None:
    words = " ".join(["word"] * 60)
    lines = list(
        timeline_lines([transition("paused", sentence=words), transition("resumed", timestamp=1_795_993_047.0)])
    )
    assert [line for line in lines if line.endswith("UTC")] == ["2026-11-28 UTC", "2026-11-29 UTC"]
    assert max(map(len, lines)) <= 80
    starts = {len(line) - len(line.lstrip()) for line in lines[2:-2]}
    assert len(starts) == 1, "continued lines begin in the column of the text"


def test_a_transition_of_no_rollout_has_its_line() -> None:
    leader = {"at": 0.0, "type": "leader_changed", "sentence": "argo-b leads, instead of argo-a"}
    assert list(timeline_lines([leader]))[1] == "00:00:00  -  leader changed    argo-b leads, instead of argo-a"
