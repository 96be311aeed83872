"""The texts of recordings that tests compare: printed, or written into a folder to be reviewed as a diff."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.recorded import ARCHIVES, Recordings, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def print_or_write(
    description: str | None,
    folder: Path,
    text_of: Callable[[Recordings, str], str],
    archives: Path = ARCHIVES,
    names: Sequence[str] = (),
) -> None:
    """Print the text of each recording (of `names`, if given), or write it into a folder with the option --write."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {folder.name}/*.txt instead of printing")
    write = parser.parse_args().write
    with tempfile.TemporaryDirectory() as directory:
        recordings = Recordings(unpack(Path(directory), archives))
        for name in names or recordings.names:
            text = text_of(recordings, name)
            if write:
                folder.mkdir(exist_ok=True)
                (folder / f"{name}.txt").write_text(text)
            else:
                print(f"{name}\n{text}")


class ActionLines:
    """The actions on the cluster during a recording as lines with #, times from its first frame on."""

    def __init__(self, recordings: Recordings, name: str, start: float) -> None:
        self._start = start
        actions = _read_actions(recordings.folder / name / "events.jsonl")
        self._actions = [(timestamp, action) for timestamp, action in actions if timestamp >= start]

    def until(self, now: float) -> Iterator[str]:
        """Yield those until a time that were not yielded before."""
        while self._actions and self._actions[0][0] <= now:
            timestamp, action = self._actions.pop(0)
            yield f"{timestamp - self._start:+7.1f} # {action}"


def _read_actions(file: Path) -> Iterator[tuple[float, str]]:
    for line in file.read_text().splitlines():
        event: dict[str, Any] = json.loads(line)
        yield event["unix"], event["what"]
