"""Configuration issues: where a setting was written, the errors and warnings about it, and hints for unknown words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MAX_QUOTED_LENGTH = 60
"""Keeps an issue readable if a user pastes a file or a certificate into a setting."""
MASK = "******"
"""Printed in place of a secret."""
_CREDENTIAL = re.compile(r"\b(basic|bearer)\s+\S+", re.IGNORECASE)
_USER_INFO = re.compile(r"//[^/?#]*@")
_QUERY = re.compile(r"\?.+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Origin:
    """Layer that sets a setting, and the detail in it: file:line, or the name of a variable."""

    layer: Literal["default", "file", "environment", "command line"]
    detail: str = ""

    @property
    def location(self) -> str:
        """Location for an issue: the detail if there is one, else the layer."""
        return self.detail or self.layer

    def __str__(self) -> str:
        return f"{self.layer} {self.detail}".rstrip()


@dataclass(frozen=True, slots=True)
class ConfigIssue:
    """An error or warning: `location` is file:line, a variable's name, or "command line"; `hint` is how to fix it.

    `section` is the first key of the setting, "environment" for a variable of no setting, "" for a file that cannot be
    read; `kind` is a name of what is wrong, "" for most.
    """

    location: str
    message: str
    hint: str
    section: str = field(default="", compare=False)
    kind: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.location}: {self.message}; {self.hint}"


@dataclass(slots=True)
class IssueCollector:
    """Errors and warnings found so far; checks between settings skip those with a key in `invalid_keys`."""

    errors: list[ConfigIssue] = field(default_factory=list)
    warnings: list[ConfigIssue] = field(default_factory=list)
    invalid_keys: set[str] = field(default_factory=set)

    def add_error(self, location: str, message: str, hint: str, path: Sequence[str | int] = ()) -> None:
        """Add an error; `path` is the setting whose value it makes unusable, () for none."""
        self.add_errors(ConfigIssue(location, message, hint, str(path[0]) if path else ""))
        self.invalid_keys.add(str(path[-1]) if path else "")

    def add_errors(self, *issues: ConfigIssue) -> None:
        """Add errors of checks between settings, which make no single one unusable."""
        self.errors += issues

    def add_warning(self, location: str, message: str, hint: str, kind: str = "") -> None:
        """Add a warning, which does not prevent a start."""
        self.warnings.append(ConfigIssue(location, message, hint, kind=kind))


def quoted(text: str) -> str:
    """Quote text from the user, truncated if long, and without what may be secret in it."""
    text = without_secrets(text)
    return repr(text if len(text) <= _MAX_QUOTED_LENGTH else f"{text[:_MAX_QUOTED_LENGTH]}...")


def without_secrets(text: str) -> str:
    """Return a text with credentials of headers, and user name, password and query of URLs masked."""
    text = _CREDENTIAL.sub(rf"\1 {MASK}", text)
    return _QUERY.sub(f"?{MASK}", _USER_INFO.sub(f"//{MASK}@", text))


def suggest(word: str, words: Iterable[str]) -> str:
    """Return the hint for an unknown word: the closest of `words`, or all of them."""
    candidates = list(words)
    match = closest_match(word, candidates)
    return f"did you mean {match}?" if match else f"use one of: {', '.join(candidates)}"


def closest_match(word: str, words: Iterable[str]) -> str:
    """Return the most similar of `words`, or "" if none is similar."""
    from difflib import get_close_matches  # noqa: PLC0415 - a running exporter has no use for it

    return next(iter(get_close_matches(word, list(words), 1)), "")
