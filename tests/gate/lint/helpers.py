"""Texts → what `gate lint` finds in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.gate.controller import DEFAULT_VERSION, parse_version
from exporter.gate.kubernetes import ManifestFile
from exporter.gate.lint.findings import format_text
from exporter.gate.lint.inputs import LintContext, LintInput, read_input
from exporter.gate.lint.rules import lint

if TYPE_CHECKING:
    from exporter.gate.lint.findings import Finding


def gates(
    *texts: str, version: str = DEFAULT_VERSION, name: str = "gate.yaml", scrape: float = 30.0, delay: float = 30.0
) -> LintInput:
    """Read texts as files of one name."""
    return read_input((ManifestFile(name, one) for one in texts), LintContext(parse_version(version), scrape, delay))


def findings(
    *texts: str, version: str = DEFAULT_VERSION, name: str = "gate.yaml", scrape: float = 30.0, delay: float = 30.0
) -> tuple[Finding, ...]:
    """Return what is found."""
    return lint(gates(*texts, version=version, name=name, scrape=scrape, delay=delay))


def rules(*texts: str, version: str = DEFAULT_VERSION) -> list[str]:
    """Return the names of the rules that find something, in the order of lines."""
    return [one.rule for one in findings(*texts, version=version)]


def said(source: str, version: str = DEFAULT_VERSION, name: str = "gate.yaml") -> str:
    """Return what a person reads."""
    given = gates(source, version=version, name=name)
    return "".join(f"{line}\n" for line in format_text(lint(given), len(given.gates)))
