"""Shows a view in a terminal, redrawn in place until a key ends it; elsewhere prints lines."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import termios
import tty
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.live import Live

from exporter.commands.watch.changes import ChangeLines
from exporter.commands.watch.view import as_ascii

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

    from exporter.commands.watch.reader import StateReader
    from exporter.commands.watch.state import WatchState
    from exporter.commands.watch.view import View

_REDRAW_SECONDS: Final = 1.0
"""Ages are shown in seconds."""
_KEY: Final = re.compile(rb"\x1b\[[0-9;]*[A-Za-z~]|.", re.DOTALL)
"""A key as a terminal sends it; fast typing and repetition put several into one read."""
_MOVES: Final = {b"j": 1, b"\x1b[B": 1, b"k": -1, b"\x1b[A": -1, b" ": 10, b"\x1b[6~": 10, b"\x1b[5~": -10}
"""Keys that move what is on view, and by how many blocks: j and k, arrows, space and page keys."""


async def watch(
    console: Console, reader: StateReader, view_of: Callable[[WatchState, int], View], *, ends_on_sigterm: bool = True
) -> None:
    """Show what a reader reads, until a key or SIGTERM ends it. Raises what the reader raises.

    Without `ends_on_sigterm` the caller handles SIGTERM, and cancels this.
    """
    state = await reader.read()
    if not console.is_terminal:
        await _print_changes(console, reader, state)
        return
    keys = _Keys()
    with (
        _keyboard(keys, ends_on_sigterm=ends_on_sigterm),
        Live(console=console, auto_refresh=False, screen=True) as live,
    ):
        reading = asyncio.create_task(_next_state(reader), name="read rollouts")
        try:
            while not keys.is_ended:
                live.update(_FittedView(state, view_of, keys), refresh=True)
                await _wait_for_change(reading, keys.changed)
                if reading.done():
                    state = reading.result()
                    reading = asyncio.create_task(_next_state(reader), name="read rollouts")
        finally:
            reading.cancel()


async def _next_state(reader: StateReader) -> WatchState:
    await asyncio.sleep(reader.poll_seconds)
    return await reader.read()


async def _wait_for_change(reading: asyncio.Task[WatchState], changed: asyncio.Event) -> None:
    """Wait until something has been read, a key pressed or the window resized, or until it is time to redraw."""
    pressed = asyncio.create_task(changed.wait())
    await asyncio.wait({reading, pressed}, timeout=_REDRAW_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    pressed.cancel()
    changed.clear()


async def _print_changes(console: Console, reader: StateReader, state: WatchState) -> None:
    lines = ChangeLines()
    while True:
        for line in lines.new(state):
            _print_line(console, line)
        state = await _next_state(reader)


async def print_json(console: Console, reader: StateReader, *, once: bool) -> None:
    """Print the first state, or each one until this is cancelled, as a line of JSON. Raises what the reader raises."""
    state, printed = await reader.read(), None
    while True:
        if not state.failure and printed != (printed := state.page.scraped_at):
            _print_line(console, json.dumps(state_json(state), ensure_ascii=False))
        if once:
            return
        state = await _next_state(reader)


def _print_line(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)


def state_json(state: WatchState) -> dict[str, Any]:
    """Return a state as an object, whose rollouts are those of the API."""
    page = state.page
    return {"at": page.scraped_at, "has_leader": page.has_leader, "rollouts": list(page.rollouts)}


def print_view(console: Console, view: View) -> None:
    """Print all of a view."""
    for line in view.all_lines():
        console.print(_encodable(line, console), soft_wrap=True)


def _encodable(line: Text, console: Console) -> Text:
    return line if console.encoding.startswith("utf") else as_ascii(line)


@dataclass(slots=True)
class _Keys:
    """What keys and signals have asked for so far: to end, and the first block on view."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    is_ended: bool = False
    offset: int = 0

    def press(self, typed: bytes) -> None:
        """Act on what was typed since the last time; nothing is the end of the terminal."""
        self.is_ended = self.is_ended or not typed
        for key in _KEY.findall(typed):
            self.is_ended = self.is_ended or key in {b"q", b"Q"}
            self.offset = max(self.offset + _MOVES.get(key, 0), 0)
        self.changed.set()

    def end(self) -> None:
        """End, as the key for it does."""
        self.press(b"q")


@dataclass(frozen=True, slots=True)
class _FittedView:
    """A view that is laid out in the size which the terminal has when it is drawn."""

    state: WatchState
    view_of: Callable[[WatchState, int], View]
    keys: _Keys

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        view = self.view_of(self.state, options.max_width)
        self.keys.offset = min(self.keys.offset, max(len(view.blocks) - 1, 0))
        yield Group(*(_encodable(line, console) for line in view.fitted(console.height, self.keys.offset)))


@contextmanager
def _keyboard(keys: _Keys, *, ends_on_sigterm: bool) -> Iterator[None]:
    """Pass keys and signals on while the context lasts; what is typed is not echoed."""
    loop = asyncio.get_running_loop()
    handlers = {signal.SIGWINCH: keys.changed.set, **({signal.SIGTERM: keys.end} if ends_on_sigterm else {})}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        if sys.stdin.isatty():
            with _unbuffered(sys.stdin.fileno(), keys):
                yield
        else:
            yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


@contextmanager
def _unbuffered(terminal: int, keys: _Keys) -> Iterator[None]:
    loop, settings = asyncio.get_running_loop(), termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    loop.add_reader(terminal, lambda: keys.press(os.read(terminal, 64)))
    try:
        yield
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, settings)
