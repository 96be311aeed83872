"""Builds and parses pages for the tests, and converts them to comparable values."""

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
from exporter.scrape.parser import Exposition, ExpositionParser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

FamilyValues = dict[str, tuple[str, str, dict[tuple[str, frozenset[tuple[str, str]]], str]]]
"""Families by name: type, help, and the value of each series as text."""

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
"""Forms of a sample line; the first is that of client libraries."""


def always_selected(_: str) -> bool:
    return True


def parse_page(
    page: bytes,
    cuts: Iterable[int] = (),
    cache: ScrapeCache | None = None,
    is_selected: Callable[[str], bool] = always_selected,
    sample_limit: int = 0,
) -> Exposition:
    """Parse a page that is fed in pieces that end at `cuts`."""
    parser = ExpositionParser(cache or ScrapeCache(), is_selected, sample_limit)
    for start, end in pairwise(sorted({0, len(page), *(cut for cut in cuts if cut < len(page))})):
        parser.feed(page[start:end])
    return parser.finish()


def family_values(exposition: Exposition) -> FamilyValues:
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


def real_page(name: str) -> bytes:
    """Return a recorded page of a real component."""
    return gzip.decompress((PAGES / f"{name}.gz").read_bytes())


@dataclass(frozen=True, slots=True)
class Group:
    """A family as written on a page; `rows` are name, escaped labels and value of each sample."""

    name: str
    metric_type: str
    help: str | None
    has_type: bool
    rows: tuple[tuple[str, tuple[tuple[str, str], ...], str], ...]

    def lines(self, forms: Sequence[str], *, reverse_labels: bool = False) -> list[str]:
        """Return the lines of the family; samples take these forms in turn, with reversed labels if asked."""
        lines = [f"# HELP {self.name} {self.help}"] if self.help is not None else []
        lines += [f"# TYPE {self.name} {self.metric_type}"] if self.has_type else []
        for number, (name, labels, value) in enumerate(self.rows):
            ordered_labels = reversed(labels) if reverse_labels else labels
            label_text = ",".join(f'{key}="{text}"' for key, text in ordered_labels)
            lines.append(_sample(forms[number % len(forms)], name, label_text, value))
        return lines


def _sample(form: str, name: str, labels: str, number: str) -> str:
    if not labels:
        form = form.replace("{{{labels}}}", "").replace("{{ {labels} }}", "{{ }}").replace("{{{labels},}}", "{{}}")
    return form.format(name=name, labels=labels, number=number)


def page(groups: Iterable[Group], forms: Sequence[str] = FORMS[:1], *, reverse_labels: bool = False) -> bytes:
    return "".join(
        f"{line}\n" for group in groups for line in group.lines(forms, reverse_labels=reverse_labels)
    ).encode()


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
def groups(draw: st.DrawFn, name: str) -> Group:
    metric_type = draw(st.sampled_from(list(MetricType)))
    has_type = metric_type is not MetricType.UNTYPED or draw(st.booleans())
    name += draw(st.sampled_from(["", "_total"])) if metric_type is MetricType.COUNTER else ""
    names = st.sampled_from([name + suffix for suffix in SUFFIXES.get(metric_type, ("",))])
    rows = draw(st.lists(st.tuples(names, LABELS, NUMBERS), max_size=5))
    return Group(name, metric_type, draw(st.none() | TEXT) if has_type else None, has_type, tuple(rows))


GROUPS: Final = st.tuples(groups("m0"), groups("m1:sub"), groups("_m2"))
CUTS: Final = st.lists(st.integers(0, 400), max_size=6)
