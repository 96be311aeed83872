"""The explanations of each recording as a readable text: a line for a rollout when something about it changes.

    python -m tests.explain.golden [--write]

prints the texts, or writes them into golden/, where a test compares them. Lines with # are actions on the cluster.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.explain.judge import play
from tests.golden_texts import ActionLines, print_or_write
from tests.recorded import EXPLAINED_ARCHIVES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.recorded import Recordings

GOLDEN_FOLDER: Final = Path(__file__).parent / "golden"
_AGEING: Final = frozenset({"sentence", "next", "message"})
"""Members that change with time alone, or follow from the others."""


def golden_text(recordings: Recordings, name: str) -> str:
    """Return the text of one recording, with all its sources."""
    frames = play(recordings.ticks(name, "full"), recordings.policy)
    start = frames[0][0]
    actions = ActionLines(recordings, name, start)
    lines, previous = [f"{name}: {len(frames)} frames"], dict[str, object]()
    for timestamp, explanations in frames:
        lines += actions.until(timestamp)
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


if __name__ == "__main__":
    print_or_write(__doc__, GOLDEN_FOLDER, golden_text, EXPLAINED_ARCHIVES)
