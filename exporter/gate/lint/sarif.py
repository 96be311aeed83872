"""Findings as SARIF 2.1.0, which code scanning services read. Its properties are public."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from exporter import __version__
from exporter.gate.lint.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.gate.lint.findings import Finding

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_INDEXES: Final = {rule.name: index for index, rule in enumerate(RULES)}


def format_sarif(findings: Sequence[Finding], _: int) -> Iterator[str]:
    """Yield one JSON object."""
    driver = {"name": "rollouts-exporter gate lint", "version": __version__, "rules": _rules()}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": [_result(row) for row in findings]}
    yield json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, ensure_ascii=False)


def _rules() -> list[dict[str, Any]]:
    return [
        {
            "id": rule.name,
            "shortDescription": {"text": rule.summary},
            "help": {"text": f"{rule.summary}. See exporter/manual/gate-lint/{rule.name}.md."},
            "defaultConfiguration": {"level": rule.severity.value},
        }
        for rule in RULES
    ]


def _result(finding: Finding) -> dict[str, Any]:
    location = {
        "artifactLocation": {"uri": quote(finding.file.replace("\\", "/"))},
        "region": {"startLine": finding.line},
    }
    return {
        "ruleId": finding.rule,
        "ruleIndex": _INDEXES[finding.rule],
        "level": finding.severity.value,
        "message": {"text": f"{finding.reason}; {finding.hint}"},
        "locations": [{"physicalLocation": location}],
    }
