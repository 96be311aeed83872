"""The change events of each recording about why, with all marks.

    python -m tests.notify.golden [--write]

prints the events, or writes them into golden/, where a test compares them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.config.settings import Settings
from exporter.notify.destinations.change_events import EventNames, change_events
from tests.golden_texts import print_or_write
from tests.recorded import EXPLAINED_ARCHIVES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.recorded import Recordings

GOLDEN_FOLDER: Final = Path(__file__).parent / "golden"
NAMES: Final = EventNames("prod-1", "production", Settings().last9.change_events)
SELECTED: Final = ("revision", "image_tag", "step", "cause", "result", "deployment_window_duration_ms")


def event_bodies(recordings: Recordings, name: str, variant: str = "full") -> Iterator[bytes]:
    """Yield the bodies of a recording, in order."""
    for _, _, tracker in recordings.play(name, variant):
        for transition in tracker.status.transitions:
            yield from change_events(transition, NAMES, marks=True)


def markers(recordings: Recordings, name: str) -> str:
    """Return a line for each event of a recording: time, rollout, name, state, and the labels that distinguish it."""
    lines = []
    for body in event_bodies(recordings, name):
        event = json.loads(body)
        labels = event["attributes"]
        selected = " ".join(f"{key}={labels[key]}" for key in SELECTED if key in labels)
        rollout = f"{labels['namespace']}/{labels['resource_name']}"
        words = (event["timestamp"][11:], labels["deployment_id"][:8], rollout, event["event_name"])
        lines.append(" ".join((*words, event["event_state"], selected)).rstrip())
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    print_or_write(__doc__, GOLDEN_FOLDER, markers, EXPLAINED_ARCHIVES)
