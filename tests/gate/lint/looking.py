"""Texts → what `gate lint` finds in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.gate.controller import DEFAULT, controller
from exporter.gate.lint.inputs import Gates, Surroundings, read
from exporter.gate.lint.manifest import Source
from exporter.gate.lint.report import text
from exporter.gate.lint.rules import lint

if TYPE_CHECKING:
    from exporter.gate.lint.finding import Finding


def gates(
    *texts: str, version: str = DEFAULT, name: str = "gate.yaml", scrape: float = 30.0, delay: float = 30.0
) -> Gates:
    """Read texts as files of one name."""
    return read((Source(name, one) for one in texts), Surroundings(controller(version), scrape, delay))


def findings(
    *texts: str, version: str = DEFAULT, name: str = "gate.yaml", scrape: float = 30.0, delay: float = 30.0
) -> tuple[Finding, ...]:
    """Return what is found."""
    return lint(gates(*texts, version=version, name=name, scrape=scrape, delay=delay))


def rules(*texts: str, version: str = DEFAULT) -> list[str]:
    """Return the names of the rules that find something, in the order of lines."""
    return [one.rule for one in findings(*texts, version=version)]


def said(source: str, version: str = DEFAULT, name: str = "gate.yaml") -> str:
    """Return what a person reads."""
    given = gates(source, version=version, name=name)
    return "".join(f"{line}\n" for line in text(lint(given), len(given.gates)))
