"""The gates that the chart ships beside its first: `python -m tests.gate.library --write` renders them anew."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from exporter.gate.render.answers import Answers, Signal
from exporter.gate.render.manifest import template

GATES: Final = Path(__file__).parents[2] / "charts" / "rollouts-exporter" / "gates"
SHIPPED: Final = (Signal.LATENCY, Signal.SATURATION, Signal.APM, Signal.COMPARISON)


def gate(signal: Signal) -> str:
    """Return a ready template: the chart fills in where to read, and its namespace."""
    answers = {"signal": signal, "service": "any", "cluster_id": "<cluster-id>", "organization": "<organization>"}
    return template(Answers.model_validate(answers)).replace(
        "\nmetadata:\n", "\nmetadata:  # gate-lint: allow namespace (the chart adds it)\n", 1
    )


def main() -> None:
    """Write them."""
    for signal in SHIPPED:
        (GATES / f"{signal}.yaml").write_text(gate(signal))


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("python -m tests.gate.library --write")
    main()
