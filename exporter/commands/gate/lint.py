"""Reads the files of `gate lint`: a file, a directory, or standard input."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.commands.gate.load import GateError, split_option
from exporter.commands.gate.render import load_credential
from exporter.commands.gate.traffic import add_traffic
from exporter.gate.kubernetes import ManifestFile
from exporter.gate.lint.inputs import LintContext, LintInput, read_input

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

STDIN: Final = "-"
SUFFIXES: Final = {".yaml", ".yml", ".json"}  # JSON is YAML


def load_files(paths: tuple[str, ...], stdin: TextIO, context: LintContext, *, skips_others: bool = False) -> LintInput:
    """Read all paths. With `skips_others` a file need not be about gates, and there may be none. Raises GateError."""
    files = (file for path in paths for file in _read_files(path, stdin))
    lint_input = read_input((replace(file, is_explicit=False) if skips_others else file for file in files), context)
    if not lint_input.is_relevant and not skips_others:
        raise GateError(f"nothing to check: no AnalysisTemplate, AnalysisRun or Rollout in {', '.join(paths)}")
    return lint_input


def _read_files(path: str, stdin: TextIO) -> Iterator[ManifestFile]:
    if path == STDIN:
        yield ManifestFile("<stdin>", stdin.read())
        return
    root = Path(path)
    files = [root]
    with suppress(OSError):  # such as a name that is too long, which the reading below reports
        if root.is_dir():
            files = sorted(file for file in root.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    for file in files:
        try:
            yield ManifestFile(str(file), file.read_text(encoding="utf-8-sig"), is_explicit=file == root)
        except UnicodeDecodeError:
            raise GateError(f"{file} is not UTF-8 text") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", error)
            message = f"{file} cannot be read: {reason}; give an existing file, a directory, or -"
            raise GateError(message) from None


async def with_traffic(
    lint_input: LintInput, address: str, credential_file: Path | None, arguments: Sequence[str]
) -> LintInput:
    """Return the input with what the store at an address shows about its shares. Raises GateError."""
    values = dict(split_option(text, "--arg") for text in arguments)
    return await add_traffic(lint_input, address, load_credential(credential_file, None, None), values)
