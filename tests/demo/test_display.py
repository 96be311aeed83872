"""The demo shows what `watch` shows, prints the address of its pages first, and refuses what it does not use."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from exporter.cli.root import main

if TYPE_CHECKING:
    from click.testing import Result


def demo(*arguments: str, root: tuple[str, ...] = ()) -> Result:
    return CliRunner().invoke(main, [*root, "demo", *arguments])


@pytest.mark.slow
def test_the_address_comes_first_and_is_the_next_free_port() -> None:
    with ExitStack() as stack:
        with suppress(OSError):  # in use already
            stack.enter_context(socket.create_server(("127.0.0.1", 9464)))
        result = demo("--for", "2s")
    assert result.exit_code == 0, result.output
    first, *lines = result.stdout.splitlines()
    port = re.fullmatch(r"page: http://127\.0\.0\.1:(\d+)", first)
    assert port
    assert int(port[1]) > 9464
    assert re.fullmatch(r"what arrives: http://127\.0\.0\.1:\d+", lines[0])
    assert any(re.match(r"\d\d:\d\d:\d\d shop/checkout (Completed|Progressing|Paused)", line) for line in lines)
    assert lines[-1].endswith("every point was delivered")


@pytest.mark.slow
def test_listen_and_settings_are_honoured() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    result = demo("--for", "2s", "--listen", f"127.0.0.1:{port}", root=("-s", "argo.interval=1s"))
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"page: http://127.0.0.1:{port}\n")


def test_an_address_in_use_ends_the_demo_with_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as used:
        result = demo("--for", "2s", "--listen", f"127.0.0.1:{used.getsockname()[1]}")
    assert result.exit_code == 1
    assert "web.listen" in result.stderr


@pytest.mark.parametrize(
    ("root", "named"),
    [
        (("-s", "otlp.endpoint=http://h:1"), "-s otlp.endpoint"),
        (("-s", "argo.targets=h:1"), "-s argo.targets"),
        (("-c", "x.yaml"), "--config"),
    ],
)
def test_what_the_demo_does_not_use_is_refused(root: tuple[str, ...], named: str) -> None:
    result = demo("--for", "1s", root=root)
    assert result.exit_code == 2
    assert f"demo does not use {named}" in result.stderr


def test_a_wrong_setting_is_an_error_of_the_configuration() -> None:
    result = demo("--for", "1s", root=("-s", "argo.intervall=1s"))
    assert result.exit_code == 2
    assert "'intervall' in argo" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo_with_its_result_even_where_a_shell_ignores_ctrl_c(number: signal.Signals) -> None:
    # A shell without job control starts what runs in the background with SIGINT ignored.
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-m", "exporter", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert any("shop/checkout" in line for line in iter(process.stdout.readline, ""))
            process.send_signal(number)
            *_, last = process.communicate(timeout=60)[0].splitlines()
        finally:
            process.kill()
    assert process.returncode == 0, last
    assert re.match(rf"stopped by {number.name}: produced [1-9]\d* points", last)
    assert last.endswith("every point was delivered")
