"""The API does what its OpenAPI document promises, for any parameters, on the rollouts of a recorded cluster."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import jsonschema_rs
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from exporter.rollouts.explain.explain import explain
from exporter.service import views
from exporter.web.openapi import ROLLOUT_MEMBERS, STATUS_MEMBERS, document
from tests.pages.exporters import RecordedTime, replaying
from tests.test_public_formats import full_rollout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.recorded import Recordings

RECORDING = "analysis-1.10.2"
PATHS = document()["paths"]
schema = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def address(explained_recordings: Recordings) -> Iterator[str]:
    """Run an exporter in a thread, with a cluster whose updates were aborted; return the address of its pages."""
    ready: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(explained_recordings.frames(RECORDING, "full"), ready)))
    thread.start()
    url, loop, stop = ready.result(timeout=30)
    yield url
    loop.call_soon_threadsafe(stop.set)
    thread.join(timeout=30)


async def _serve(frames: Path, ready: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
    stop = asyncio.Event()
    try:
        async with replaying(frames, RecordedTime(15.0)) as url:
            while not (await asyncio.to_thread(requests.get, urljoin(url, "api/rollouts"), timeout=10)).json()["at"]:
                await asyncio.sleep(0.1)
            ready.set_result((url, asyncio.get_running_loop(), stop))
            await stop.wait()
    except BaseException as error:
        if not ready.done():
            ready.set_exception(error)
        raise


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=30,
    derandomize=True,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_any_request_is_answered_as_the_document_promises(case: schemathesis.Case[Any], address: str) -> None:
    case.call_and_validate(base_url=address.rstrip("/"), timeout=10)


def answer(address: str, path: str) -> Any:
    response = requests.get(urljoin(address, path.removeprefix("/")), timeout=10)
    assert response.status_code == 200, response.text
    return response.json()


def validate(path: str, body: object) -> None:
    """Raise an error unless a body is what the document has for a path."""
    responses = PATHS[path]["get"]["responses"]
    jsonschema_rs.validate(responses["200"]["content"]["application/json"]["schema"], body)


@pytest.mark.slow
def test_each_rollout_is_as_the_document_describes_it(address: str) -> None:
    page = answer(address, "/api/rollouts")
    validate("/api/rollouts", page)
    assert len(page["rollouts"]) == 5
    assert {frozenset(rollout) for rollout in page["rollouts"]} == {frozenset(ROLLOUT_MEMBERS)}
    for rollout in page["rollouts"]:
        body = answer(address, f"/api/rollouts/{rollout['namespace']}/{rollout['name']}")
        validate("/api/rollouts/{namespace}/{name}", body)
    multi = answer(address, "/api/rollouts/shop/multi")["rollout"]
    assert [step["state"] for step in multi["steps"]] == ["done", "done", "stopped", "ahead", "ahead"]
    assert multi["analyses"][-1]["phase"] == "Failed"
    assert (multi["urgency"], multi["pods_ready"]) == ("person", {"stable": 5})


@pytest.mark.slow
def test_filters_select_and_the_status_names_what_is_wrong(address: str) -> None:
    page = answer(address, "/api/rollouts?state=person&namespace=shop&fields=name,urgency")
    assert (page["total"], page["matching"], page["rollouts"]) == (5, 1, [{"name": "multi", "urgency": "person"}])
    status = answer(address, "/api/status")
    validate("/api/status", status)
    assert status.keys() == STATUS_MEMBERS.keys()
    assert (status["rollouts"], status["counts"]["person"], status["delivery"]) == (5, 3, None)
    assert {target["state"] for target in status["targets"]} >= {"leader", "up"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "query", ["state=x", "sort=x", "limit=0", "limit=1001", "limit=1_0", "offset=-1", "fields=x", f"q={'x' * 201}"]
)
def test_a_wrong_parameter_is_an_error_that_names_the_right_ones(address: str, query: str) -> None:
    response = requests.get(f"{address}api/rollouts?{query}", timeout=10)
    assert response.status_code == 400
    assert response.text.startswith(f"{query.partition('=')[0]} has to ")


def test_the_document_has_every_member_of_a_rollout_and_no_other() -> None:
    assert list(views.rollout_json(full_rollout(), 1300.25, 1310.0)) == list(ROLLOUT_MEMBERS)
    assert explain(full_rollout(), 1310.0).sentence
