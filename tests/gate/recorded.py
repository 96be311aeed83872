"""Recorded results of real controllers, and of the engines of their conditions.

`cases-V.jsonl.xz`: 547 AnalysisRuns in the final state of a controller of version V, with the responses of its store.
`conditions.jsonl.xz`: conditions with results, and the results of expr 1.15.5 and 1.17.7, compiled and run as the
controller does: ["ok", "true"], ["type", message], ["run", message] or ["compile", message].
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
VERSIONS = ("1.8.3", "1.10.0-rc1")


def lines(name: str) -> Iterator[dict[str, Any]]:
    with lzma.open(HERE / f"{name}.jsonl.xz", "rt") as packed:
        for line in packed:
            yield json.loads(line)


def unpack_runs(version: str, folder: Path) -> Path:
    """Write the runs of a version to a file for a command that reads it."""
    file = folder / f"cases-{version}.jsonl"
    file.write_bytes(lzma.decompress((HERE / f"cases-{version}.jsonl.xz").read_bytes()))
    return file
