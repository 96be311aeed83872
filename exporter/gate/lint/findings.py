"""What a rule reports, and how findings are printed: text for people, JSON for programs, annotations for GitHub."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from exporter.gate.kubernetes import KubernetesObject
    from exporter.yaml_nodes import Path


class Severity(StrEnum):
    """An error: the gate is rejected or decides wrongly; a warning depends on facts outside of the manifest."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Issue:
    """A place that breaks a rule, the reason, and a hint on how to fix it. Neither text contains a secret."""

    file: str
    line: int
    reason: str
    hint: str


def issue(document: KubernetesObject, path: Path, reason: str, hint: str) -> Issue:
    """Return an issue with the value at a path."""
    return Issue(document.file, document.line(path), reason, hint)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """An issue with the name and severity of its rule."""

    file: str
    line: int
    rule: str
    severity: Severity
    reason: str
    hint: str


def format_text(findings: Sequence[Finding], gate_count: int) -> Iterator[str]:
    """Yield two lines for each finding, and a summary."""
    for finding in findings:
        yield f"{finding.file}:{finding.line}: {finding.severity}: {finding.reason} [{finding.rule}]"
        yield f"    {finding.hint}"
    errors, warnings = _count(findings, Severity.ERROR), _count(findings, Severity.WARNING)
    yield f"{_plural(gate_count, 'gate')}: {_plural(errors, 'error')}, {_plural(warnings, 'warning')}"


def format_json(findings: Sequence[Finding], gate_count: int) -> Iterator[str]:
    """Yield one JSON object."""
    counts = {
        "gates": gate_count,
        "errors": _count(findings, Severity.ERROR),
        "warnings": _count(findings, Severity.WARNING),
    }
    yield json.dumps({"findings": [_document(finding) for finding in findings], **counts}, ensure_ascii=False)


def _document(finding: Finding) -> dict[str, str | int]:
    """Return a finding with its public keys."""
    return {
        "file": finding.file,
        "line": finding.line,
        "rule": finding.rule,
        "severity": finding.severity.value,
        "why": finding.reason,
        "cure": finding.hint,
    }


def format_github(findings: Sequence[Finding], _: int) -> Iterator[str]:
    """Yield a workflow command for each finding; GitHub shows it at its line."""
    for finding in findings:
        title = _escape_property(f"gate lint: {finding.rule}")
        location = f"file={_escape_property(finding.file)},line={finding.line},title={title}"
        yield f"::{finding.severity} {location}::{_escape(f'{finding.reason}; {finding.hint}')}"


FORMATS: Final[Mapping[str, Callable[[Sequence[Finding], int], Iterator[str]]]] = {
    "text": format_text,
    "json": format_json,
    "github": format_github,
}


def _count(findings: Sequence[Finding], severity: Severity) -> int:
    return sum(finding.severity is severity for finding in findings)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _escape(text: str) -> str:
    # The escapes of GitHub's workflow commands; % comes first, since the others contain it.
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
