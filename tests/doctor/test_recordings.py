"""What the doctor finds on pages of real controllers and kube-state-metrics, served on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.commands.doctor.examine import examine
from exporter.commands.doctor.table import diagnose
from exporter.config import load
from exporter.demo.servers import serve_recording
from exporter.metrics import Source
from tests.doctor.world import SETTLE

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.commands.doctor.model import DoctorFinding
    from tests.recorded import Recordings

FIRST_STATE = "state-first-version"
"""Most recordings were made with the first configuration of rollout state."""
CASES = {
    ("basic-canary", "full", 3.0): {FIRST_STATE},
    ("basic-canary", "plain", 3.0): {"ksm-annotations", "ksm-labels"},
    ("basic-canary-ksm2.9.2", "plain", 3.0): {"ksm-annotation-key", "ksm-labels"},
    ("basic-canary-v1.6.6", "argo-only", 3.0): set(),
    ("experiment", "full", 12.0): {FIRST_STATE},
    ("workload-ref", "full", 3.0): {FIRST_STATE},
    ("duplicate-metric", "full", 12.0): {FIRST_STATE, "controller-duplicate-metric"},
    ("leader-failover", "full", 12.0): {FIRST_STATE},
    ("two-installations", "full", 12.0): {FIRST_STATE, "target-connection"},
}
EXPLAINED: dict[tuple[str, float], set[str]] = {
    ("invalid-1.10.2", 12.0): set(),
    ("zero-1.10.2", 3.0): set(),
    ("routes-1.10.2", 12.0): set(),
}


async def diagnose_recording(frames: Path, seconds: float) -> list[DoctorFinding]:
    """Return what is found in the targets of a recording, some seconds after its start."""
    async with serve_recording(frames, lambda: seconds) as (targets, _):
        by_installation: dict[str, list[str]] = {}
        settings: dict[str, object] = {"web.listen": "127.0.0.1:0", "kube_state_metrics.targets": []}
        for target in targets:
            if target.source is Source.ARGO:
                by_installation.setdefault(target.installation, []).append(target.address)
            else:
                settings[f"{target.source}.targets"] = [target.address]
        settings["argo"] = [{"name": name, "targets": names} for name, names in by_installation.items()]
        loaded = load(None, {}, settings)
        return list(diagnose(await examine(loaded.settings, loaded.warnings, settle=SETTLE)))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_on_a_recording_is_found_what_is_wrong_and_nothing_else(
    case: tuple[str, str, float], recordings: Recordings
) -> None:
    name, variant, seconds = case
    findings = await diagnose_recording(recordings.frames(name, variant), seconds)
    assert {finding.id for finding in findings} == CASES[case], findings


@pytest.mark.slow
@pytest.mark.parametrize("case", EXPLAINED, ids=str)
async def test_the_second_rollout_state_has_no_finding(
    case: tuple[str, float], explained_recordings: Recordings
) -> None:
    name, seconds = case
    findings = await diagnose_recording(explained_recordings.frames(name, "full"), seconds)
    assert {finding.id for finding in findings} == EXPLAINED[case], findings
