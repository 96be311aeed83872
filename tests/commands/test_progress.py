"""What takes seconds shows its progress on standard error, and nothing of it on standard output."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from exporter.cli import progress as shown
from exporter.cli.progress import show_progress
from exporter.commands.progress import progress, shown_by
from exporter.commands.replay import replay_frames
from exporter.config import Settings
from tests.progress import ended_progress

if TYPE_CHECKING:
    from tests.recorded import Recordings

PROGRAM = """
import sys, time
from exporter.cli.progress import show_progress
from exporter.commands.progress import progress, shown_by
with shown_by(show_progress), progress("recording", "frames", 4) as current:
    for current.done in range(5):
        time.sleep(0.5)
print("done")
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make lines come in hundredths of seconds."""
    monkeypatch.setattr(shown, "FIRST_LINE_SECONDS", 0.02)
    monkeypatch.setattr(shown, "LINE_SECONDS", 0.02)


def run_until(count: int, errors: io.StringIO) -> str:
    """Show an activity until some lines are printed; return them."""
    deadline = time.monotonic() + 10
    with shown_by(show_progress), progress("recording", "frames", 1200) as current:
        current.done = 1100
        while errors.getvalue().count("\n") < count and time.monotonic() < deadline:
            time.sleep(0.005)
    return errors.getvalue()


@pytest.mark.usefixtures("quick")
def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    lines = run_until(2, errors).splitlines()
    assert len(lines) >= 2
    assert all(re.fullmatch(r"recording: 1,100 of 1,200 frames after \S.*", line) for line in lines)


def test_what_ends_at_once_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with shown_by(show_progress), progress("recording", "frames") as current:
        current.done = 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("quick")
def test_an_activity_that_fails_ends_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    with pytest.raises(ValueError, match="broken"), shown_by(show_progress), progress("recording", "frames"):
        raise ValueError("broken")
    text = errors.getvalue()
    time.sleep(0.05)
    assert errors.getvalue() == text


def test_a_replay_counts_its_frames(explained_recordings: Recordings) -> None:
    path = explained_recordings.frames("person-1.10.2", "full")
    with ended_progress() as ended:
        frames = sum(1 for _ in replay_frames(path, Settings()))
    assert ended == [(frames, frames)]


@pytest.mark.slow
def test_a_terminal_gets_a_bar_that_is_cleared_and_standard_output_stays_clean() -> None:
    main_end, other_end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=other_end, env=environment, text=True
    )
    os.close(other_end)
    drawn = b""
    while process.poll() is None or select.select([main_end], [], [], 0)[0]:
        if select.select([main_end], [], [], 0.1)[0]:
            try:
                drawn += os.read(main_end, 65536)
            except OSError:  # the other end is closed
                break
    os.close(main_end)
    output, _ = process.communicate()
    assert (output, process.returncode) == ("done\n", 0)
    assert b"of 4 frames" in drawn
    assert drawn.rstrip().endswith(b"\x1b[2K"), "the bar's line is cleared at the end"


@pytest.mark.slow
def test_json_on_standard_output_stays_valid_while_lines_are_printed(explained_recordings: Recordings) -> None:
    path = explained_recordings.frames("person-1.10.2", "full")
    program = (
        "from exporter.cli import main, progress\n"
        "progress.FIRST_LINE_SECONDS = progress.LINE_SECONDS = 0.01\n"
        f"main(['replay', {str(path)!r}])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {key for line in result.stdout.splitlines() for key in json.loads(line)} == {"at", "series"}
    assert "replaying: " in result.stderr
