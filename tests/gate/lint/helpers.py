"""Lints texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exporter.gate.controller import DEFAULT_VERSION, parse_version
from exporter.gate.kubernetes import ManifestFile
from exporter.gate.lint.findings import format_text
from exporter.gate.lint.inputs import LintContext, LintInput, read_input
from exporter.gate.lint.rules import apply_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.gate.lint.findings import Finding
    from exporter.gate.lint.inputs import MetricTraffic

    Traffic = Mapping[tuple[str, str], MetricTraffic]


def parse_texts(
    *texts: str, version: str = DEFAULT_VERSION, name: str = "gate.yaml", scrape: float = 30.0, **context: Any
) -> LintInput:
    """Parse texts as files of the same name."""
    return read_input(
        (ManifestFile(name, text) for text in texts),
        LintContext(parse_version(version), scrape, context.pop("delay", None), **context),
    )


def findings(
    *texts: str, version: str = DEFAULT_VERSION, name: str = "gate.yaml", **context: Any
) -> tuple[Finding, ...]:
    """Return the findings."""
    return apply_rules(parse_texts(*texts, version=version, name=name, **context))


def rules(*texts: str, version: str = DEFAULT_VERSION, **context: Any) -> list[str]:
    """Return the names of the broken rules, in the order of lines."""
    return [finding.rule for finding in findings(*texts, version=version, **context)]


def findings_text(
    source: str, version: str = DEFAULT_VERSION, name: str = "gate.yaml", traffic: Traffic | None = None
) -> str:
    """Return the findings as text."""
    lint_input = parse_texts(source, version=version, name=name, traffic=traffic or {})
    return "".join(f"{line}\n" for line in format_text(apply_rules(lint_input), len(lint_input.gates)))
