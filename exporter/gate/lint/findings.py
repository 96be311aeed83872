"""What a rule is, what it finds, and how findings are ordered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.gate.lint.inputs import Gates


class Severity(StrEnum):
    """How bad it is: an error is refused or decides wrongly, a warning depends on what no manifest tells."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a rule found something, why that is wrong, and what cures it. Neither text holds a secret."""

    file: str
    line: int
    why: str
    cure: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table: a name that is a promise, how bad, what it is about, and who looks."""

    name: str
    severity: Severity
    about: str
    check: Callable[[Gates], Iterator[Spot]]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong, at a line of a file."""

    file: str
    line: int
    rule: str
    severity: Severity
    why: str
    cure: str
