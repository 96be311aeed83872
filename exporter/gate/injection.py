"""Scales the canary's bad requests in a query, to show whether a gate would have found a worse canary. Pure.

Text → text: a sum over pods of the canary that counts bad requests only is multiplied; where bad requests are all minus
fast ones, the fast ones are reduced. What is bad follows from the other selectors of the query.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.gate.promql import ERROR_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STRING: Final = r'"(?:[^"\\\n]|\\.)*"|' + r"'(?:[^'\\\n]|\\.)*'|`[^`]*`"
_SELECTOR: Final = re.compile(rf"([A-Za-z_:][\w:]*)\s*\{{((?:[^{{}}\"'`]|{_STRING})*)\}}")
_MATCHER: Final = re.compile(rf"(\w+)\s*(=~|!~|!=|=)\s*({_STRING})")
_SUM: Final = re.compile(r"\bsum\b\s*((?:by|without)\s*\([^)]*\))?\s*\(", re.IGNORECASE)
_GROUPING: Final = re.compile(r"\s*(?:by|without)\s*\([^)]*\)", re.IGNORECASE)
_BRACKETS: Final = re.compile(rf"{_STRING}|[()]")
_INFINITE_BOUND: Final = 'le="+Inf"'
POD_INFO: Final = "argo_rollouts_pod_info"


class InjectionError(ValueError):
    """A query that does not count the canary's bad requests."""


@dataclass(frozen=True, slots=True)
class SelectorText:
    """A vector selector as written: its metric, and its matchers as triples of label, operator and quoted value."""

    metric: str
    matchers: frozenset[tuple[str, str, str]]

    def value(self, label: str) -> str:
        """Return the value of a matcher of a label as written, without quotes; "" without one."""
        return next((value[1:-1] for name, _, value in self.matchers if name == label), "")


def inject(query: str, factor: float, canary_hash: str) -> str:
    """Return a query with the canary's bad requests multiplied. Raises InjectionError if it does not count them."""
    others = tuple(selector for selector in _selectors(query) if selector.metric != POD_INFO)
    result, position = [], 0
    for start, end in _innermost_sums(query):
        scaled = _scaled(query[start:end], factor, canary_hash, others)
        if scaled is not None:
            result += [query[position:start], scaled]
            position = end
    if not position:
        raise InjectionError(
            'the query does not count the canary\'s bad requests: it needs a sum of them, of pods with role="canary" '
            "in argo_rollouts_pod_info or with {{args.canary-hash}} in their names"
        )
    return "".join([*result, query[position:]])


def _scaled(text: str, factor: float, canary_hash: str, others: Sequence[SelectorText]) -> str | None:
    """Return a sum with the bad requests multiplied, None if it does not count the canary's bad or fast ones."""
    counted = [selector for selector in _selectors(text) if selector.metric != POD_INFO]
    if not counted or not _is_of_canary(text, canary_hash):
        return None
    if all(_is_bad(selector, others) for selector in counted):
        return f"({factor:g} * {text})"
    if all(_is_fast(selector) for selector in counted):
        every = re.sub(rf"\ble\s*=~?\s*(?:{_STRING})", _INFINITE_BOUND, text)
        # Slow requests are all minus fast ones: r times as many slow ones leave r * fast - (r - 1) * all.
        return f"clamp_min({factor:g} * {text} - {factor - 1:g} * {every}, 0)"
    return None


def _is_of_canary(text: str, canary_hash: str) -> bool:
    selectors = list(_selectors(text))
    is_joined = any(
        selector.metric == POD_INFO and ("role", "=", '"canary"') in selector.matchers for selector in selectors
    )
    return is_joined or bool(canary_hash and any(canary_hash in selector.value("pod") for selector in selectors))


def _is_bad(selector: SelectorText, others: Sequence[SelectorText]) -> bool:
    """Return whether a selector takes a part of a metric of which the query also takes all."""
    if selector.metric.endswith("_bucket"):
        return False
    if ERROR_NAME.search(selector.metric):
        return True
    is_part = (selector.metric == other.metric and other.matchers < selector.matchers for other in others)
    return any(is_part)


def _is_fast(selector: SelectorText) -> bool:
    return selector.metric.endswith("_bucket") and selector.value("le") not in {"", "+Inf"}


def _selectors(text: str) -> Iterator[SelectorText]:
    for match in _SELECTOR.finditer(text):
        yield SelectorText(match[1], frozenset((item[1], item[2], item[3]) for item in _MATCHER.finditer(match[2])))


def _innermost_sums(query: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each sum(…) without another one inside, its grouping included."""
    starts = [(match.start(), match.end()) for match in _SUM.finditer(query)]
    for start, opened in starts:
        end = _closing_bracket(query, opened)
        if end and not any(start < other < end for other, _ in starts):
            grouping = _GROUPING.match(query, end)
            yield start, grouping.end() if grouping else end


def _closing_bracket(query: str, position: int) -> int:
    """Return the position after the bracket that closes the one before a position, 0 if there is none."""
    depth = 1
    for match in _BRACKETS.finditer(query, position):
        depth += (match[0] == "(") - (match[0] == ")")
        if not depth:
            return match.end()
    return 0
