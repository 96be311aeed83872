"""The laws of the parser: it says what the reference says, however a page is cut, spelled or picked from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics import MetricType
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.parser import MAX_LINE_BYTES, ExpositionError

from .parsing import CUTS, FORMS, GROUPS, LAW, PAGES, Told, page, parsed, real, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .parsing import Group

REAL = sorted(path.name.removesuffix(".gz") for path in PAGES.glob("*.prom.gz"))
PIECES = [
    *(b"\n", b"\n", b"\n", b" ", b"\t", b"\r", b"#", b"# ", b"# TYPE g", b"# HELP g", b"# TYPE h", b"# TYPE u"),
    *(b" gauge", b" histogram", b"g", b"h", b"u", b"_bucket", b"_sum", b"{", b"}", b'{a="1"}', b'a="', b'"', b"="),
    *(b",", b"\\", b"1", b" 1", b" 2\n", b"-", b".", b"e5", b"NaN", b"Inf", b"_", b"\xff", "é".encode(), b"\x00"),
]  # fmt: skip # a heap


def reference(page: bytes) -> Told:
    """Parse with the reference; of a series told twice the first value counts, and an empty label is none."""
    families: Told = {}
    for family in text_string_to_metric_families(page.decode()):
        kind = "gauge" if family.type in {"info", "stateset"} else family.type
        text = family.documentation.strip()
        _, _, samples = families.setdefault(f"{family.name} {kind}", (kind, text, {}))
        for sample in family.samples:
            labels = frozenset((key, value) for key, value in sample.labels.items() if value)
            samples.setdefault((sample.name, labels), repr(sample.value + 0.0))
    return families


def as_reference(families: Told) -> Told:
    """Tell families as the reference does: it gives every counter `_total`, strips what helps and takes -0 for 0."""
    named: Told = {}
    for name, (kind, text, samples) in families.items():
        bare = name.removesuffix("_total") if kind == "counter" else name
        word = kind.replace("untyped", "unknown")
        named[f"{bare} {word}"] = (word, text.strip(), {
            (f"{bare}_total" if kind == "counter" else series, labels): repr(float(value) + 0.0)
            for (series, labels), value in samples.items()
        })  # fmt: skip # one value
    return named


def outcome(text: bytes, cuts: Iterable[int], names: str) -> Any:
    try:
        exposition = parsed(text, cuts, wanted=lambda name: name in names)
    except ExpositionError as error:
        return error.reason
    return told(exposition), dict(exposition.parse_errors), exposition.samples


@LAW
@given(GROUPS, st.lists(st.sampled_from(FORMS), min_size=1, max_size=4))
def test_a_page_says_what_the_reference_parser_says(groups: Sequence[Group], forms: Sequence[str]) -> None:
    text = page(groups, forms)
    exposition = parsed(text)
    assert as_reference(told(exposition)) == reference(text)
    assert exposition.parse_errors.keys() <= {"duplicate_series"}


@pytest.mark.parametrize("name", REAL)
def test_a_real_page_says_what_the_reference_parser_says(name: str) -> None:
    text = real(name)
    exposition = parsed(text)
    assert as_reference(told(exposition)) == reference(text)
    assert not exposition.parse_errors
    assert exposition.samples == sum(len(family) for family in exposition.families.values()) > 0


@LAW
@given(GROUPS, CUTS)
def test_a_page_says_the_same_however_it_is_cut(groups: Sequence[Group], cuts: Sequence[int]) -> None:
    text = page(groups)
    assert told(parsed(text, cuts)) == told(parsed(text))


@settings(LAW, max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=40), CUTS, st.sampled_from(["g", "h", "gh", "gh_bucketu"]))
def test_any_bytes_say_the_same_however_they_are_cut(pieces: list[bytes], cuts: list[int], names: str) -> None:
    text = b"".join(pieces)
    assert outcome(text, cuts, names) == outcome(text, (), names)


@pytest.mark.parametrize("name", REAL)
def test_a_real_page_says_the_same_in_small_pieces(name: str) -> None:
    text = real(name)
    assert told(parsed(text, range(0, len(text), 997))) == told(parsed(text))


@LAW
@given(GROUPS, st.lists(st.sampled_from(FORMS[1:]), min_size=1, max_size=3))
def test_a_page_of_irregular_lines_says_what_a_regular_one_says(groups: Sequence[Group], forms: Sequence[str]) -> None:
    regular, irregular = parsed(page(groups)), parsed(page(groups, forms))
    assert told(irregular) == told(regular)
    assert irregular.parse_errors == regular.parse_errors


@pytest.mark.parametrize("name", REAL)
def test_a_real_page_with_a_time_on_each_line_says_what_it_says_without(name: str) -> None:
    text = real(name)
    lines = [line if line.startswith(b"#") else line + b" 1395066363000" for line in text.splitlines()]
    assert told(parsed(b"\n".join(lines) + b"\n")) == told(parsed(text))


@LAW
@given(GROUPS, st.sets(st.integers(0, 2)), CUTS)
def test_skipping_families_is_parsing_all_and_dropping_them(
    groups: Sequence[Group], places: set[int], cuts: Sequence[int]
) -> None:
    headed = sorted(groups, key=lambda group: group.headed or group.help is not None)
    names = {groups[place].name for place in places}
    text = page(headed)
    some = parsed(text, cuts, wanted=lambda name: name in names)
    kept = {name: family for name, family in told(parsed(text)).items() if name in names}
    assert told(some) == kept


def test_a_real_page_picked_from_is_the_whole_page_less_the_rest() -> None:
    text = real("argo-1.8.3-leader.prom")
    some = told(parsed(text, wanted=lambda name: name.startswith("rollout_")))
    assert some == {name: one for name, one in told(parsed(text)).items() if name.startswith("rollout_")}
    assert len(some) > 8


@LAW
@given(GROUPS, st.lists(st.sampled_from(FORMS), min_size=1, max_size=3))
def test_a_page_parsed_again_names_the_very_same_series(groups: Sequence[Group], forms: Sequence[str]) -> None:
    interner = ScrapeCache()
    first = parsed(page(groups), interner=interner)
    again = parsed(page(groups), interner=interner)
    other = parsed(page(groups, forms, turned=True), interner=interner)
    for name, family in first.families.items():
        assert list(map(id, again.families[name].series)) == list(map(id, family.series))
        assert list(map(id, other.families[name].series)) == list(map(id, family.series))


@pytest.mark.parametrize("length", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 3 * MAX_LINE_BYTES])
@pytest.mark.parametrize("step", [997, MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 10 * MAX_LINE_BYTES])
@pytest.mark.parametrize("where", ["g", "u", "# HELP g "])
def test_a_line_of_64_kibibytes_is_too_long_however_it_is_cut(length: int, step: int, where: str) -> None:
    long = "# HELP g ".ljust(length, "x") if where[0] == "#" else f'{where}{{a="'.ljust(length - 4, "x") + '"} 7'
    text = f"# TYPE u gauge\nu 1\n{long}\n# TYPE g gauge\ng 1\n"
    if where == "g":
        text = f"# TYPE g gauge\ng 1\n{long}\n"
    exposition = parsed(text.encode(), range(0, len(text), step), wanted=lambda name: name == "g")
    skipped = where == "u"
    assert exposition.parse_errors == ({"too_long": 1} if length >= MAX_LINE_BYTES and not skipped else {})
    assert len(exposition.families["g"]) == 1 + (where == "g" and length < MAX_LINE_BYTES)


def test_an_indented_header_begins_a_family_however_the_page_is_cut() -> None:
    text = b'# TYPE g gauge\ng 1\n # TYPE u gauge\nu 1\ng{a="2"} 2\n# HELP g G.\n\t# TYPE h gauge\nh 3\n'
    everything, chosen = outcome(text, (), "guh"), outcome(text, (), "g")
    assert [len(samples) for _, _, samples in everything[0].values()] == [2, 1, 1]
    assert [len(samples) for _, _, samples in chosen[0].values()] == [1]
    for cut in range(len(text)):
        assert outcome(text, [cut], "guh") == everything
        assert outcome(text, [cut], "g") == chosen


def test_numbers_are_exact() -> None:
    numbers = ["NaN", "+Inf", "-Inf", "-0", "5e-324", "0.1", "9007199254740993", "18446744073709551615", "1e-400"]
    text = "".join(f'g{{i="{place}"}} {number}\n' for place, number in enumerate(numbers))
    (family,) = parsed(text.encode()).families.values()
    assert list(map(repr, family.values)) == [repr(float(number)) for number in numbers]


def test_a_family_torn_apart_is_one_family() -> None:
    text = b'# TYPE g counter\ng 1\n# TYPE h gauge\nh 1\ng{a="2"} 2\n# TYPE h gauge\nh{a="2"} 2\n'
    exposition = parsed(text)
    assert {name: (one.type, len(one)) for name, one in exposition.families.items()} == {
        "g": (MetricType.COUNTER, 2),
        "h": (MetricType.GAUGE, 2),
    }
    assert not exposition.parse_errors


def test_a_sample_between_those_of_another_family_is_a_family_of_its_own() -> None:
    exposition = parsed(b'# TYPE g gauge\ng 1\nother 2\ng{a="2"} 3\n')
    kinds = {name: (family.type, list(family.values)) for name, family in exposition.families.items()}
    assert kinds == {"g": (MetricType.GAUGE, [1, 3]), "other": (MetricType.UNTYPED, [2])}
    assert not exposition.parse_errors
