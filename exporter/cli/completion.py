"""The command `completion`, and the completion of rollouts' names from a running exporter."""

from __future__ import annotations

import asyncio
import io
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import get_completion_class

from exporter.cli.options import exporter_address

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM: Final = "rollouts-exporter"
_VARIABLE: Final = "_ROLLOUTS_EXPORTER_COMPLETE"
"""What click makes of the program's name: with it set, the program prints completions and nothing else."""
_TIMEOUT: Final = 1.0
"""Seconds: a person waits at the Tab key."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that completes commands and rollouts in a shell.

    \b
    bash (4.4 or later), in ~/.bashrc:
      eval "$(rollouts-exporter completion bash)"
    zsh, in ~/.zshrc:
      eval "$(rollouts-exporter completion zsh)"
    fish, in ~/.config/fish/completions/rollouts-exporter.fish:
      rollouts-exporter completion fish | source

    NAMESPACE/NAME is completed from the exporter at --address, if it answers within a second.
    """  # noqa: D301 - click keeps the lines of a paragraph that begins with a backspace
    shell_class = get_completion_class(shell)
    assert shell_class is not None
    with redirect_stderr(io.StringIO()):  # click's remark on the bash of this machine: the script may be for another
        script = shell_class(context.find_root().command, {}, PROGRAM, _VARIABLE).source()
    click.echo(script, nl=False)


def rollout_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the rollouts NAMESPACE/NAME of the exporter of the options that begin so; none if it does not answer."""
    try:
        document = asyncio.run(_fetch(context.params))
        names = sorted("/".join((rollout["namespace"], rollout["name"])) for rollout in document["rollouts"])
    except Exception:  # noqa: BLE001 - an error in the midst of a command line helps nobody
        return []
    return [name for name in names if name.startswith(incomplete)]


async def _fetch(options: Mapping[str, Any]) -> Mapping[str, Any]:
    from exporter.commands.api_client import fetch_json

    access = {name: options[name] for name in ("username", "password_file", "ca_file")}
    async with asyncio.timeout(_TIMEOUT):
        address = exporter_address(options["address"], **access)
        return await fetch_json(address, "/api/rollouts", {"fields": "namespace,name"})
