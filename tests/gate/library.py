"""The gates that the chart ships beside error-rate: `python -m tests.gate.library --write` renders them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from exporter.gate.render.answers import Answers, Signal
from exporter.gate.render.manifest import template

GATES: Final = Path(__file__).parents[2] / "charts" / "rollouts-exporter" / "gates"
SHIPPED_SIGNALS: Final = (Signal.LATENCY, Signal.SATURATION, Signal.APM, Signal.COMPARISON)


def render_gate(signal: Signal) -> str:
    """Return a template; the chart fills in the address and the namespace."""
    answers = {"signal": signal, "service": "any", "cluster_id": "<cluster-id>", "organization": "<organization>"}
    return template(Answers.model_validate(answers)).replace(
        "\nmetadata:\n", "\nmetadata:  # gate-lint: allow namespace (the chart adds it)\n", 1
    )


def main() -> None:
    """Write the gates."""
    for signal in SHIPPED_SIGNALS:
        (GATES / f"{signal}.yaml").write_text(render_gate(signal))


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("python -m tests.gate.library --write")
    main()
