"""The explanations of each recording as a readable text: a line for a rollout when something about it changes.

    python -m tests.explain.golden [--write]

prints the texts, or writes them into golden/, where a test compares them. Lines with # are actions on the cluster.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.explain.judge import play
from tests.recorded import EXPLAINED_ARCHIVES, Recordings, unpack
from tests.rollouts.golden import read_actions

if TYPE_CHECKING:
    from collections.abc import Mapping

GOLDEN_FOLDER: Final = Path(__file__).parent / "golden"
_AGEING: Final = frozenset({"sentence", "next", "message"})
"""Members that change with time alone, or follow from the others."""


def golden_text(recordings: Recordings, name: str) -> str:
    """Return the text of one recording, with all its sources."""
    frames = play(recordings.ticks(name, "full"), recordings.policy)
    start = frames[0][0]
    actions = deque(
        (timestamp, action)
        for timestamp, action in read_actions(recordings.folder / name / "events.jsonl")
        if timestamp >= start
    )
    lines, previous = [f"{name}: {len(frames)} frames"], dict[str, object]()
    for timestamp, explanations in frames:
        while actions and actions[0][0] <= timestamp:
            action_at, action = actions.popleft()
            lines.append(f"{action_at - start:+7.1f} # {action}")
        for rollout, explanation in sorted(explanations.items()):
            facts = {member: value for member, value in explanation.items() if member not in _AGEING}
            if previous.get(rollout) != facts:
                lines += _lines(f"{timestamp - start:+7.1f} {rollout}", explanation)
            previous[rollout] = facts
    return "\n".join(lines) + "\n"


def _lines(head: str, explanation: Mapping[str, Any]) -> list[str]:
    parts = [f"{head}: {explanation['sentence']}", f"        do: {explanation['next']}"]
    names = ("cause", "run", "stopped_at", "activity", "waits_for", "paused_by", "replaces", "routes")
    facts = [f"{name} {explanation[name]}" for name in names if name in explanation]
    facts += [f"metric {explanation['metric']['name']}"] if "metric" in explanation else []
    return [*parts, *([f"        {', '.join(facts)}"] if facts else [])]


def main() -> None:
    """Print or write the texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    with tempfile.TemporaryDirectory() as directory:
        recordings = Recordings(unpack(Path(directory), EXPLAINED_ARCHIVES))
        for name in recordings.names:
            text = golden_text(recordings, name)
            if write:
                (GOLDEN_FOLDER / f"{name}.txt").write_text(text)
            else:
                print(text)


if __name__ == "__main__":
    main()
