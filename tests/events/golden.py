"""The timeline of each recording about why, as `replay --format timeline` prints it.

    python -m tests.events.golden [--write]

prints the timelines, or writes them into golden/, where a test compares them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.commands.timeline import timeline_lines
from exporter.rollouts.events.document import transition_json
from tests.golden_texts import print_or_write
from tests.recorded import EXPLAINED_ARCHIVES

if TYPE_CHECKING:
    from tests.recorded import Recordings

GOLDEN_FOLDER: Final = Path(__file__).parent / "golden"


def timeline(recordings: Recordings, name: str) -> str:
    """Return the timeline of a recording, with all its sources."""
    transitions = [
        transition_json(transition)
        for _, _, tracker in recordings.play(name, "full")
        for transition in tracker.status.transitions
    ]
    return "\n".join(timeline_lines(transitions)) + "\n"


if __name__ == "__main__":
    print_or_write(__doc__, GOLDEN_FOLDER, timeline, EXPLAINED_ARCHIVES)
