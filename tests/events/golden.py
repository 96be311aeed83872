"""The timeline of each recording about why, as `replay --format timeline` prints it.

    python -m tests.events.golden [--write]

prints the timelines, or writes them into golden/, where a test compares them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

from exporter.commands.timeline import timeline_lines
from exporter.rollouts.events.document import transition_json
from tests.recorded import EXPLAINED_ARCHIVES, Recordings, unpack

GOLDEN_FOLDER: Final = Path(__file__).parent / "golden"


def timeline(recordings: Recordings, name: str) -> str:
    """Return the timeline of a recording, with all its sources."""
    transitions = [
        transition_json(transition)
        for _, _, tracker in recordings.play(name, "full")
        for transition in tracker.status.transitions
    ]
    return "\n".join(timeline_lines(transitions)) + "\n"


def main() -> None:
    """Print or write the timelines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write golden/*.txt instead of printing")
    write = parser.parse_args().write
    with tempfile.TemporaryDirectory() as folder:
        recordings = Recordings(unpack(Path(folder), EXPLAINED_ARCHIVES))
        for name in recordings.names:
            text = timeline(recordings, name)
            if write:
                (GOLDEN_FOLDER / f"{name}.txt").write_text(text)
            else:
                print(f"{name}\n{text}")


if __name__ == "__main__":
    main()
