"""How often the copied formula for the canary's share is wrong: `python -m tests.formula` prints it, and an example.

The formula is `rollout_info_replicas_updated / rollout_info_replicas_desired`. Both it and the exporter's
`argo_rollouts_canary_fraction` are compared with the status of the Kubernetes objects, in every frame of the recordings
in which a canary update is in progress; right is within one percentage point.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.agreement import TOLERANCE, expected_by_rollout, exported_by_rollout
from tests.recorded import Recordings, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.metrics import MetricsSnapshot
    from exporter.rollouts.model import RolloutKey

VARIANT: Final = "full"
_UPDATED: Final = "rollout_info_replicas_updated"
_DESIRED: Final = "rollout_info_replicas_desired"


@dataclass(slots=True)
class FormulaCounts:
    """Answers of the formula and of the exporter in frames of canary updates; frames with their difference."""

    formula: Counter[str] = field(default_factory=Counter)
    exporter: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[float, str, str, float, float]] = field(default_factory=list)

    def wrong_percent(self, answers: Counter[str]) -> float:
        """Return the share of wrong answers, in percent."""
        return 100 * answers["wrong"] / max(answers.total(), 1)


def _replicas(snapshot: MetricsSnapshot, name: str) -> Mapping[RolloutKey, float]:
    return {
        (series.label("namespace"), series.label("name")): value
        for family in snapshot.families
        if family.name == name
        for series, value in zip(family.series, family.values, strict=True)
    }


def _answer(value: float | None, true_fraction: float) -> str:
    if value is None:
        return "unknown"
    return "right" if abs(value - true_fraction) <= TOLERANCE else "wrong"


def count(recordings: Recordings) -> FormulaCounts:
    """Compare both in every frame of all recordings."""
    counts = FormulaCounts()
    for name in recordings.names:
        if VARIANT in recordings.variants(name):
            _count_recording(recordings, name, counts)
    return counts


def _count_recording(recordings: Recordings, name: str, counts: FormulaCounts) -> None:
    expected = {frame["at"]: expected_by_rollout(frame, pods_only=False) for frame in recordings.truth(name)}
    for tick, snapshot, _ in recordings.play(name, VARIANT):
        exported = exported_by_rollout(snapshot)
        updated, desired = _replicas(snapshot, _UPDATED), _replicas(snapshot, _DESIRED)
        for key, values in expected[tick.timestamp].items():
            if values.fraction is None or values.progress != 1 or not desired.get(key) or key not in updated:
                continue
            formula = updated[key] / desired[key]
            counts.formula[_answer(formula, values.fraction)] += 1
            exported_fraction = exported[key].fraction if key in exported else None
            counts.exporter[_answer(exported_fraction, values.fraction)] += 1
            difference = abs(formula - values.fraction)
            counts.examples.append((difference, name, "/".join(key), values.fraction, formula))


def readme_figures(counts: FormulaCounts) -> str:
    """Return the paragraph of the README."""
    formula, exporter = map(counts.wrong_percent, (counts.formula, counts.exporter))
    return (
        "On recordings of real controllers, while a canary is in progress, the copied formula is more than one\n"
        f"percentage point wrong in {formula:.0f} % of {counts.formula.total()} frames, "
        f"the exporter in {exporter:.1f} %: "
        "[how true each series is](exporter/manual/truth.md)."
    )


def main() -> None:
    """Print both shares and the frames in which the formula differs most."""
    with tempfile.TemporaryDirectory() as directory:
        counts = count(Recordings(unpack(Path(directory))))
    print(f"{readme_figures(counts)}\nformula {dict(counts.formula)}, exporter {dict(counts.exporter)}")
    for difference, name, rollout, fraction, formula in sorted(counts.examples, reverse=True)[:10]:
        print(f"{name} {rollout}: status {fraction:.2f}, formula {formula:.2f}, difference {difference:.2f}")


if __name__ == "__main__":
    main()
