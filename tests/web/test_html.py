from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from exporter.web import html
from exporter.web.html import DeliveryStatus, RolloutRow, StatusPage, TargetRow

HOSTILE = "<script>alert('x')</script>\"&$version"
EMPTY = StatusPage("1.2.3", "exporter-0", 12.0)


class ParsedPage(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += f"{data} "


def parse(status: StatusPage) -> ParsedPage:
    parsed = ParsedPage(html.page(status))
    assert parsed.open == []
    return parsed


def row_text(rollout: RolloutRow) -> str:
    words = parse(StatusPage("1", "i", 0, rollouts=(rollout,))).words
    return re.sub(r"\s+", " ", words.partition("unknown because")[2].partition("Targets")[0]).strip()


def test_scraped_text_is_escaped() -> None:
    status = StatusPage(
        version=HOSTILE,
        instance=HOSTILE,
        uptime=1,
        targets=(TargetRow(HOSTILE, HOSTILE, HOSTILE, HOSTILE, 1, HOSTILE),),
        rollouts=(RolloutRow(HOSTILE, HOSTILE, HOSTILE, HOSTILE, 0.5, HOSTILE, None, (HOSTILE,)),),
        delivery=DeliveryStatus(HOSTILE, HOSTILE, 1, 1, 1, HOSTILE),
        warnings=(HOSTILE,),
    )
    parsed = parse(status)
    assert "script" not in parsed.tags
    assert parsed.words.count(HOSTILE) == 17
    assert HOSTILE not in html.page(status)


def test_the_page_loads_nothing_but_its_style_sheet_and_has_no_inline_style_or_script() -> None:
    parsed = parse(EMPTY)
    links = [value for name, value in parsed.attributes if name in {"href", "src"}]
    assert links == ["style.css", "metrics", "api/rollouts", "healthz", "readyz"]
    assert not {"script", "style", "img", "iframe"} & set(parsed.tags)
    assert not [name for name, _ in parsed.attributes if name == "style" or name.startswith("on")]
    assert "url(" not in html.asset("style.css")


def test_the_page_before_the_first_cycle_names_what_is_missing() -> None:
    words = parse(EMPTY).words
    assert "No target has been scraped yet." in words
    assert "No rollout has been seen yet." in words
    assert "no endpoint is set" in words
    assert "1.2.3 · exporter-0 · up for 12 s" in words


def test_a_rollout_row_shows_fraction_method_and_unknown_reasons() -> None:
    complete = RolloutRow("shop", "cart", "Paused", "canary", 0.2, "ready_pods", updating=True)
    assert row_text(complete) == "shop/ cart canary Paused in progress 20.0% ready_pods"
    unknown = RolloutRow("shop", "cart", unknown=("stable revision", "no kube-state-metrics"))
    assert row_text(unknown) == "shop/ cart unknown unknown \N{EN DASH} stable revision, no kube-state-metrics"


def test_a_target_that_is_down_shows_the_error_and_its_age() -> None:
    target = TargetRow("argo", "10.0.0.1:8090", "down", "default", 75.0, "timed out; see argo.timeout")
    words = parse(StatusPage("1", "i", 0, targets=(target,))).words
    for word in ("10.0.0.1:8090", "down", "1 min ago", "timed out; see argo.timeout"):
        assert word in words


@pytest.mark.parametrize(("age", "text"), [(None, "none yet"), (3.0, "3 s ago")])
def test_the_delivery_section_shows_state_last_success_queue_and_drops(age: float | None, text: str) -> None:
    delivery = DeliveryStatus("holding", "https://otlp.example/v1/metrics", age, 12_345, 6, "401: see otlp.headers")
    words = parse(StatusPage("1", "i", 0, delivery=delivery)).words
    for word in ("holding", "otlp.example", text, "12,345 points", "6 points", "401: see otlp.headers"):
        assert word in words


def test_failed_rollouts_come_first_and_the_rest_is_counted() -> None:
    resting = [RolloutRow("shop", f"r{n:04}", "Completed", updating=False) for n in range(300)]
    urgent = (
        RolloutRow("z", "failed", "Error", updating=False),
        RolloutRow("z", "moving", "Progressing", updating=True),
        RolloutRow("z", "odd", "Completed", updating=False, unknown=("why",)),
    )
    page = html.page(StatusPage("1", "i", 0, rollouts=(*resting, *urgent)))
    names = re.findall(r"/</span>([^<]+)<", page)
    assert names[:4] == ["failed", "moving", "odd", "r0000"]
    assert len(names) == html.MAX_ROWS
    assert "And 103 more" in page
