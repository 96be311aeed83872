"""The timeline of a rollout, from the transitions of a recorded cluster."""

from __future__ import annotations

import itertools
import json
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from exporter.service.pages.timeline import MAX_MARKS, parsed_transitions
from exporter.web.model import RolloutTransitions, TimelineQuery
from exporter.web.pages.query import timeline_query
from exporter.web.pages.rollout import render
from exporter.web.pages.timeline import draw
from tests.page_data.played_pages import play

if TYPE_CHECKING:
    from exporter.web.model import RolloutPage, SharePoint
    from tests.page_data.played_pages import PlayedPages
    from tests.recorded import Recordings

RECORDING = "analysis-1.10.2"
"""shop/multi: an update that an analysis aborts after 7 s, its retry, a pause for a person, and its end."""


async def played(recordings: Recordings, until: float = float("inf")) -> PlayedPages:
    ticks = recordings.ticks(RECORDING, "full")
    return await play(tick for tick in ticks if tick.timestamp - ticks[0].timestamp <= until)


async def page_of(exporter: PlayedPages, query: TimelineQuery = TimelineQuery()) -> RolloutPage:  # noqa: B008 - it is frozen
    held = await exporter.pages.transitions("shop", "multi")
    return await exporter.pages.rollout_page("shop", "multi", query, held)


def by_second(points: tuple[SharePoint, ...], start: float) -> dict[int, float | None]:
    """Return the last share of each second."""
    return {round(point.timestamp - start): point.share for point in points}


async def test_bands_follow_pauses_abort_retry_and_end_without_gaps(explained_recordings: Recordings) -> None:
    exporter = await played(explained_recordings)
    timeline = (await page_of(exporter)).timeline
    assert timeline is not None
    spans = [(round(band.start - exporter.started), band.word) for band in timeline.bands]
    assert spans == [
        (0, "unknown"),
        (3, "updating"),
        (4, "paused"),
        (8, "updating"),
        (10, "aborted"),
        (23, "updating"),
        (25, "paused"),
        (28, "updating"),
        (37, "paused"),
        (40, "updating"),
        (43, "settled"),
    ]
    edges = [(band.start, band.end) for band in timeline.bands]
    assert [end for _, end in edges[:-1]] == [start for start, _ in edges[1:]]
    assert (edges[0][0], edges[-1][1]) == (exporter.started, exporter.now)


async def test_shares_are_those_of_the_transitions_and_weights_those_of_the_last_attempt(
    explained_recordings: Recordings,
) -> None:
    exporter = await played(explained_recordings)
    timeline = (await page_of(exporter)).timeline
    assert timeline is not None
    shares = by_second(timeline.shares, exporter.started)
    assert (shares[4], shares[10], shares[25], shares[37], shares[40], shares[43]) == (0.2, 0.0, 0.2, 0.6, 0.75, 0.0)
    weights = by_second(timeline.weights, exporter.started)
    assert weights == {23: 0.2, 25: 0.2, 28: 0.2, 34: 0.6, 37: 0.6, 40: 1.0, 43: None}


async def test_an_earlier_span_shows_what_was_then_and_nothing_of_now(explained_recordings: Recordings) -> None:
    exporter = await played(explained_recordings)
    until = exporter.started + 12.0
    timeline = (await page_of(exporter, TimelineQuery(hours=3.5 / 3600.0, until=until))).timeline
    assert timeline is not None
    assert [(round(band.start - exporter.started), band.word) for band in timeline.bands] == [
        (8, "updating"),
        (10, "aborted"),
    ]
    assert [mark.type for mark in timeline.marks][-2:] == ["analysis_ended", "aborted"]
    assert timeline.bands[-1].end == until
    assert by_second(timeline.shares, exporter.started) == {8: 0.2, 9: 0.2, 10: 0.0}


async def test_each_step_has_its_state_and_the_time_that_it_took(explained_recordings: Recordings) -> None:
    exporter = await played(explained_recordings, until=38.0)  # the retry waits for a person
    exporter.now += 2.0
    steps = (await page_of(exporter)).steps
    assert [(step.text, step.state) for step in steps] == [
        ("setWeight 20", "done"),
        ("pause 4 s", "done"),
        ("analysis", "done"),
        ("setWeight 60", "done"),
        ("pause, for a person", "current"),
    ]
    assert [round(step.seconds or 0.0) for step in steps] == [2, 3, 6, 3, 2]


async def test_an_aborted_update_has_stopped_at_its_step(explained_recordings: Recordings) -> None:
    exporter = await played(explained_recordings, until=12.0)
    page = await page_of(exporter)
    assert [step.state for step in page.steps] == ["done", "done", "stopped", "ahead", "ahead"]
    assert page.analyses[0].phase == "Failed"
    assert page.analyses[0].metrics[0].counts == "2 failed"
    assert any(line.command.endswith("retry rollout multi -n shop") for line in page.commands)


async def test_a_rollout_that_does_not_exist_names_similar_ones(explained_recordings: Recordings) -> None:
    exporter = await played(explained_recordings, until=3.0)
    page = await exporter.pages.rollout_page("shop", "mutli", TimelineQuery(), RolloutTransitions())
    assert (page.card, page.similar[0]) == (None, "shop/multi")


async def test_a_page_shows_the_newest_transitions_and_links_lead_to_all_that_are_held(
    explained_recordings: Recordings,
) -> None:
    exporter = await played(explained_recordings)
    recorded = parsed_transitions(await exporter.pages.transitions("shop", "multi"))
    count, end = 5_000, exporter.now
    # Every fourth second one: the same few over and over.
    times = [end - 4.0 * (count - number) for number in range(count)]
    held = RolloutTransitions(
        tuple(
            (time, json.dumps({**change, "at": time}).encode())
            for time, change in zip(times, itertools.cycle(recorded), strict=False)
        )
    )
    query, listed = TimelineQuery(6.0), set[float]()
    while True:
        page = await exporter.pages.rollout_page("shop", "multi", query, held)
        assert page.timeline
        assert len(page.timeline.marks) <= MAX_MARKS
        assert len(page.timeline.bands) + len(page.timeline.shares) <= 3 * MAX_MARKS
        listed |= {mark.timestamp for mark in page.timeline.marks}
        href = draw(page.timeline, exporter.now).links.get("older")
        if href is None:
            break
        assert f'href="{escape(href)}">Older ones' in render(page)
        query = timeline_query(dict(parse_qsl(href.removeprefix("?"))))
    assert listed == set(times)
    assert [step.state for step in page.steps] == ["done"] * 5, "the steps are those of now"
