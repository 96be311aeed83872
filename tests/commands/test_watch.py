"""`watch` fits its width, follows an exporter that goes away and comes back, and leaves the terminal as it was.

    python -m tests.commands.test_watch

writes golden/watch-*.txt again.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import pytest
from aiohttp import web
from click.testing import CliRunner
from rich.console import Console

from exporter.cli.root import main
from exporter.commands.explain import rollout_name
from exporter.commands.rollout_source import RolloutsPage
from exporter.commands.watch.changes import ChangeLines
from exporter.commands.watch.fleet import fleet_view
from exporter.commands.watch.rollout import rollout_view
from exporter.commands.watch.state import WatchState
from exporter.commands.watch.terminal import _Keys, _print_line, print_view
from exporter.commands.watch.view import bar
from exporter.demo.servers import serve_path
from exporter.rollouts.events.document import transition_json
from exporter.service import views
from tests.commands.test_list import page
from tests.recorded import EXPLAINED_ARCHIVES, Recordings, unpack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from click.testing import Result

    from exporter.commands.watch.view import View

GOLDEN: Final = Path(__file__).parent / "golden"
WIDTHS: Final = (60, 80, 140)
STATUS: Final = {
    "targets": [
        {"source": "argo", "address": "argo-a:8090", "state": "leader", "error": ""},
        {"source": "argo", "address": "argo-b:8090", "state": "down", "error": "it cannot be reached (refused)"},
    ],
    "delivery": {"state": "holding", "queued": 12_345, "reason": "401 of the endpoint; check otlp.headers"},
}


def fleet(recordings: Recordings) -> WatchState:
    """Return a fleet with every group, a set weight that differs from the share, and pods that are not ready."""
    recorded = page(recordings)
    rollouts = [dict(rollout) for rollout in recorded.rollouts]
    by_name = {rollout["name"]: rollout for rollout in rollouts}
    by_name["paused"] |= {"set_weight": 0.4, "pods_ready": {"canary": 0, "stable": 3}}
    by_name["analysed"] |= {"images": {"current": {"app": "r/app:v3"}, "stable": {"app": "r/app:v1"}}}
    by_name["unsure"] |= {"urgency": "unknown", "standing": "unknown", "phase": None, "unknown": ["not_shown"]}
    by_name["unsure"] |= {"last_seen": recorded.scraped_at - 200.0}
    return WatchState("http://127.0.0.1:9464", replace(recorded, rollouts=rollouts), recorded.scraped_at, status=STATUS)


def in_full(recordings: Recordings) -> WatchState:
    """Return one rollout in full, in the middle of its analysis."""
    events = list[Any]()
    key = ("shop", "doubt")
    first = recordings.ticks("inconclusive-1.10.2", "full")[0].timestamp
    for tick, _, tracker in recordings.play("inconclusive-1.10.2", "full"):
        events += [transition_json(event) for event in tracker.status.transitions if event.rollout == key]
        if tick.timestamp > first + 15.0:
            break
    document = views.rollout_details_json(tracker.status, key, tick.timestamp)
    assert document is not None
    rollouts = RolloutsPage(tick.timestamp, has_leader=True, rollouts=[{**document, "events": events}])
    return WatchState("http://127.0.0.1:9464", rollouts, tick.timestamp)


def text(view: View) -> str:
    return "".join(f"{line.plain}\n" for line in view.all_lines())


def golden_texts(recordings: Recordings) -> dict[str, str]:
    texts = {f"watch-{width}.txt": text(fleet_view(fleet(recordings), width)) for width in WIDTHS}
    in_full_texts = {
        f"watch-one-{width}.txt": text(rollout_view(in_full(recordings), "shop/doubt", width)) for width in WIDTHS
    }
    return {**texts, **in_full_texts}


@pytest.fixture(scope="module")
def state(explained_recordings: Recordings) -> WatchState:
    """Return a fleet."""
    return fleet(explained_recordings)


@pytest.fixture(scope="module")
def single(explained_recordings: Recordings) -> WatchState:
    """Return one rollout in full."""
    return in_full(explained_recordings)


def test_both_views_are_right_at_three_widths(explained_recordings: Recordings) -> None:
    texts = golden_texts(explained_recordings)
    assert texts == {name: (GOLDEN / name).read_text() for name in texts}


@pytest.mark.parametrize("width", [40, 59, 60, 79, 80, 100, 120, 139, 140, 250])
def test_no_line_is_wider_than_the_terminal(state: WatchState, single: WatchState, width: int) -> None:
    wide = {**state.page.rollouts[0], "name": "名前" * 20, "sentence": "停止しました。" * 30 + "x" * 300}
    state = replace(state, page=replace(state.page, rollouts=[*state.page.rollouts, wide]))
    views_of_width = fleet_view(state, width), rollout_view(single, "shop/doubt", width)
    lines = [line for view in views_of_width for line in view.all_lines()]
    assert max(line.cell_len for line in lines) <= width
    assert {line.plain for line in lines if line.plain != line.plain.rstrip()} == set()


@pytest.mark.parametrize("width", range(40, 201, 7))
def test_each_share_has_a_bar_of_its_own_length_at_every_width(state: WatchState, width: int) -> None:
    paused = next(rollout for rollout in state.page.rollouts if rollout["name"] == "paused")
    bars = []
    for percent in (20, 60, 80, 100):
        rollout = {**paused, "fraction": {**paused["fraction"], "best": percent / 100}, "set_weight": percent / 100}
        screen_text = text(fleet_view(replace(state, page=replace(state.page, rollouts=[rollout])), width))
        (drawn,) = re.findall(r"[█░┃]+", screen_text)
        bars.append(drawn.count("█") + (percent == 100))
        assert abs(bars[-1] - percent / 100 * len(drawn)) <= 1
        assert f"canary {percent} %" in screen_text
    assert len(set(bars)) == len(bars)


@pytest.mark.parametrize(
    ("share", "weight", "drawn"),
    [
        (0.6, None, "██████░░░░"),
        (0.8, None, "████████░░"),
        (0.8, 0.8, "████████┃░"),
        (0.4, 0.6, "████░░┃░░░"),
        (0.6, 0.2, "██┃███░░░░"),
        (1.0, 1.0, "█████████┃"),
        (0.0, 0.0, "┃░░░░░░░░░"),
        (1.7, -1.0, "┃█████████"),
        (None, 0.2, "┄┄┃┄┄┄┄┄┄┄"),
    ],
)
def test_a_bar_shows_the_true_share_and_marks_the_set_weight(share: float, weight: float | None, drawn: str) -> None:
    assert bar(share, weight, 10, "red").plain == drawn


def test_a_terminal_without_unicode_gets_ascii(state: WatchState) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_view(Console(file=file, width=80), fleet_view(state, 80))
    file.flush()
    assert "#####|##............" in file.buffer.getvalue().decode("ascii") or b"#" in file.buffer.getvalue()


def test_what_does_not_fit_the_height_is_counted_and_can_be_moved_to(state: WatchState) -> None:
    view = fleet_view(state, 80)
    for height in (10, 24, 200):
        assert len(list(view.fitted(height))) == max(height, len(view.head) + len(view.foot) + 1)
    count = len(list(view.all_lines()))
    screen_text = [line.plain for line in view.fitted(count - 3)]
    assert screen_text[-len(view.foot) - 1] == "… 4 more lines: j and k move"
    moved = [line.plain for line in view.fitted(24, 3)]
    assert moved[: len(view.head)] == [line.plain for line in view.head]
    assert moved[len(view.head)] == view.blocks[3][0].plain


def test_while_the_exporter_is_away_the_last_state_is_grey_and_has_its_age(state: WatchState) -> None:
    away = replace(state, failure="it cannot be read (refused); check --address", now=state.now + 75.0)
    view = fleet_view(away, 80)
    assert "not reached, the state of 1 min ago is shown" in text(view)
    assert "check --address" in " ".join(text(view).split())
    assert {str(line.style) for block in view.blocks for line in block if line.plain} == {"dim"}
    assert {str(span.style) for block in view.blocks for line in block for span in line.spans} == set()
    assert "shop/paused" in text(view)


def test_a_rollout_that_nobody_shows_any_more_has_the_age_of_its_state(state: WatchState) -> None:
    screen_text = text(fleet_view(state, 80))
    assert re.search(r"\? shop/unsure +unknown, seen 3 min ago", screen_text)


def test_texts_of_users_cannot_control_the_terminal(single: WatchState) -> None:
    evil = json.loads(json.dumps(single.page.rollouts[0]).replace("doubt", "d\\u001b[2Jt"))
    state = replace(single, page=replace(single.page, rollouts=[evil]))
    lines = ChangeLines().new(state)
    screen_text = text(fleet_view(state, 80)) + text(rollout_view(state, "shop/doubt", 80)) + "\n".join(lines)
    assert "\x1b" not in screen_text
    assert "d [2Jt" in screen_text


def test_a_line_for_each_change_and_none_while_durations_grow(state: WatchState) -> None:
    lines = ChangeLines()
    assert len(lines.new(state)) == len(state.page.rollouts) + len(STATUS["targets"])
    older = [{**rollout, "sentence": "Paused for 99 s."} for rollout in state.page.rollouts]
    assert lines.new(replace(state, page=replace(state.page, rollouts=older))) == []
    changed = [{**older[0], "phase": "Abort"}, *older[2:]]
    name, gone = rollout_name(older[0]), rollout_name(older[1])
    (abort, deleted) = lines.new(replace(state, page=replace(state.page, rollouts=changed)))
    assert re.match(rf"\d\d:\d\d:\d\d {name} Abort", abort)
    assert deleted.endswith(f"{gone} is gone")
    away = replace(state, failure="refused; check --address")
    assert [line[9:] for line in (*lines.new(away), *lines.new(away))] == ["not reached: refused; check --address"]


# A running command


async def invoke(arguments: list[str]) -> Result:
    """Run a command in a thread, while this one serves what it reads."""
    return await asyncio.to_thread(CliRunner().invoke, main, arguments)


@asynccontextmanager
async def api(state: WatchState) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Serve the rollouts of a state; yield the URL, and the document, which may be changed: empty is status 500."""
    document = {"at": state.page.scraped_at, "has_leader": True, "rollouts": list(state.page.rollouts)}

    async def respond(_: web.Request) -> web.Response:
        return web.json_response(document, status=200 if document else 500)

    async with serve_path(respond, path="/api/rollouts") as address:
        yield f"http://{address}", document


async def test_once_prints_the_view_or_json_and_an_exporter_that_is_away_is_an_error_with_a_hint(
    state: WatchState,
) -> None:
    async with api(state) as (url, document):
        plain = await invoke(["watch", "--once", "--address", url])
        as_json = await invoke(["watch", "--once", "--json", "--address", url])
        wrong = await invoke(["watch", "shop/pausd", "--once", "--address", url])
    refused = await invoke(["watch", "--address", "http://127.0.0.1:9"])
    assert plain.exit_code == 0
    assert "\x1b" not in plain.stdout
    assert "shop/paused" in plain.stdout
    assert json.loads(as_json.stdout) == document
    assert (wrong.exit_code, refused.exit_code) == (1, 1)
    assert "did you mean shop/paused" in wrong.stderr
    assert "check --address" in refused.stderr


class Terminal:
    """`watch` in a pseudo-terminal; `output` is all that it wrote."""

    def __init__(self, arguments: list[str], columns: int, rows: int, **environment: str) -> None:
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        self.settings = termios.tcgetattr(self.master)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "exporter", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8", **environment},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - a terminal signals its size only to its own session
        )
        os.close(slave)
        self.output = ""
        asyncio.get_running_loop().add_reader(self.master, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the process has ended
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self.master)
        self.output += data.decode("utf-8", "replace")

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    async def shows(self, is_shown: Callable[[str], bool]) -> str:
        """Wait until the last screen shows something, and return it without colours."""
        async with asyncio.timeout(20):
            while not is_shown(self.screen):
                await asyncio.sleep(0.02)
        return self.screen

    @property
    def screen(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.output.rpartition("\x1b[H")[2])

    async def end(self) -> int:
        code = await asyncio.to_thread(self.process.wait, 10)
        await asyncio.sleep(0)
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        with suppress(OSError):
            asyncio.get_running_loop().remove_reader(self.master)
            os.close(self.master)


@pytest.mark.slow
async def test_a_terminal_is_followed_in_size_and_left_as_it_was_when_q_is_pressed(
    state: WatchState,
) -> None:
    async with api(state) as (url, document):
        terminal = Terminal(["watch", "--address", url], 80, 40)
        try:
            wide = await terminal.shows(lambda screen: "shop/paused" in screen)
            assert max(map(len, wide.splitlines())) <= 80
            terminal.resize(60, 20)
            narrow = await terminal.shows(
                lambda screen: "more lines" in screen and max(map(len, screen.splitlines())) <= 60
            )
            assert len(narrow.splitlines()) <= 20
            terminal.type("jj")
            await terminal.shows(lambda screen: "waiting for a person (" not in screen)
            document.clear()
            await terminal.shows(lambda screen: "not reached" in screen and "status 500" in screen.replace("\r\n", " "))
            terminal.type("q")
            assert await terminal.end() == 0
            assert terminal.output.endswith("\x1b[?1049l\x1b[?25h") or "\x1b[?1049l" in terminal.output
            assert termios.tcgetattr(terminal.master) == terminal.settings
        finally:
            terminal.close()


@pytest.mark.slow
async def test_without_colours_the_words_and_marks_remain(state: WatchState) -> None:
    async with api(state) as (url, _):
        terminal = Terminal(["watch", "--address", url], 80, 60, NO_COLOR="1")
        try:
            await terminal.shows(lambda screen: "shop/paused" in screen)
            terminal.type("q")
            assert await terminal.end() == 0
        finally:
            terminal.close()
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", terminal.output)
    assert "! shop/paused" in terminal.screen or "! shop/paused" in terminal.output


if __name__ == "__main__":
    with TemporaryDirectory() as directory:
        for name, content in golden_texts(Recordings(unpack(Path(directory), EXPLAINED_ARCHIVES))).items():
            (GOLDEN / name).write_text(content)


def test_keys_that_arrive_together_all_count() -> None:
    keys = _Keys()
    keys.press(b"\x1b[B\x1b[Bj")
    assert (keys.offset, keys.is_ended) == (3, False)
    keys.press(b"\x1b[Aq")
    assert (keys.offset, keys.is_ended) == (2, True)


def test_a_line_is_printed_as_it_is() -> None:
    file = io.StringIO()
    line = '{"sentence": "metric :x: failed, [bold]repo:100:1[/]"}'
    _print_line(Console(file=file), line)
    assert file.getvalue() == f"{line}\n"
