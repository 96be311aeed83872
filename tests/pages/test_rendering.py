"""The pages as HTML, from made-up values; no browser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from exporter.web.model import (
    DeliveryBrief,
    FleetCounts,
    FleetPage,
    FleetQuery,
    PageHead,
    RolloutPage,
    SharePoint,
    SortKey,
    Timeline,
    TimelineQuery,
    TrafficShare,
    Urgency,
)
from exporter.web.pages import configuration, delivery, fleet, gates, rollout, targets, timeline
from exporter.web.pages.headline import delivery_words, fleet_headline, is_undelivered, title
from exporter.web.pages.query import ZOOM_HOURS, fitting_hours, fleet_href, fleet_query, timeline_href, timeline_query
from exporter.web.pages.rendering import asset, compact, percent, size
from tests.pages import samples
from tests.pages.markup import ParsedPage

HOSTILE = "<script>alert('x')</script>\"&{{ head }}"
PICTURES = Path(__file__).parents[2] / "charts/rollouts-exporter/pictures"
MAX_ASSET_BYTES = 40_000
NOT_KNOWN = "\N{EN DASH}"

PAGES: dict[str, tuple[Any, Any]] = {
    "fleet": (fleet.render, samples.FLEET),
    "trouble": (fleet.render, replace(samples.FLEET, head=samples.TROUBLE)),
    "empty": (fleet.render, samples.EMPTY_FLEET),
    "filtered": (fleet.render, samples.FILTERED),
    "rollout": (rollout.render, samples.ROLLOUT),
    "missing": (rollout.render, samples.MISSING_ROLLOUT),
    "no history": (rollout.render, replace(samples.ROLLOUT, timeline=None, timeline_reason="the disk fails")),
    "delivery": (delivery.render, samples.DELIVERY),
    "undelivered": (delivery.render, samples.UNDELIVERED),
    "no delivery": (delivery.render, replace(samples.DELIVERY, head=replace(samples.HEAD, delivery=None))),
    "targets": (targets.render, samples.TARGETS),
    "gates": (gates.render, samples.GATES),
    "configuration": (configuration.render, samples.CONFIGURATION),
}


def parse(name: str) -> ParsedPage:
    render, page = PAGES[name]
    return ParsedPage(render(page))


def with_text(value: Any, text: str) -> Any:
    """Return a value with a text in place of each string in it."""
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return text
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: with_text(getattr(value, field.name), text) for field in fields(value)})
    if isinstance(value, tuple):
        return tuple(with_text(part, text) for part in value)
    if isinstance(value, Mapping):
        return {with_text(name, text): with_text(part, text) for name, part in value.items()}
    return value


@pytest.mark.parametrize("name", PAGES)
def test_all_text_of_others_is_escaped(name: str) -> None:
    render, page = PAGES[name]
    parsed = ParsedPage(render(with_text(page, HOSTILE)))
    assert len(parsed.all("script")) == 1
    assert HOSTILE in parsed.words
    assert "alert('x')</script>" not in render(with_text(page, HOSTILE))


def test_text_cannot_turn_the_direction_or_break_the_line_of_what_is_around_it() -> None:
    page = rollout.render(with_text(samples.ROLLOUT, "a\u202eb\x1b[31m\u2066c"))
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x1b]", page)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_only_its_style_its_script_and_its_icon_and_has_none_inline(name: str) -> None:
    parsed = parse(name)
    loaded = [attributes.get("src") or attributes.get("href") for attributes in parsed.all("script")]
    loaded += [attributes["href"] for attributes in parsed.all("link")]
    names = {str(address).rpartition("/")[2].partition("?")[0] for address in loaded}
    assert names == {"style.css", "script.js", "favicon.svg"}
    assert not {"style", "img", "iframe"} & {tag for tag, _ in parsed.tags}
    for _, attributes in parsed.tags:
        assert not [attribute for attribute in attributes if attribute == "style" or attribute.startswith("on")]


@pytest.mark.parametrize("name", PAGES)
def test_every_link_is_relative_so_that_any_path_prefix_works(name: str) -> None:
    links = [address for address in parse(name).addresses if not address.startswith("https://")]
    assert links
    assert not [link for link in links if link.startswith("/") or "//" in link]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_one_main_heading_landmarks_and_tables_with_caption_and_scope(name: str) -> None:
    parsed = parse(name)
    assert [len(parsed.all(tag)) for tag in ("h1", "main", "header", "footer")] == [1, 1, 1, 1]
    assert len(parsed.all("caption")) == len(parsed.all("table"))
    assert all(attributes.get("scope") in {"row", "col"} for attributes in parsed.all("th"))


def test_style_and_script_together_are_small_and_load_nothing() -> None:
    style, script = asset("style.css"), asset("script.js")
    assert len(style.encode()) + len(script.encode()) < MAX_ASSET_BYTES
    assert "url(" not in style
    assert "@import" not in style
    assert "innerHTML" not in script


def test_the_fleet_page_shows_who_needs_a_person_which_version_has_how_much_traffic_and_where_the_data_is() -> None:
    text = parse("fleet").text
    for words in (
        "2 rollouts need a person",
        "shop/ checkout Paused for 42 min",
        "waiting for a person",
        "new checkout:v1.9.0 20\N{NO-BREAK SPACE}% stable checkout:v1.8.2 80\N{NO-BREAK SPACE}%",
        "weight set to 25\N{NO-BREAK SPACE}%",
        "Last9 has the data. It accepted the last request 3 s ago.",
        "last shown 12 min ago",
    ):
        assert words in text, words


def test_groups_come_in_order_of_urgency_and_tiles_link_to_their_filter() -> None:
    page = fleet.render(samples.FLEET)
    assert re.findall(r'id="group-(\w+)"', page) == ["person", "failed", "updating", "unknown", "rest"]
    assert [link for link in ParsedPage(page).addresses if link.startswith("?state=")] == [
        f"?state={urgency.value}" for urgency in Urgency
    ]


def test_a_filtered_page_keeps_its_filter_in_all_its_links() -> None:
    parsed = parse("filtered")
    assert "?q=s&ns=shop&sort=name" not in parsed.addresses
    assert "?q=s&ns=shop&state=failed" in parsed.addresses
    assert "?q=s&ns=shop&state=person" in parsed.addresses  # the page before
    assert {"value": "s"}.items() <= next(each for each in parsed.all("input") if each["name"] == "q").items()


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (samples.EMPTY_FLEET, "The first scrape is under way."),
        (FleetPage(replace(samples.EMPTY_FLEET.head, observed_at=1.0)), "No controller shows a rollout."),
        (FleetPage(samples.HEAD, FleetQuery("zzz")), "No rollout passes this filter."),
    ],
)
def test_a_page_without_rollouts_names_what_is_missing(page: FleetPage, text: str) -> None:
    assert text in ParsedPage(fleet.render(page)).text


def test_a_missing_rollout_names_similar_ones() -> None:
    parsed = parse("missing")
    assert "No source shows a rollout of this name" in parsed.text
    assert "../../rollouts/shop/checkout" in parsed.addresses


def test_names_are_quoted_in_links() -> None:
    card = replace(samples.PAUSED, namespace="a/b", name="c?d#e")
    parsed = ParsedPage(fleet.render(replace(samples.FLEET, cards=(card,))))
    assert "rollouts/a%2Fb/c%3Fd%23e" in parsed.addresses


HEAD = PageHead("1", "i", 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("counts", "headline", "tab"),
    [
        ({}, "No rollout needs a person", "Rollouts"),
        ({Urgency.PERSON: 1, Urgency.FAILED: 1}, "1 rollout needs a person", "1 needs a person · Rollouts"),
        ({Urgency.PERSON: 2}, "2 rollouts need a person", "2 need a person · Rollouts"),
        ({Urgency.FAILED: 3}, "3 rollouts aborted or failed", "3 failed · Rollouts"),
        ({Urgency.UPDATING: 3}, "No rollout needs a person", "Rollouts"),
    ],
)
def test_headline_and_title_show_trouble(counts: dict[Urgency, int], headline: str, tab: str) -> None:
    head = replace(HEAD, counts=FleetCounts(9, counts))
    assert fleet_headline(head) == headline
    assert title(head) == tab
    assert f'favicon.svg?state={"good" if tab == "Rollouts" else "bad"}"' in fleet.render(FleetPage(head))


@pytest.mark.parametrize(
    ("brief", "words"),
    [
        (None, "Nothing is pushed"),
        (DeliveryBrief("idle", "https://otlp.last9.io"), "Last9 has no data yet"),
        (DeliveryBrief("delivering", "https://otlp.last9.io", "", 3.0, 100), "Last9 has the data"),
        (DeliveryBrief("delivering", "collector:4317", "", 3.0), "collector has the data"),
        (DeliveryBrief("retrying", "https://otlp.last9.io", "503", 20.0, 9), "Last9 has the data up to 20 s ago"),
        (
            DeliveryBrief("retrying", "https://otlp.last9.io", "503", 90.0, 9),
            "Last9 does not have the data of the last",
        ),
        (DeliveryBrief("holding", "https://x.y", "401", None, 9), "x.y does not have the data"),
        (DeliveryBrief("delivering", "https://x.y", "", 400.0, 9), "x.y does not have the data of the last 6 min"),
        (DeliveryBrief("refused", "https://notlast9.io", "415", 1.0, 9), "notlast9.io does not have the data"),
    ],
)
def test_one_sentence_answers_whether_the_store_has_the_data(brief: DeliveryBrief | None, words: str) -> None:
    assert delivery_words(brief)[0].startswith(words)
    assert is_undelivered(brief) == ("does not have" in words)


@pytest.mark.parametrize(
    "query",
    [FleetQuery(), FleetQuery("a&b=ü", "shop", Urgency.FAILED, SortKey.PHASE_TIME, 3), FleetQuery(sort=SortKey.SHARE)],
)
def test_a_fleet_query_can_be_bookmarked(query: FleetQuery) -> None:
    from yarl import URL  # noqa: PLC0415 - as aiohttp parses it

    assert fleet_query(URL(f"http://x/{fleet_href(query)}").query) == query


@pytest.mark.parametrize("text", ["", "-1", "0", "x", "1e9", "²", "9" * 400])
def test_a_wrong_value_of_a_query_is_the_default(text: str) -> None:
    assert fleet_query({"page": text, "state": text, "sort": text}) == FleetQuery()
    assert timeline_query({"hours": text}).hours in {*ZOOM_HOURS, None}


def test_a_timeline_query_takes_the_nearest_width() -> None:
    assert timeline_query({}) == TimelineQuery(None, None)
    assert timeline_query({"hours": "13", "until": "1000"}) == TimelineQuery(12.0, 1000.0)
    assert timeline_href(12, 1000.4) == "?hours=12&until=1000"


def test_a_timeline_draws_bands_and_shares_at_their_place_and_nothing_outside() -> None:
    hour = 3600.0
    line = Timeline(
        0.0,
        4 * hour,
        hour,
        bands=samples.TIMELINE.bands[:0],
        shares=(SharePoint(-hour, 0.0), SharePoint(2 * hour, 0.5), SharePoint(3 * hour, None)),
        marks=(replace(samples.TIMELINE.marks[0], timestamp=-5.0), replace(samples.TIMELINE.marks[0], timestamp=hour)),
    )
    drawing = timeline.draw(line, 4 * hour)
    assert drawing.unknown_width == "25.00%"
    assert [mark.x for mark in drawing.marks] == ["25.00%"]
    level = timeline.SHARE_TOP + timeline.SHARE_HEIGHT
    half = timeline.SHARE_TOP + timeline.SHARE_HEIGHT / 2
    assert [(each.x1, float(each.y1), each.x2, float(each.y2)) for each in drawing.lines] == [
        ("0.00%", level, "50.00%", level),
        ("50.00%", half, "75.00%", half),
        ("50.00%", level, "50.00%", half),
    ]


def test_a_timeline_zooms_and_moves_by_links() -> None:
    drawing = timeline.draw(samples.TIMELINE, samples.NOW)
    assert drawing.links == {"in": "?hours=3", "out": "?hours=12"}
    assert [label for label, _, is_current in drawing.zooms if is_current] == ["6 h"]
    past = timeline.draw(replace(samples.TIMELINE, until=samples.NOW - 3600, held_since=0.0), samples.NOW)
    assert set(past.links) == {"in", "out", "earlier", "later"}
    assert past.links["later"] == "?hours=6"


@pytest.mark.parametrize("sample", [samples.ROLLOUT, replace(samples.ROLLOUT, timeline=Timeline(5.0, 5.0))])
def test_a_timeline_of_any_length_is_drawn(sample: RolloutPage) -> None:
    assert 'class="timeline"' in rollout.render(sample)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        *((None, NOT_KNOWN), (0.0, "0 %"), (1.0, "100 %"), (0.5, "50 %"), (0.643, "64 %"), (0.0333, "3.3 %")),
        *((0.0001, "<0.1 %"), (0.999, ">99 %"), (0.05, "5 %")),
    ],
)
def test_a_share_is_a_percentage_whose_ends_are_exact(share: float | None, text: str) -> None:
    assert percent(share) == text.replace(" ", "\N{NO-BREAK SPACE}")


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (12_345, "12,345"), (123_456, "123 k"), (1_234_567, "1.23 M"), (999_999, "1000 k")]
)
def test_a_count_has_few_digits(count: int, text: str) -> None:
    assert compact(count) == text.replace(" ", "\N{NO-BREAK SPACE}")


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, NOT_KNOWN), (1023, "1023 B"), (5_000, "4.88 KiB"), (9e8, "858 MiB"), (999.6 * 1024, "1000 KiB")],
)
def test_a_size_has_a_unit(count: float | None, text: str) -> None:
    assert size(count) == text.replace(" ", "\N{NO-BREAK SPACE}")


@pytest.mark.parametrize(
    ("held_seconds", "hours"), [(0.0, 1 / 60), (90.0, 0.025), (901.0, 1.0), (4 * 3600.0, 6.0), (9e9, 6.0)]
)
def test_a_timeline_is_first_as_wide_as_its_history_six_hours_at_most(held_seconds: float, hours: float) -> None:
    assert fitting_hours(held_seconds) == hours


def test_settings_that_are_set_stand_before_those_with_their_default() -> None:
    page = configuration.render(samples.CONFIGURATION)
    assert page.index("otlp.endpoint") < page.index("<details") < page.index("<code>argo.interval")


def test_marks_at_the_same_place_leave_the_most_important_one() -> None:
    mark = samples.TIMELINE.marks[0]
    times = (("aborted", 49.9), ("paused", 50.0), ("step_reached", 49.7), ("paused", 90.0))
    line = Timeline(0.0, 100.0, marks=tuple(replace(mark, timestamp=time, type=kind) for kind, time in times))
    assert [(drawn.x, drawn.shape) for drawn in timeline.draw(line, 100.0).marks] == [
        ("49.90%", "abort"),
        ("90.00%", "pause"),
    ]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "preview frontend:42 0 % active frontend:41 100 %"),
        (1.0, "new frontend:42 100 % stable frontend:41 0 %"),
        (None, f"new frontend:42 {NOT_KNOWN} stable frontend:41 {NOT_KNOWN}"),
    ],
)
def test_a_blue_green_update_names_the_version_that_has_the_traffic(share: float | None, text: str) -> None:
    card = replace(samples.BLUE_GREEN, share=TrafficShare(true=share))
    page = ParsedPage(fleet.render(FleetPage(samples.HEAD, cards=(card,))))
    assert text in page.text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_fleet_page_has_the_reason_of_a_refusal_and_the_page_of_delivery_the_advice() -> None:
    refused = replace(samples.REFUSED, reason="401 Unauthorized: bad credentials; see otlp.headers")
    head = replace(samples.HEAD, delivery=refused)
    fleet_text = ParsedPage(fleet.render(replace(samples.FLEET, head=head))).text
    delivery_text = ParsedPage(delivery.render(replace(samples.DELIVERY, head=head))).text
    assert "401 Unauthorized: bad credentials. 1,234,567 points wait" in fleet_text
    assert "bad credentials; see otlp.headers. 1,234,567 points wait" in delivery_text


def test_the_manual_has_the_keys_that_the_pages_list() -> None:
    keys = re.findall("<kbd>(.+?)</kbd>", asset("base.html").partition("<dialog")[2])
    manual = (Path(__file__).parents[2] / "exporter/manual/pages.md").read_text()
    assert len(keys) > 5
    assert [key for key in keys if f"`{key}`" not in manual] == []


@pytest.mark.parametrize("picture", sorted(PICTURES.glob("page-*.png")), ids=lambda file: file.name)
def test_a_picture_of_a_page_is_small_and_stands_in_the_manual(picture: Path) -> None:
    assert picture.stat().st_size < 150_000
    assert f"pictures/{picture.name})" in (Path(__file__).parents[2] / "exporter/manual/pages.md").read_text()


@pytest.mark.parametrize(
    ("person", "headline"),
    [(0, "No rollout needed a person when last read"), (2, "2 rollouts needed a person when last read")],
)
def test_without_a_leader_the_headline_is_of_the_last_known_state(person: int, headline: str) -> None:
    head = replace(HEAD, has_leader=False, counts=FleetCounts(9, {Urgency.PERSON: person}))
    page = fleet.render(FleetPage(head))
    assert headline in ParsedPage(page).text
    assert 'class="headline unknown"' in page
    assert "No leading controller can be read" in page


def test_a_rollout_at_rest_has_neither_an_action_nor_shares_of_a_canary() -> None:
    card = replace(samples.PAUSED, urgency=Urgency.REST, current=samples.PAUSED.stable, next_action="Nothing.")
    text = ParsedPage(rollout.render(replace(samples.ROLLOUT, card=card))).text
    assert "Canary share by method" in parse("rollout").text
    assert "Canary share by method" not in text
    assert "Nothing." not in text
