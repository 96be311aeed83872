"""Laws of the parser: it agrees with the reference, however a page is split, written or filtered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics import MetricType
from exporter.scrape.cache import ScrapeCache
from exporter.scrape.parser import MAX_LINE_BYTES, ExpositionError

from .parsing import CUTS, FORMS, GROUPS, LAW, PAGES, FamilyValues, family_values, page, parse_page, real_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .parsing import Group

REAL = sorted(path.name.removesuffix(".gz") for path in PAGES.glob("*.prom.gz"))
PIECES = [
    *(b"\n", b"\n", b"\n", b" ", b"\t", b"\r", b"#", b"# ", b"# TYPE g", b"# HELP g", b"# TYPE h", b"# TYPE u"),
    *(b" gauge", b" histogram", b"g", b"h", b"u", b"_bucket", b"_sum", b"{", b"}", b'{a="1"}', b'a="', b'"', b"="),
    *(b",", b"\\", b"1", b" 1", b" 2\n", b"-", b".", b"e5", b"NaN", b"Inf", b"_", b"\xff", "é".encode(), b"\x00"),
]  # fmt: skip # one column would be longer


def reference(page: bytes) -> FamilyValues:
    """Parse with the reference; the first value of a duplicate series counts, and empty labels are dropped."""
    families: FamilyValues = {}
    for family in text_string_to_metric_families(page.decode()):
        metric_type = "gauge" if family.type in {"info", "stateset"} else family.type
        text = family.documentation.strip()
        _, _, samples = families.setdefault(f"{family.name} {metric_type}", (metric_type, text, {}))
        for sample in family.samples:
            labels = frozenset((key, value) for key, value in sample.labels.items() if value)
            samples.setdefault((sample.name, labels), repr(sample.value + 0.0))
    return families


def as_reference(families: FamilyValues) -> FamilyValues:
    """Convert families to the form of the reference: `_total` on every counter, stripped HELP, and 0 for -0."""
    renamed: FamilyValues = {}
    for name, (metric_type, text, samples) in families.items():
        base_name = name.removesuffix("_total") if metric_type == "counter" else name
        type_name = metric_type.replace("untyped", "unknown")
        renamed[f"{base_name} {type_name}"] = (type_name, text.strip(), {
            (f"{base_name}_total" if metric_type == "counter" else series, labels): repr(float(value) + 0.0)
            for (series, labels), value in samples.items()
        })  # fmt: skip # one value
    return renamed


def parse_outcome(text: bytes, cuts: Iterable[int], names: str) -> Any:
    try:
        exposition = parse_page(text, cuts, is_selected=lambda name: name in names)
    except ExpositionError as error:
        return error.reason
    return family_values(exposition), dict(exposition.parse_errors), exposition.samples


@LAW
@given(GROUPS, st.lists(st.sampled_from(FORMS), min_size=1, max_size=4))
def test_a_page_parses_as_the_reference_parser_does(groups: Sequence[Group], forms: Sequence[str]) -> None:
    text = page(groups, forms)
    exposition = parse_page(text)
    assert as_reference(family_values(exposition)) == reference(text)
    assert exposition.parse_errors.keys() <= {"duplicate_series"}


@pytest.mark.parametrize("name", REAL)
def test_a_real_page_parses_as_the_reference_parser_does(name: str) -> None:
    text = real_page(name)
    exposition = parse_page(text)
    assert as_reference(family_values(exposition)) == reference(text)
    assert not exposition.parse_errors
    assert exposition.samples == sum(len(family) for family in exposition.families.values()) > 0


@pytest.mark.slow
@LAW
@given(GROUPS, CUTS)
def test_a_page_parses_the_same_however_it_is_split(groups: Sequence[Group], cuts: Sequence[int]) -> None:
    text = page(groups)
    assert family_values(parse_page(text, cuts)) == family_values(parse_page(text))


@settings(LAW, max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=40), CUTS, st.sampled_from(["g", "h", "gh", "gh_bucketu"]))
def test_any_bytes_parse_the_same_however_they_are_split(pieces: list[bytes], cuts: list[int], names: str) -> None:
    text = b"".join(pieces)
    assert parse_outcome(text, cuts, names) == parse_outcome(text, (), names)


@pytest.mark.parametrize("name", REAL)
def test_a_real_page_parses_the_same_in_small_pieces(name: str) -> None:
    text = real_page(name)
    assert family_values(parse_page(text, range(0, len(text), 997))) == family_values(parse_page(text))


@pytest.mark.slow
@LAW
@given(GROUPS, st.lists(st.sampled_from(FORMS[1:]), min_size=1, max_size=3))
def test_irregular_lines_parse_like_regular_ones(groups: Sequence[Group], forms: Sequence[str]) -> None:
    regular, irregular = parse_page(page(groups)), parse_page(page(groups, forms))
    assert family_values(irregular) == family_values(regular)
    assert irregular.parse_errors == regular.parse_errors


@pytest.mark.parametrize("name", REAL)
def test_timestamps_of_a_real_page_are_ignored(name: str) -> None:
    text = real_page(name)
    lines = [line if line.startswith(b"#") else line + b" 1395066363000" for line in text.splitlines()]
    assert family_values(parse_page(b"\n".join(lines) + b"\n")) == family_values(parse_page(text))


@pytest.mark.slow
@LAW
@given(GROUPS, st.sets(st.integers(0, 2)), CUTS)
def test_skipping_families_equals_parsing_all_and_dropping_them(
    groups: Sequence[Group], places: set[int], cuts: Sequence[int]
) -> None:
    groups_with_metadata = sorted(groups, key=lambda group: group.has_type or group.help is not None)
    names = {groups[place].name for place in places}
    text = page(groups_with_metadata)
    selected = parse_page(text, cuts, is_selected=lambda name: name in names)
    expected = {name: family for name, family in family_values(parse_page(text)).items() if name in names}
    assert family_values(selected) == expected


def test_selected_families_of_a_real_page_parse_as_on_the_complete_page() -> None:
    text = real_page("argo-1.8.3-leader.prom")
    selected = family_values(parse_page(text, is_selected=lambda name: name.startswith("rollout_")))
    assert selected == {
        name: family for name, family in family_values(parse_page(text)).items() if name.startswith("rollout_")
    }
    assert len(selected) > 8


@pytest.mark.slow
@LAW
@given(GROUPS, st.lists(st.sampled_from(FORMS), min_size=1, max_size=3))
def test_a_page_parsed_again_yields_series_with_the_same_keys(groups: Sequence[Group], forms: Sequence[str]) -> None:
    cache = ScrapeCache()
    first = parse_page(page(groups), cache=cache)
    second = parse_page(page(groups), cache=cache)
    reordered = parse_page(page(groups, forms, reverse_labels=True), cache=cache)
    for name, family in first.families.items():
        keys = [series.key for series in family.series]
        assert len(set(keys)) == len(keys)
        for other in (family, second.families[name], reordered.families[name]):
            assert [series.key for series in other.series] == keys
            for batch in other.batches:
                assert list(batch.keys) in ([], [series.key for series in batch.series])


@pytest.mark.parametrize("length", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 3 * MAX_LINE_BYTES])
@pytest.mark.parametrize("step", [997, MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 10 * MAX_LINE_BYTES])
@pytest.mark.parametrize("line_start", ["g", "u", "# HELP g "])
def test_a_line_of_64_kibibytes_is_too_long_however_it_is_split(length: int, step: int, line_start: str) -> None:
    long_line = (
        "# HELP g ".ljust(length, "x") if line_start[0] == "#" else f'{line_start}{{a="'.ljust(length - 4, "x") + '"} 7'
    )
    text = f"# TYPE u gauge\nu 1\n{long_line}\n# TYPE g gauge\ng 1\n"
    if line_start == "g":
        text = f"# TYPE g gauge\ng 1\n{long_line}\n"
    exposition = parse_page(text.encode(), range(0, len(text), step), is_selected=lambda name: name == "g")
    skipped = line_start == "u"
    assert exposition.parse_errors == ({"too_long": 1} if length >= MAX_LINE_BYTES and not skipped else {})
    assert len(exposition.families["g"]) == 1 + (line_start == "g" and length < MAX_LINE_BYTES)


def test_an_indented_metadata_line_begins_a_family_however_the_page_is_split() -> None:
    text = b'# TYPE g gauge\ng 1\n # TYPE u gauge\nu 1\ng{a="2"} 2\n# HELP g G.\n\t# TYPE h gauge\nh 3\n'
    all_families, only_g = parse_outcome(text, (), "guh"), parse_outcome(text, (), "g")
    assert [len(samples) for _, _, samples in all_families[0].values()] == [2, 1, 1]
    assert [len(samples) for _, _, samples in only_g[0].values()] == [1]
    for cut in range(len(text)):
        assert parse_outcome(text, [cut], "guh") == all_families
        assert parse_outcome(text, [cut], "g") == only_g


def test_numbers_are_exact() -> None:
    numbers = ["NaN", "+Inf", "-Inf", "-0", "5e-324", "0.1", "9007199254740993", "18446744073709551615", "1e-400"]
    text = "".join(f'g{{i="{place}"}} {number}\n' for place, number in enumerate(numbers))
    (family,) = parse_page(text.encode()).families.values()
    assert list(map(repr, family.values)) == [repr(float(number)) for number in numbers]


def test_a_family_in_two_places_is_one_family() -> None:
    text = b'# TYPE g counter\ng 1\n# TYPE h gauge\nh 1\ng{a="2"} 2\n# TYPE h gauge\nh{a="2"} 2\n'
    exposition = parse_page(text)
    assert {name: (family.type, len(family)) for name, family in exposition.families.items()} == {
        "g": (MetricType.COUNTER, 2),
        "h": (MetricType.GAUGE, 2),
    }
    assert not exposition.parse_errors


def test_a_sample_between_those_of_another_family_is_a_family_of_its_own() -> None:
    exposition = parse_page(b'# TYPE g gauge\ng 1\nother 2\ng{a="2"} 3\n')
    actual = {name: (family.type, list(family.values)) for name, family in exposition.families.items()}
    assert actual == {"g": (MetricType.GAUGE, [1, 3]), "other": (MetricType.UNTYPED, [2])}
    assert not exposition.parse_errors
