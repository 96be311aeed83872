"""Inputs that came out wrong: each case in `tests/cases` has frames, and what must be exported at some of them.

A case is a folder or a `.tar.xz` of one, with `expect.json`: rows of `at` (Unix seconds of a frame), `series`, `labels`
(some or all of the series') and what holds: `value`, `not` (a wrong value; absent is fine) or `present`. It holds for
each of its `frames*.jsonl`.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from exporter.commands.replay import replay_frames
from tests.recorded import ARTICLE

if TYPE_CHECKING:
    from exporter.metrics import MetricsSnapshot

CASES: Final = Path(__file__).parent.parent / "cases"
Row = dict[str, Any]


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda path: path.name.partition(".")[0])
def test_a_case_that_came_out_wrong_comes_out_right(case: Path, tmp_path: Path) -> None:
    folder = unpack(case, tmp_path / "case")
    expected: list[Row] = json.loads((folder / "expect.json").read_text())
    files = sorted(folder.glob("frames*.jsonl"))
    assert expected
    assert files
    for file in files:
        snapshots = {frame.timestamp: snapshot for frame, snapshot, _ in replay_frames(file, ARTICLE)}
        assert [(file.name, *failure) for row in expected if (failure := mismatch(row, snapshots[row["at"]]))] == []


def unpack(case: Path, folder: Path) -> Path:
    if case.is_dir():
        return shutil.copytree(case, folder)
    with tarfile.open(case) as archive:
        archive.extractall(folder, filter="data")
    return folder


def mismatch(row: Row, snapshot: MetricsSnapshot) -> tuple[Row, list[float]] | None:
    """Return a row that does not hold, with the values of the series that it is about; None if it holds."""
    labels = row.get("labels", {}).items()
    values = [
        value
        for family in snapshot.families
        for series, value in family.samples()
        if series.name == row["series"] and labels <= dict(series.labels).items()
    ]
    if "value" in row:
        holds = bool(values) and all(value == pytest.approx(row["value"], abs=1e-6) for value in values)
    elif "not" in row:
        holds = row["not"] not in values
    else:
        holds = bool(values) is row["present"]
    return None if holds else (row, values)


@pytest.mark.parametrize(
    ("row", "holds"),
    [
        ({"value": 1}, True),
        ({"value": 0}, False),
        ({"not": 1}, False),
        ({"not": 0}, True),
        ({"present": True}, True),
        ({"present": False}, False),
        ({"labels": {"source": "argo"}, "value": 0}, False),
        ({"labels": {"source": "none"}, "value": 1}, False),
        ({"labels": {"source": "none"}, "not": 1}, True),
    ],
)
def test_a_row_that_does_not_hold_is_found(row: Row, tmp_path: Path, *, holds: bool) -> None:
    folder = unpack(CASES / "three-revisions.tar.xz", tmp_path / "case")
    _, snapshot, _ = next(replay_frames(folder / "frames.jsonl", ARTICLE))
    row = {"series": "rollouts_exporter_target_up", "labels": {"source": "argo", "instance": "ctl-a"}, **row}
    assert (mismatch(row, snapshot) is None) is holds
