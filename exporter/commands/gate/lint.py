"""Reads the files of `gate lint`: a file, a directory, or standard input."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.commands.gate.load import GateError
from exporter.gate.kubernetes import ManifestFile
from exporter.gate.lint.inputs import LintContext, LintInput, read_input

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

STDIN: Final = "-"
SUFFIXES: Final = {".yaml", ".yml", ".json"}  # JSON is YAML


def load_files(paths: tuple[str, ...], stdin: TextIO, context: LintContext) -> LintInput:
    """Read all paths. Raises GateError."""
    lint_input = read_input((file for path in paths for file in _read_files(path, stdin)), context)
    if not lint_input.is_relevant:
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
