"""A query with `{{args.name}}` in it → a tree, whatever the arguments may be."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING, Final

from promql_parser import Expr, parse

from exporter.gate.placeholders import TAG

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBER, DURATION, NAME = "1", "7919s", "stand_in"
UNKNOWN_RANGE: Final = 7919.0
"""What stands for an argument whose value is not known: a number, a duration (a prime, so that it is known again)."""
MOST_TRIES: Final = 243
DEEPEST: Final = 100
"""More brackets within brackets than this are not read: the parser would run out of stack."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query that parses; `guessed` when a name stands in it for an argument whose value is not known."""

    expression: Expr
    guessed: bool


class PromQLError(ValueError):
    """A text that is no PromQL, whatever its arguments are."""


def read(text: str) -> Query:
    """Parse a query. Arguments without a known value may be anything with which it parses."""
    if _depth(text) > DEEPEST:
        raise PromQLError(f"brackets stand more than {DEEPEST} deep")
    why = "it is empty"
    for candidate, guessed in islice(_candidates(text), MOST_TRIES):
        try:
            return Query(parse(candidate), guessed)
        except ValueError as error:
            why = why if guessed else " ".join(str(error).split())
    raise PromQLError(why)


def _candidates(text: str) -> Iterator[tuple[str, bool]]:
    """Return the text with every choice of what the arguments may be; inside of quotes any text will do."""
    if TAG.fullmatch(text.strip()):
        yield NAME, True
        return
    parts = TAG.split(text)
    before, tags = parts[::2], len(parts) // 2
    quoted = ["".join(before[: at + 1]) for at in range(tags)]
    choices = [_choices(one) for one in quoted]
    for chosen in product(*choices):
        filled = "".join(f"{one}{two}" for one, two in zip(before, (*chosen, ""), strict=True))
        yield filled, any(len(one) > 1 and two == NAME for one, two in zip(choices, chosen, strict=True))


def _choices(before: str) -> tuple[str, ...]:
    """Return what may stand in a query behind a text, the likeliest first."""
    if _in_quotes(before):
        return (NAME,)
    times = before.rstrip().endswith(("[", ":", "offset"))
    return (DURATION, NUMBER, NAME) if times else (NUMBER, DURATION, NAME)


def _in_quotes(text: str) -> bool:
    """Say whether a place in a query is inside of a string."""
    quote, escaped = "", False
    for letter in text:
        if escaped:
            escaped = False
        elif quote:
            escaped = letter == "\\" and quote != "`"
            quote = "" if letter == quote else quote
        elif letter in "\"'`":
            quote = letter
    return bool(quote)


def _depth(text: str) -> int:
    depth = deepest = 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        deepest = max(deepest, depth)
    return deepest
