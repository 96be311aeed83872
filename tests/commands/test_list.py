"""`list` is a table at every width of a terminal, and a line for each rollout elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from click.testing import CliRunner

from exporter.cli.root import main
from exporter.commands.list import list_lines, shortened
from exporter.commands.rollout_source import RolloutsPage
from exporter.service import views
from tests.recorded import EXPLAINED_ARCHIVES, Recordings, unpack

GOLDEN: Final = Path(__file__).parent / "golden"
LONG_NAME: Final = "checkout-with-a-name-that-is-longer-than-a-table"
WIDTHS: Final = (60, 80, 140, None)


def page(recordings: Recordings) -> RolloutsPage:
    """Return rollouts of which some wait for a person, are aborted, updating, or at rest; one has a long name."""
    rollouts: dict[str, Any] = {}
    timestamp = 0.0
    for name, seconds in (("inconclusive-1.10.2", 18.5), ("superseded-1.9.3", 17.5)):
        first = recordings.ticks(name, "full")[0].timestamp
        for tick, _, tracker in recordings.play(name, "full"):
            if tick.timestamp > first + seconds:
                break
            timestamp = tick.timestamp
            documents = list(views.rollouts_json(tracker.status, timestamp))
        rollouts |= {rollout["name"]: rollout for rollout in documents}
    rollouts["after-abort"] |= {"name": LONG_NAME}
    return RolloutsPage(timestamp, has_leader=True, rollouts=list(rollouts.values()))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_table_fits_its_width(explained_recordings: Recordings, width: int | None) -> None:
    lines = list(list_lines(page(explained_recordings), width))
    assert (GOLDEN / f"list-{width or 'pipe'}.txt").read_text() == "".join(f"{line}\n" for line in lines)
    assert width is None or max(map(len, lines)) <= width


def test_elsewhere_than_on_a_terminal_each_rollout_is_one_complete_line(explained_recordings: Recordings) -> None:
    table = page(explained_recordings)
    _, *lines = list_lines(table, None)
    sentences = {f"{rollout['namespace']}/{rollout['name']}": rollout["sentence"] for rollout in table.rollouts}
    assert {line.split()[0]: line[lines[0].index("  Paused for") + 2 :] for line in lines} == sentences


def test_no_rollouts_are_an_empty_table() -> None:
    assert list(list_lines(RolloutsPage(1.0, has_leader=True, rollouts=[]), 80)) == [
        "ROLLOUT  PHASE  FOR  STEP  CANARY"
    ]


def test_json_has_the_objects_of_the_api(explained_recordings: Recordings) -> None:
    frames = explained_recordings.frames("inconclusive-1.10.2", "full")
    result = CliRunner().invoke(main, ["list", "--recording", str(frames), "--json"])
    (doubt,) = (rollout for rollout in json.loads(result.stdout) if rollout["name"] == "doubt")
    assert (doubt["standing"], doubt["next"], doubt["cause"]) == ("settled", "Nothing.", None)
    assert doubt["sentence"].startswith("Healthy: revision 3")


if __name__ == "__main__":
    with TemporaryDirectory() as directory:
        table = page(Recordings(unpack(Path(directory), EXPLAINED_ARCHIVES)))
        for each in WIDTHS:
            (GOLDEN / f"list-{each or 'pipe'}.txt").write_text("".join(f"{line}\n" for line in list_lines(table, each)))


@pytest.mark.parametrize("width", range(1, 20))
def test_a_name_is_shortened_to_its_width(width: int) -> None:
    assert len(shortened("payments/checkout", width)) <= width
