"""How the tests make pages and parse them, and what they compare."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hypothesis import settings
from hypothesis import strategies as st

from exporter.metrics import MetricType
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.parser import Exposition, Parser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Told = dict[str, tuple[str, str, dict[tuple[str, frozenset[tuple[str, str]]], str]]]
"""Families by name: type, help, and the value of each series, spelled."""

PAGES: Final = Path(__file__).parent / "pages"
SUFFIXES: Final = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
FORMS: Final = (
    "{name}{{{labels}}} {number}",
    "{name}{{{labels}}}  {number}",
    "{name}{{{labels}}}\t{number}",
    "{name}{{{labels}}} {number} ",
    "{name}{{{labels}}} {number} 1395066363000",
    "{name}{{{labels}}} {number}\t-1",
    "{name}{{{labels}}} {number} +1",
    "\t{name} {{ {labels} }} {number}",
    "{name}{{{labels},}}{number}",
)
"""Ways to write one sample; the first is the one that client libraries use."""


def everything(_: str) -> bool:
    return True


def parsed(
    page: bytes,
    cuts: Iterable[int] = (),
    interner: ScrapeCache | None = None,
    wanted: Callable[[str], bool] = everything,
    most: int = 0,
) -> Exposition:
    """Parse a page fed in pieces that end at `cuts`."""
    parser = Parser(interner or ScrapeCache(), wanted, most)
    for start, end in pairwise(sorted({0, len(page), *(cut for cut in cuts if cut < len(page))})):
        parser.feed(page[start:end])
    return parser.finish()


def told(exposition: Exposition) -> Told:
    return {
        name: (
            family.type,
            family.help,
            {
                (series.name, frozenset(series.labels)): repr(value)
                for series, value in zip(family.series, family.values, strict=True)
            },
        )
        for name, family in exposition.families.items()
    }


def real(name: str) -> bytes:
    """Return the page of a real component."""
    return gzip.decompress((PAGES / f"{name}.gz").read_bytes())


@dataclass(frozen=True, slots=True)
class Group:
    """A family as a page writes it; `rows` are the name, the labels as they are escaped, and the number of each."""

    name: str
    kind: str
    help: str | None
    headed: bool
    rows: tuple[tuple[str, tuple[tuple[str, str], ...], str], ...]

    def lines(self, forms: Sequence[str], *, turned: bool = False) -> list[str]:
        """Write the family, its samples in these forms one after another, their labels turned round or not."""
        lines = [f"# HELP {self.name} {self.help}"] if self.help is not None else []
        lines += [f"# TYPE {self.name} {self.kind}"] if self.headed else []
        for number, (name, labels, value) in enumerate(self.rows):
            ordered = reversed(labels) if turned else labels
            spelled = ",".join(f'{key}="{text}"' for key, text in ordered)
            lines.append(_sample(forms[number % len(forms)], name, spelled, value))
        return lines


def _sample(form: str, name: str, labels: str, number: str) -> str:
    if not labels:
        form = form.replace("{{{labels}}}", "").replace("{{ {labels} }}", "{{ }}").replace("{{{labels},}}", "{{}}")
    return form.format(name=name, labels=labels, number=number)


def page(groups: Iterable[Group], forms: Sequence[str] = FORMS[:1], *, turned: bool = False) -> bytes:
    return "".join(f"{line}\n" for group in groups for line in group.lines(forms, turned=turned)).encode()


LAW: Final = settings(max_examples=100, deadline=None, derandomize=True)
ESCAPES: Final = st.sampled_from(["", r"\\", r"\n", r"\"", r"\t", r"\\n", r"\\\""])
PLAIN: Final = st.text(st.characters(codec="utf-8", exclude_characters='"\\\n'), max_size=3)
TEXT: Final = st.tuples(PLAIN, ESCAPES, PLAIN).map("".join)
NUMBERS: Final = st.one_of(
    st.floats().map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(["NaN", "+Inf", "-Inf", "Inf", "-0", "+5", ".5", "5.", "1E3", "5e-324", "1e-400", "infinity"]),
)
LABELS: Final = st.dictionaries(st.sampled_from(["a", "b", "_x9", "le"]), TEXT, max_size=2).map(dict.items).map(tuple)


@st.composite
def some_group(draw: st.DrawFn, name: str) -> Group:
    kind = draw(st.sampled_from(list(MetricType)))
    headed = kind is not MetricType.UNTYPED or draw(st.booleans())
    name += draw(st.sampled_from(["", "_total"])) if kind is MetricType.COUNTER else ""
    names = st.sampled_from([name + suffix for suffix in SUFFIXES.get(kind, ("",))])
    rows = draw(st.lists(st.tuples(names, LABELS, NUMBERS), max_size=5))
    return Group(name, kind, draw(st.none() | TEXT) if headed else None, headed, tuple(rows))


GROUPS: Final = st.tuples(some_group("m0"), some_group("m1:sub"), some_group("_m2"))
CUTS: Final = st.lists(st.integers(0, 400), max_size=6)
