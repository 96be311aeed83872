"""Reads what `gate lint` is given: a file, a directory, or standard input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.gate.lint.inputs import Gates, Surroundings, read
from exporter.gate.lint.manifest import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

STDIN: Final = "-"
SUFFIXES: Final = {".yaml", ".yml", ".json"}


class LintError(Exception):
    """What there is nothing to be said of."""


def given(paths: tuple[str, ...], stdin: TextIO, around: Surroundings) -> Gates:
    """Read everything. Raises LintError for what cannot be read, and when nothing of it is about gates."""
    gates = read((source for path in paths for source in _sources(path, stdin)), around)
    if not gates.concerned:
        raise LintError(f"nothing to look at: no AnalysisTemplate, AnalysisRun or Rollout in {', '.join(paths)}")
    return gates


def _sources(path: str, stdin: TextIO) -> Iterator[Source]:
    if path == STDIN:
        yield Source("<stdin>", stdin.read())
        return
    at = Path(path)
    found = sorted(one for one in at.rglob("*") if one.suffix in SUFFIXES and one.is_file()) if at.is_dir() else [at]
    for one in found:
        try:
            yield Source(str(one), one.read_text(encoding="utf-8-sig"), named=one == at)
        except UnicodeDecodeError:
            raise LintError(f"{one} is not UTF-8 text") from None
        except OSError as error:
            raise LintError(f"{one} cannot be read: {error.strerror}; name a file, a directory, or -") from None
