"""The numbers of a gate: the one that a measurement shows, and those with which its conditions compare it."""

from __future__ import annotations

import re
from math import isfinite
from typing import Final

_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|Inf)")
_THRESHOLD: Final = re.compile(r"(?:result(?:\[0\])?|#)\s*([<>]=?)\s*([-+]?\d+\.?\d*(?:e[-+]?\d+)?)")


def first_number(text: str) -> float | None:
    """Return the first number of a measurement's value, None if it has none or is not finite."""
    match = _NUMBER.search(text)
    number = float(match[0]) if match else float("nan")
    return number if isfinite(number) else None


def thresholds(condition: str) -> tuple[tuple[str, float], ...]:
    """Return the operators and numbers with which a condition compares the result, such as (">=", 4.605)."""
    return tuple((operator, float(number)) for operator, number in _THRESHOLD.findall(condition))
