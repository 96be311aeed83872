"""Each finding is provoked by a real wrong server, file or setting, and a healthy world has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.commands.doctor.model import GROUPS
from exporter.commands.doctor.table import CHECKS, selected
from tests.doctor.provocations import ALSO, PROVOCATIONS
from tests.doctor.world import SECRET, Pages, World, healthy_pages

if TYPE_CHECKING:
    from pathlib import Path

CASES = [(name, number) for name, ways in PROVOCATIONS.items() for number in range(len(ways))]


@pytest.fixture(scope="module")
def pages() -> Pages:
    return healthy_pages()


@pytest.mark.parametrize(("name", "number"), CASES)
async def test_a_fault_is_found_with_evidence_and_remedy_and_nothing_else_is(
    name: str, number: int, pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(pages)
    (tmp_path / "directory").mkdir()
    async with PROVOCATIONS[name][number](world, tmp_path / "directory", monkeypatch):
        findings = await world.findings()
    ids = {finding.id for finding in findings}
    assert name in ids, findings
    assert ids - ALSO.get(name, set()) == {name}, [finding for finding in findings if finding.id != name]
    for finding in findings:
        assert finding.subject
        assert len(finding.evidence) > 10
        assert len(finding.remedy) > 10
        assert SECRET not in str(finding)
        assert "; ; " not in finding.remedy


async def test_a_healthy_world_has_no_finding(pages: Pages) -> None:
    world = World(pages)
    examination = await world.examine()
    assert await world.findings() == []
    assert examination.delivery is not None
    assert world.backend.stored == []  # no point was pushed


def test_every_check_is_provoked_and_has_an_id_of_its_own() -> None:
    ids = [check.id for check in CHECKS]
    assert len(set(ids)) == len(ids)
    assert set(PROVOCATIONS) == set(ids)
    assert {check.group for check in CHECKS} == set(GROUPS)
    assert [check.group for check in CHECKS] == sorted((check.group for check in CHECKS), key=GROUPS.index)


def test_checks_are_selected_by_id_and_by_group() -> None:
    assert [check.id for check in selected(["clock-skew"])] == ["clock-skew"]
    assert {check.group for check in selected(["otlp", "storage"])} == {"otlp", "storage"}
    with pytest.raises(ValueError, match="wrong is neither a group"):
        selected(["wrong"])
