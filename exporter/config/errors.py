"""What can be wrong with a configuration, and how it is told: the place, the problem, the cure."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LONGEST = 60


@dataclass(frozen=True, slots=True)
class ConfigIssue:
    """One fault or warning: `place` is file:line, a variable's name, or "command line"."""

    location: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.location}: {self.message}; {self.hint}"


class ConfigError(Exception):
    """The configuration cannot be used; carries every fault, one a line in its text."""

    def __init__(self, faults: Sequence[ConfigIssue]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.issues = tuple(faults)


@dataclass(slots=True)
class IssueCollector:
    """Faults and warnings as they are found; `spoiled` are the keys whose values cannot be relied on any more."""

    errors: list[ConfigIssue] = field(default_factory=list)
    warnings: list[ConfigIssue] = field(default_factory=list)
    invalid_keys: set[str] = field(default_factory=set)

    def add_error(self, place: str, problem: str, cure: str, spoils: str = "") -> None:
        """Note a fault; `spoils` is the key that it makes useless."""
        self.errors.append(ConfigIssue(place, problem, cure))
        self.invalid_keys.add(spoils)

    def add_warning(self, place: str, problem: str, cure: str) -> None:
        """Note something that does not keep us from running."""
        self.warnings.append(ConfigIssue(place, problem, cure))


def quoted(text: str) -> str:
    """Quote a word of the user's, cut where it is long."""
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")


def suggest(word: str, known: Iterable[str]) -> str:
    """Return the cure of an unknown word: the known one nearest to it, else all of them."""
    words = list(known)
    near = closest_match(word, words)
    return f"did you mean {near}?" if near else f"known are {', '.join(words)}"


def closest_match(word: str, known: Iterable[str]) -> str:
    """Return the known word that looks most like this one, "" when none does."""
    return next(iter(get_close_matches(word, list(known), 1)), "")
