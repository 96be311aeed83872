"""Shows on standard error how far a command is: a bar or spinner on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from exporter.durations import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from exporter.commands.progress import Progress

BAR_SECONDS: Final = 1.0
"""What ends sooner shows no bar: it would only flicker."""
FIRST_LINE_SECONDS, LINE_SECONDS = 2.0, 10.0
"""When the first line is printed, and the others: a log of an hour has 360."""
_REDRAW_SECONDS: Final = 0.1


@contextmanager
def show_progress(progress: Progress) -> Iterator[None]:
    """Show the progress until the context is closed, then clear the bar."""
    from rich.console import Console

    console, ended = Console(stderr=True), threading.Event()
    has_bar = console.is_terminal and not console.is_dumb_terminal
    # A thread: a replay keeps the main one busy, and a request may keep it waiting.
    arguments = (console, progress, ended) if has_bar else (progress, ended)
    thread = threading.Thread(target=_draw_bar if has_bar else _print_lines, args=arguments, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _draw_bar(console: Console, progress: Progress, ended: threading.Event) -> None:
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    if ended.wait(BAR_SECONDS):
        return
    texts = (TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[amount]}"), TimeElapsedColumn())
    # Output goes to where it was written to: rich would move standard output to standard error.
    with Bar(
        SpinnerColumn(), *texts, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as bar:
        task = bar.add_task(progress.text, total=progress.total, amount="")
        while True:
            bar.update(task, completed=progress.done, total=progress.total, amount=_amount(progress))
            if ended.wait(_REDRAW_SECONDS):
                return


def _print_lines(progress: Progress, ended: threading.Event) -> None:
    started_at, pause = time.monotonic(), FIRST_LINE_SECONDS
    while not ended.wait(pause):
        elapsed = duration(time.monotonic() - started_at)
        click.echo(f"{progress.text}: {_amount(progress)} after {elapsed}", err=True)
        pause = LINE_SECONDS


def _amount(progress: Progress) -> str:
    total = "" if progress.total is None else f" of {progress.total:,.0f}"
    return f"{progress.done:,.0f}{total} {progress.unit}"
