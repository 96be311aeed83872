"""/api/events: what is held as JSON, and a stream that misses nothing and ends with the server."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from exporter.otlp.delivery.accounting import DeliveryAccounting
from exporter.rollouts.events.document import transition_json
from exporter.rollouts.events.model import ReportedTransition, TransitionType
from exporter.service.transition_feed import TransitionFeed, transition_records
from exporter.storage import CycleCommit, Storage, StorageConfig
from exporter.web.events import MAX_STREAMS, EventsUnavailableError
from tests.web.test_server import QUIET, client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import aiohttp

    from exporter.web.events import EventFilter

STREAM = {"Accept": "text/event-stream"}


class Exporter:
    """The part of an exporter between the tracker and the pages: storage and the feed."""

    def __init__(self, directory: Path | None = None) -> None:
        self.storage = Storage(StorageConfig(directory), DeliveryAccounting())
        self.feed = TransitionFeed(self.storage.history)
        self.now = self.storage.history.held_since
        self._count = 0

    async def commit(self, *types: TransitionType, name: str = "a") -> list[dict[str, Any]]:
        """Commit transitions, as a cycle does; return their objects."""
        transitions = []
        for kind in types:
            self._count += 1
            transitions.append(
                ReportedTransition(self.now + self._count, ("shop", name), kind, f"number {self._count}")
            )
        self.feed.add(transition_records(transitions))
        await self.storage.commit(CycleCommit(transitions=self.feed.waiting))
        await self.feed.committed()
        return [transition_json(transition) for transition in transitions]


@asynccontextmanager
async def running(directory: Path | None = None) -> AsyncIterator[tuple[Exporter, aiohttp.ClientSession]]:
    exporter = Exporter(directory)
    exporter.storage.start()
    try:
        async with client(replace(QUIET, events=exporter.feed)) as session:
            yield exporter, session
    finally:
        await asyncio.to_thread(exporter.storage.close, 5.0)


async def get(session: aiohttp.ClientSession, query: str = "") -> dict[str, Any]:
    async with session.get(f"/api/events{query}") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        document: dict[str, Any] = json.loads(await answer.read())
        return document


async def next_event(response: aiohttp.ClientResponse) -> tuple[int, dict[str, Any]]:
    """Return number and object of the next event of a stream."""
    number = 0
    async with asyncio.timeout(5):
        while True:
            name, _, value = (await response.content.readline()).decode().rstrip().partition(": ")
            if name == "id":
                number = int(value)
            elif name == "data":
                return number, json.loads(value)


async def test_thousands_of_transitions_are_logged_without_holding_the_event_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    exporter, turns = Exporter(), 0
    exporter.feed.add(
        transition_records(
            ReportedTransition(exporter.now, ("shop", str(i)), TransitionType.PAUSED, "started") for i in range(1000)
        )
    )

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counter = asyncio.create_task(count_turns())
    await exporter.feed.committed()
    counter.cancel()
    assert turns >= 9
    assert sum(record.message == "transition" for record in caplog.records) == 1000


@pytest.mark.parametrize("has_directory", [True, False])
async def test_held_transitions_are_the_same_objects_as_everywhere(tmp_path: Path, has_directory: bool) -> None:  # noqa: FBT001 - a table's column
    async with running(tmp_path if has_directory else None) as (exporter, session):
        assert await get(session) == {"history_since": exporter.feed.held_since, "last": 0, "events": []}
        objects = await exporter.commit(TransitionType.UPDATE_STARTED, TransitionType.PROMOTED)
        document = await get(session)
        assert document["events"] == objects
        assert document["last"] == 2


async def test_filters_combine_and_the_limit_leaves_the_newest() -> None:
    async with running() as (exporter, session):
        await exporter.commit(TransitionType.UPDATE_STARTED, TransitionType.PAUSED, TransitionType.PROMOTED)
        await exporter.commit(TransitionType.UPDATE_STARTED, name="b")
        sentences = {
            query: [event["sentence"] for event in (await get(session, query))["events"]]
            for query in (
                "?namespace=shop&name=a",
                "?type=update_started&type=promoted",
                "?after=1&name=a",
                f"?since={exporter.now + 3}",
                "?limit=2",
                "?namespace=other",
            )
        }
    assert list(sentences.values()) == [
        ["number 1", "number 2", "number 3"],
        ["number 1", "number 3", "number 4"],
        ["number 2", "number 3"],
        ["number 3", "number 4"],
        ["number 3", "number 4"],
        [],
    ]


@pytest.mark.parametrize("query", ["?after=x", "?since=yesterday", "?limit=many", "?since=nan"])
async def test_a_query_that_is_no_number_is_refused_with_a_reason(query: str) -> None:
    async with running() as (_, session), session.get(f"/api/events{query}") as answer:
        assert answer.status == 400
        assert "numbers" in await answer.text()


@pytest.mark.parametrize("number", ["-1", "99999999999999999999999999"])
async def test_a_number_beyond_64_bits_is_no_error(tmp_path: Path, number: str) -> None:
    async with running(tmp_path) as (exporter, session):
        await exporter.commit(TransitionType.PAUSED)
        assert len((await get(session, f"?after={number}"))["events"]) == (number == "-1")


async def test_a_stream_has_what_is_held_and_then_each_transition_once() -> None:
    async with running() as (exporter, session):
        (held,) = await exporter.commit(TransitionType.UPDATE_STARTED)
        async with session.get("/api/events", headers=STREAM) as response:
            assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            assert await next_event(response) == (1, held)
            for number in range(2, 6, 2):
                first, second = await exporter.commit(TransitionType.PAUSED, TransitionType.RESUMED)
                assert await next_event(response) == (number, first)
                assert await next_event(response) == (number + 1, second)


@pytest.mark.parametrize("place", ["header", "query"])
async def test_a_client_that_connects_again_continues_where_it_was(place: str) -> None:
    async with running() as (exporter, session):
        objects = await exporter.commit(TransitionType.UPDATE_STARTED, TransitionType.PAUSED, TransitionType.RESUMED)
        headers = {**STREAM, "Last-Event-ID": "1"} if place == "header" else STREAM
        async with session.get("/api/events" + ("?after=1" if place == "query" else ""), headers=headers) as response:
            assert await next_event(response) == (2, objects[1])
            assert await next_event(response) == (3, objects[2])


async def test_open_streams_are_bounded_and_leave_the_other_pages_alone() -> None:
    async with running() as (_, session), AsyncExitStack() as stack:
        for _ in range(MAX_STREAMS):
            response = await stack.enter_async_context(session.get("/api/events", headers=STREAM))
            assert response.status == 200
        refused = await stack.enter_async_context(session.get("/api/events", headers=STREAM))
        assert (refused.status, refused.headers["Retry-After"]) == (503, "60")
        assert (await get(session))["events"] == []
        async with session.get("/healthz") as answer:
            assert answer.status == 200


async def test_a_shutdown_ends_streams_at_once() -> None:
    async with running() as (_, session):
        response = await session.get("/api/events", headers=STREAM)
        started = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - started < 1.5, "the shutdown waited for the reader of a stream"
    response.close()


async def test_a_disk_that_does_not_answer_is_a_503_with_the_setting() -> None:
    class Unreadable(TransitionFeed):
        async def read(self, filters: EventFilter) -> Any:  # noqa: ARG002 - nothing can be read
            raise EventsUnavailableError("the disk of storage.directory does not answer: check its volume")

    storage = Storage(StorageConfig(), DeliveryAccounting())
    for headers in ({}, STREAM):
        async with (
            client(replace(QUIET, events=Unreadable(storage.history))) as session,
            session.get("/api/events", headers=headers) as answer,
        ):
            assert answer.status == 503
            assert "storage.directory" in await answer.text()
