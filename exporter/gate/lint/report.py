"""Findings → text for people, JSON for programs, annotations for GitHub."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from exporter.gate.lint.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from exporter.gate.lint.finding import Finding


def text(findings: Sequence[Finding], gates: int) -> Iterator[str]:
    """Return two lines for each finding, and one for all."""
    for one in findings:
        yield f"{one.file}:{one.line}: {one.severity}: {one.why} [{one.rule}]"
        yield f"    {one.cure}"
    yield f"{_many(gates, 'gate')}: {_many(_count(findings, Severity.ERROR), 'error')}, " + _many(
        _count(findings, Severity.WARNING), "warning"
    )


def as_json(findings: Sequence[Finding], gates: int) -> Iterator[str]:
    """Return one JSON object."""
    counts = {
        "gates": gates,
        "errors": _count(findings, Severity.ERROR),
        "warnings": _count(findings, Severity.WARNING),
    }
    yield json.dumps({"findings": [_document(one) for one in findings], **counts}, ensure_ascii=False)


def _document(finding: Finding) -> dict[str, str | int]:
    return {
        "file": finding.file,
        "line": finding.line,
        "rule": finding.rule,
        "severity": finding.severity.value,
        "why": finding.why,
        "cure": finding.cure,
    }


def github(findings: Sequence[Finding], _: int) -> Iterator[str]:
    """Return a workflow command for each finding, which GitHub shows at its line."""
    for one in findings:
        where = f"file={_property(one.file)},line={one.line},title={_property(f'gate lint: {one.rule}')}"
        yield f"::{one.severity} {where}::{_escaped(f'{one.why}; {one.cure}')}"


FORMATS: Final[Mapping[str, Callable[[Sequence[Finding], int], Iterator[str]]]] = {
    "text": text,
    "json": as_json,
    "github": github,
}


def _count(findings: Sequence[Finding], severity: Severity) -> int:
    return sum(one.severity is severity for one in findings)


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _escaped(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(words: str) -> str:
    return _escaped(words).replace(":", "%3A").replace(",", "%2C")
