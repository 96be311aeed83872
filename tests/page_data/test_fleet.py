"""Which rollouts the fleet page and /api/rollouts show, in which order, and at which cost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from exporter.rollouts.explain.explain import explain
from exporter.service.api import ApiSources
from exporter.service.pages import fleet as fleet_module
from exporter.service.pages.fleet import Fleet, FleetIndex, fleet_entry, matching_entries
from exporter.service.pages.timeline import parsed_transitions
from exporter.service.pages.urgency import urgencies
from exporter.web.api_routes import RolloutsQuery
from exporter.web.model import FleetQuery, SortKey, Urgency
from tests.page_data.played_pages import PlayedPages, play
from tests.page_data.test_timeline import played

if TYPE_CHECKING:
    from exporter.rollouts.model import Rollout
    from exporter.rollouts.tracker import TrackerStatus
    from tests.recorded import Recordings

LARGE = 5_000


def large_fleet(exporter: PlayedPages) -> TrackerStatus:
    """Return a status with copies of a recording's rollouts under other names."""
    status = exporter.tracker.status
    rollouts = [
        replace(status.rollouts[number % len(status.rollouts)], key=(f"team-{number % 50}", f"app-{number}"))
        for number in range(LARGE)
    ]
    return replace(status, rollouts=tuple(rollouts))


async def test_a_rollout_that_an_analysis_aborted_needs_a_person_and_has_failed(
    explained_recordings: Recordings,
) -> None:
    exporter = await played(explained_recordings, until=15.0)
    page = await exporter.pages.fleet(FleetQuery())
    assert [(card.name, card.urgency.value) for card in page.cards] == [
        ("blind", "person"),
        ("routed", "person"),
        ("multi", "person"),
        ("cart", "rest"),
        ("web", "rest"),
    ]
    assert page.head.counts.by_urgency == {Urgency.PERSON: 3, Urgency.FAILED: 3, Urgency.REST: 2}
    failed = await exporter.pages.fleet(FleetQuery(urgency=Urgency.FAILED))
    assert ([card.name for card in failed.cards], failed.matching) == (["blind", "routed", "multi"], 3)


async def test_a_card_has_the_last_result_and_its_age(explained_recordings: Recordings) -> None:
    exporter = await played(explained_recordings, until=15.0)
    cards = (await exporter.pages.fleet(FleetQuery())).cards
    assert {card.name: card.last_result for card in cards} == {
        "blind": "aborted", "routed": "aborted", "multi": "aborted", "cart": "", "web": ""
    }  # fmt: skip # a table
    ended_at = {}
    for card in cards:
        for change in parsed_transitions(await exporter.pages.transitions(card.namespace, card.name)):
            if change["type"] == "aborted":
                ended_at[card.name] = change["at"]
    ages = {card.name: card.last_result_age for card in cards}
    assert ages == {
        **{name: exporter.now - timestamp for name, timestamp in ended_at.items()},
        "cart": None,
        "web": None,
    }


async def test_an_update_that_waits_for_a_person_is_first_and_is_still_an_update(
    explained_recordings: Recordings,
) -> None:
    exporter = await played(explained_recordings, until=38.0)
    page = await exporter.pages.fleet(FleetQuery(urgency=Urgency.UPDATING))
    assert page.cards[0].name == "multi"
    assert page.cards[0].urgency is Urgency.PERSON
    assert (page.cards[0].stable, page.cards[0].current) == ("app:v1", "app:v2")
    assert page.cards[0].share.set == pytest.approx(0.6)
    assert page.cards[0].share.true == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (FleetQuery(namespace="pay"), ["blind", "routed"]),
        (FleetQuery(text="OP/mul"), ["multi"]),
        (FleetQuery(text="nothing"), []),
        (FleetQuery(urgency=Urgency.REST, sort=SortKey.NAME), ["cart", "web"]),
        (FleetQuery(urgency=Urgency.FAILED, sort=SortKey.PHASE_TIME), ["routed", "multi", "blind"]),
    ],
    ids=["namespace", "text", "nothing", "group", "time in the phase"],
)
async def test_filters_and_orders_select(explained_recordings: Recordings, query: FleetQuery, names: list[str]) -> None:
    exporter = await played(explained_recordings, until=15.0)
    page = await exporter.pages.fleet(query)
    assert ([card.name for card in page.cards], page.matching) == (names, len(names))


async def test_while_targets_are_down_the_last_state_stays_with_its_age(explained_recordings: Recordings) -> None:
    ticks = explained_recordings.ticks("analysis-1.10.2", "full")
    exporter = await play(ticks[:10])
    before = {card.name: card.sentence for card in (await exporter.pages.fleet(FleetQuery())).cards}
    await exporter.process(exporter.now + 60.0, ())
    cards = (await exporter.pages.fleet(FleetQuery())).cards
    assert {card.name for card in cards} == before.keys()
    assert {round(card.absent_seconds or 0.0) for card in cards} == {60}


async def test_of_a_large_fleet_only_the_rollouts_of_the_page_are_explained(
    explained_recordings: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = await played(explained_recordings, until=38.0)
    status, index, explained = large_fleet(exporter), FleetIndex(), []

    def counted(rollout: Rollout, now: float) -> object:
        explained.append(rollout.key)
        return explain(rollout, now)

    monkeypatch.setattr(fleet_module, "explain", counted)
    fleet = await index.read(status)
    assert len(explained) == LARGE, "the first look judges all"
    explained.clear()
    changed = replace(status, rollouts=(replace(status.rollouts[0]), *status.rollouts[1:]))
    fleet = await index.read(changed)
    assert explained == [status.rollouts[0].key], "then, only those that changed"
    explained.clear()
    entries = matching_entries(fleet, FleetQuery())
    fleet_module.cards(fleet_module.page_of(entries, 3), status.last_seen, exporter.now)
    assert len(explained) == 100


async def test_judging_a_large_fleet_lets_other_tasks_run_in_between(explained_recordings: Recordings) -> None:
    exporter = await played(explained_recordings, until=38.0)
    turns = 0

    async def other_task() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(other_task())
    await FleetIndex().read(large_fleet(exporter))
    other.cancel()
    assert turns > 5


def test_no_group_depends_on_the_time_so_that_it_holds_until_the_rollout_changes(
    explained_recordings: Recordings,
) -> None:
    for name in ("analysis-1.10.2", "person-1.10.2", "inconclusive-1.10.2", "deadline-1.10.2"):
        for tick, _, tracker in explained_recordings.play(name, "full"):
            for rollout in tracker.status.rollouts:
                later = urgencies(rollout, explain(rollout, tick.timestamp + 86_400.0))
                assert fleet_entry(rollout).urgencies == later


async def test_the_api_pages_through_all_rollouts_with_the_members_that_are_asked_for(
    explained_recordings: Recordings,
) -> None:
    exporter = await played(explained_recordings, until=15.0)
    api = ApiSources(exporter.parts, exporter.pages)
    names: list[object] = []
    for offset in (0, 2, 4, 6):
        page = await api.matching_rollouts(RolloutsQuery(offset=offset, limit=2, fields=("name", "urgency")))
        rollouts = page["rollouts"]
        assert isinstance(rollouts, list)
        assert (page["total"], page["matching"]) == (5, 5)
        assert all(rollout.keys() == {"name", "urgency"} for rollout in rollouts)
        names += [rollout["name"] for rollout in rollouts]
    assert names == ["blind", "routed", "multi", "cart", "web"]


def test_an_empty_fleet_has_no_entries() -> None:
    assert matching_entries(Fleet(), FleetQuery()) == []


async def test_a_page_beyond_the_last_is_the_last(explained_recordings: Recordings) -> None:
    exporter = await played(explained_recordings, until=38.0)
    page = await exporter.pages.fleet(FleetQuery(page=50))
    assert page.query.page == 1
    assert page.cards
