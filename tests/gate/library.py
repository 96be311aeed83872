"""The gates that the chart ships beside error-rate: `python -m tests.gate.library --write` renders them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.gate.render.answers import SEQUENTIAL_SIGNALS, Answers, Signal
from exporter.gate.render.manifest import template

if TYPE_CHECKING:
    from collections.abc import Mapping

GATES: Final = Path(__file__).parents[2] / "charts" / "rollouts-exporter" / "gates"
SHIPPED_SIGNALS: Final = (
    Signal.LATENCY, Signal.SATURATION, Signal.APM, Signal.COMPARISON, Signal.ALERTS, Signal.NEW_ERRORS,
)  # fmt: skip
SHIPPED: Final[Mapping[str, Mapping[str, str]]] = {
    **{str(signal): {"signal": signal} for signal in SHIPPED_SIGNALS},
    **{f"sequential-{signal}": {"signal": signal, "test": "sequential"} for signal in SEQUENTIAL_SIGNALS},
}
"""The answers of each shipped gate by its file."""


def render_gate(name: str) -> str:
    """Return a template; the chart fills in the address and the namespace."""
    answers = {"service": "any", "cluster_id": "<cluster-id>", "organization": "<organization>", **SHIPPED[name]}
    return template(Answers.model_validate(answers)).replace(
        "\nmetadata:\n", "\nmetadata:  # gate-lint: allow namespace (the chart adds it)\n", 1
    )


def main() -> None:
    """Write the gates."""
    for name in SHIPPED:
        (GATES / f"{name}.yaml").write_text(render_gate(name))


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("python -m tests.gate.library --write")
    main()
