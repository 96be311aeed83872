"""The findings of each rule's bad file: `python -m tests.gate.lint.golden` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from exporter.gate.controller import DEFAULT_VERSION
from exporter.gate.lint.inputs import MetricTraffic
from exporter.gate.lint.rules import RULES
from tests.gate.lint.helpers import findings_text

PAIRS: Final = Path(__file__).parent / "rules"
ARTICLE: Final = Path(__file__).parent / "article"
WITH_STORE: Final = {
    "few-requests": {("error-rate", "error-rate"): MetricTraffic(1200.0)},
    "bursty": {
        ("error-rate", "error-rate"): MetricTraffic(1200.0, 4.0),
        ("error-rate", "steady-error-rate"): MetricTraffic(1200.0),
    },
}
"""What the store of a pair shows, by the names of gate and metric."""
VERSIONS: Final = {"too-early": "1.7.2", "result-type": "1.7.2"}
"""The controller of a pair, if it is not the default."""


def expected(rule: str) -> str:
    """Return the text of the findings in a rule's bad file."""
    return findings_text(
        (PAIRS / f"{rule}.bad.yaml").read_text(),
        VERSIONS.get(rule, DEFAULT_VERSION),
        f"{rule}.bad.yaml",
        WITH_STORE.get(rule),
    )


if __name__ == "__main__":
    for row in RULES:
        (PAIRS / f"{row.name}.txt").write_text(expected(row.name))
    (ARTICLE / "findings.txt").write_text(findings_text((ARTICLE / "gate.yaml").read_text(), "1.8.3"))
