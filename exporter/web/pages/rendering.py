"""Jinja's environment, with the filters and words that templates use; it escapes all values.

The templates are in `page/`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined

from exporter.durations import duration
from exporter.log import CONTROL_CHARS
from exporter.web.model import Urgency
from exporter.web.pages.headline import delivery_words, has_trouble, title

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exporter.web.model import PageHead

FLEET: Final = "Fleet"
PAGES: Final[tuple[tuple[str, str], ...]] = (
    (FLEET, ""),
    ("Delivery", "delivery"),
    ("Targets", "targets"),
    ("Gates", "gates"),
    ("Configuration", "configuration"),
)
"""The navigation: names and paths."""
GROUP_NAMES: Final[Mapping[Urgency, str]] = {
    Urgency.PERSON: "Needs a person",
    Urgency.FAILED: "Aborted or failed",
    Urgency.UPDATING: "Updating",
    Urgency.UNKNOWN: "Unknown",
    Urgency.REST: "At rest",
}
GOOD_WORDS: Final = frozenset({"Completed", "Healthy", "Successful", "leader", "up", "delivering", "pass", "promote"})
BUSY_WORDS: Final = frozenset({"Progressing", "Running", "Pending", "starting", "running"})
WAIT_WORDS: Final = frozenset({"Paused", "Inconclusive", "retrying", "inconclusive", "warning"})
BAD_WORDS: Final = frozenset({
    "Abort", "Degraded", "Error", "Failed", "InvalidSpec", "Timeout", "abort", "down", "error", "fail", "holding",
    "refused",
})  # fmt: skip
TONES: Final = {
    word: tone
    for tone, words in {"good": GOOD_WORDS, "busy": BUSY_WORDS, "wait": WAIT_WORDS, "bad": BAD_WORDS}.items()
    for word in words
}
"""Colour and shape of a word of state."""
# Marks that turn the direction of text would show a name as another one.
_DIRECTION_MARKS: Final = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_KIB: Final = 1024


@cache
def asset(name: str) -> str:
    """Return a file of `page/`."""
    return files("exporter.web").joinpath("page", name).read_text("utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(asset),
        undefined=StrictUndefined,  # a misspelled name fails a test, and is not an empty cell
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    filters: dict[str, Callable[..., object]] = {
        "duration": duration,
        "ago": ago,
        "percent": percent,
        "size": size,
        "compact": compact,
        "clock": clock,
        "moment": moment,
        "isotime": isotime,
        "tone": lambda word: TONES.get(word, "calm"),
        "commands": text_and_commands,
        "segment": lambda text: quote(text, safe=""),
    }
    environment.filters |= filters
    environment.globals |= {"group_names": GROUP_NAMES}
    return environment


def render_page(template: str, head: PageHead, here: str = "", root: str = "", **values: object) -> str:
    """Return a page; `here` is its entry of the navigation, `root` its relative path to `/`, for any path prefix."""
    return (
        _environment()
        .get_template(template)
        .render(
            head=head,
            here=here,
            root=root,
            pages=[page for page in PAGES if page[0] != "Gates" or head.has_gates],
            title=title(head),
            icon_state="bad" if has_trouble(head) else "good",
            delivery_words=delivery_words(head.delivery, is_brief=here == FLEET),
            **values,
        )
    )


def _printable(value: object) -> object:
    """Return a value as it is written into a page: None is empty, and text cannot change the text around it."""
    if value is None:
        return ""
    if type(value) is str:
        return _DIRECTION_MARKS.sub("\N{REPLACEMENT CHARACTER}", CONTROL_CHARS.sub(" ", value))
    return value


def ago(seconds: float | None) -> str:
    """Return an age in words."""
    return "never" if seconds is None else f"{duration(seconds)} ago"


def percent(share: float | None) -> str:
    """Return a share as a percentage, an en dash if it is not known; 0 % and 100 % are exact."""
    if share is None:
        return "\N{EN DASH}"
    value = 100 * share
    text = f"{value:.0f}" if abs(value - round(value)) < 0.05 or value >= 10 else f"{value:.1f}"  # noqa: PLR2004
    if text == "0" and value > 0:
        text = "<0.1"
    elif text == "100" and value < 100:  # noqa: PLR2004
        text = ">99"
    return f"{text}\N{NO-BREAK SPACE}%"


def size(count: float | None) -> str:
    """Return a number of bytes with its unit."""
    if count is None:
        return "\N{EN DASH}"
    power = 0
    while count >= _KIB and power < len(_UNITS) - 1:
        count, power = count / _KIB, power + 1
    return f"{_three_digits(count)}\N{NO-BREAK SPACE}{_UNITS[power]}"


_NO_DECIMALS_FROM: Final = 99.95  # three digits, rounded


def compact(count: int) -> str:
    """Return a count in at most five digits: `12,345`, `123 k`, `1.23 M`."""
    for power, unit in ((9, "G"), (6, "M"), (5, "k")):
        if count >= 10**power:
            return f"{_three_digits(count / 10 ** (power - power % 3))}\N{NO-BREAK SPACE}{unit}"
    return f"{count:,}"


def _three_digits(value: float) -> str:
    """Return a number to three digits, and all digits of a larger one: `.3g` has exponents from 999.5 on."""
    return f"{value:.0f}" if value >= _NO_DECIMALS_FROM else f"{value:.3g}"


def clock(seconds: float) -> str:
    """Return the time of day (UTC)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")


def moment(seconds: float) -> str:
    """Return day and time (UTC)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def isotime(seconds: float) -> str:
    """Return a time as the attribute `datetime` has it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def text_and_commands(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a text, and whether each is a command: those between backticks are."""
    for place, part in enumerate(text.split("`")):
        if part:
            yield part, place % 2 == 1
