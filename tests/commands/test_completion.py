"""Shells complete commands, and rollouts from a running exporter; they are silent if none answers."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from exporter.cli.root import main
from exporter.config import load
from exporter.web.server import DataSources, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("shop/cart", "shop/checkout", "pay/api")
PAGE = {
    "at": 1.0,
    "has_leader": True,
    "rollouts": [dict(zip(("namespace", "name"), name.split("/"), strict=True)) for name in NAMES],
}
COMMANDS = ("explain", "wait", "watch", "story")


def complete(*words: str) -> tuple[str, str]:
    """Return what is completed of the last word, and what is printed to standard error."""
    environment = {
        **os.environ,
        "_ROLLOUTS_EXPORTER_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("rollouts-exporter", *words)),
        "COMP_CWORD": str(len(words)),
    }
    program = "import sys; from exporter.cli import main; sys.argv[0] = 'rollouts-exporter'; main()"
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=20
    )
    return result.stdout, result.stderr


@contextmanager
def silent_server() -> Iterator[str]:
    """Serve an address that takes a connection and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
async def test_rollouts_are_completed_from_the_exporter_of_the_options(command: str) -> None:
    settings = load(None, {}, {"argo.targets": ["h:1"], "web.listen": "127.0.0.1:0"}).settings
    async with serve(settings.web, DataSources(tuple, lambda: PAGE, list, list)) as port:
        words = (command, "--address", f"http://127.0.0.1:{port}", "shop/")
        completed, errors = await asyncio.to_thread(complete, *words)
    assert {line.partition(",")[2] for line in completed.splitlines()} == {"shop/cart", "shop/checkout"}
    assert errors == ""


@pytest.mark.slow
def test_an_exporter_that_is_away_or_silent_completes_nothing_and_prints_nothing() -> None:
    assert complete("wait", "--address", "http://127.0.0.1:9", "sh") == ("\n", "")
    started_at = time.monotonic()
    with silent_server() as address:
        assert complete("wait", "--address", address, "sh") == ("\n", "")
    assert time.monotonic() - started_at < 8


def test_commands_are_completed() -> None:
    completed, errors = complete("comp")
    assert (completed, errors) == ("plain,completion\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"_ROLLOUTS_EXPORTER_COMPLETE={shell}_complete" in result.stdout


def test_bash_completes_in_a_shell_that_has_read_the_script() -> None:
    script = CliRunner().invoke(main, ["completion", "bash"]).stdout
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
