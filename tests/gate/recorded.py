"""What real controllers, and the engines of their conditions, made of what we judge.

`cases-V.jsonl.xz`: 547 AnalysisRuns as a controller of version V left them, with the answers that its store gave.
`conditions.jsonl.xz`: conditions with results, and what expr 1.15.5 and 1.17.7 made of each, compiled and run as the
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


def unpacked(version: str, folder: Path) -> Path:
    """Unpack the cases of a version for a command that reads a file."""
    file = folder / f"cases-{version}.jsonl"
    file.write_bytes(lzma.decompress((HERE / f"cases-{version}.jsonl.xz").read_bytes()))
    return file
