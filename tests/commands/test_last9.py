"""`last9 diff`, `apply` and `remove` against a stand-in of Last9's API."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from exporter.cli.root import main
from exporter.commands.last9 import apply as commands
from exporter.commands.last9.apply import Last9Error
from exporter.commands.last9.dashboards import OWNER_TAG, planned_changes, shipped_requests
from exporter.config.settings import Settings
from exporter.metrics import Failure
from exporter.net.last9 import ApiAccount, Last9Client, token_claims
from tests.last9_api import DELETE_TOKEN, ORGANIZATION, WRITE_TOKEN, Last9Api, jwt, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from exporter.commands.last9.dashboards import Change

NAMES: Final = [request["dashboard"]["name"] for request in shipped_requests()]


@pytest_asyncio.fixture
async def api() -> AsyncIterator[Last9Api]:
    async with serve(Last9Api()) as server:
        yield server


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "RETRY_PAUSE", 0.01)


def settings(api: Last9Api, **section: object) -> Settings:
    defaults = {"address": api.address, "region": "ap-south-1", "refresh_token": WRITE_TOKEN}
    return Settings.parse({"last9": {**defaults, "delete_refresh_token": DELETE_TOKEN, **section}})


async def apply(api: Last9Api, **section: object) -> list[str]:
    done: list[Change] = []
    await commands.apply(settings(api, **section), done.append)
    return [f"{change.action} {change.name}" for change in done]


async def actions(api: Last9Api) -> list[str]:
    return [change.action for change in await commands.diff(settings(api))]


async def test_apply_creates_every_dashboard_and_a_second_one_changes_nothing(api: Last9Api) -> None:
    assert await actions(api) == ["create"] * 3
    assert api.dashboards == {}
    assert await apply(api) == [f"create {name}" for name in NAMES]
    assert [document["dashboard"]["name"] for document in api.dashboards.values()] == NAMES
    stored = deepcopy(api.dashboards)
    assert await actions(api) == ["unchanged"] * 3
    assert await apply(api) == []
    assert api.dashboards == stored


async def test_a_changed_dashboard_is_shown_with_its_places_and_set_back_with_its_panel_ids(api: Last9Api) -> None:
    await apply(api)
    (document, *_) = api.dashboards.values()
    panels = document["dashboard"]["panels"]
    ids, title = [panel["id"] for panel in panels], panels[1]["name"]
    panels[1]["queries"][0]["expr"] = "up"
    document["dashboard"]["name"] = "Renamed by somebody"
    lines = list(commands.change_lines(await commands.diff(settings(api))))
    assert lines[:3] == [
        f"~ update {NAMES[0]}",
        "    dashboard.name",
        f"    dashboard.panels[{title}].queries[A].expr",
    ]
    assert await apply(api) == [f"update {NAMES[0]}"]
    (restored, *_) = api.dashboards.values()
    assert [panel["id"] for panel in restored["dashboard"]["panels"]] == ids
    assert await actions(api) == ["unchanged"] * 3


async def test_what_a_reader_selects_is_no_difference_and_stays(api: Last9Api) -> None:
    await apply(api)
    (document, *_) = api.dashboards.values()
    document["dashboard"]["variables"][0]["current_values"] = ["prod"]
    assert await actions(api) == ["unchanged"] * 3
    document["dashboard"]["panels"].pop()
    await apply(api)
    (document, *_) = api.dashboards.values()
    assert document["dashboard"]["variables"][0]["current_values"] == ["prod"]


async def test_dashboards_of_others_are_not_touched(api: Last9Api) -> None:
    same_name, other = api.add(NAMES[0], "team-a"), api.add("Checkout")
    before = {key: deepcopy(api.dashboards[key]) for key in (same_name, other)}
    assert await actions(api) == ["conflict", "create", "create"]
    assert await apply(api) == [f"create {name}" for name in NAMES[1:]]
    removed = await commands.remove(settings(api), lambda _: None)
    assert [change.name for change in removed] == NAMES[1:]
    assert api.dashboards == before
    assert not any(request.endswith(other) for request in api.requests), "read without a need"


async def test_a_dashboard_of_another_version_is_listed_and_goes_with_remove(api: Last9Api) -> None:
    api.add("Argo Rollouts / Gates", OWNER_TAG, "argo-rollouts-gates")
    assert (await actions(api))[-1] == "obsolete"
    await apply(api)
    assert (await actions(api))[-1] == "obsolete"
    await commands.remove(settings(api), lambda _: None)
    assert api.dashboards == {}


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_api_is_asked_again_and_nothing_is_created_twice(api: Last9Api, status: int) -> None:
    for fault in range(1, 6):
        api.faults = [*([None] * fault), status]
        while not {*NAMES} <= {document["dashboard"]["name"] for document in api.dashboards.values()}:
            with suppress(Last9Error):
                await apply(api)
        assert [document["dashboard"]["name"] for document in api.dashboards.values()] == NAMES
        await commands.remove(settings(api), lambda _: None)


async def test_a_lost_answer_to_a_creation_creates_no_second_one(api: Last9Api) -> None:
    api.faults = [None, None, 0]
    with pytest.raises(Last9Error, match="cannot be reached"):
        await apply(api)
    assert len(api.dashboards) == 1
    assert await apply(api) == [f"create {name}" for name in NAMES[1:]]
    assert sorted(document["dashboard"]["name"] for document in api.dashboards.values()) == sorted(NAMES)


async def test_an_access_token_is_used_until_shortly_before_its_end_and_renewed_after_401(api: Last9Api) -> None:
    await apply(api)
    assert api.exchanges == 1
    api.lifetime = 0.0  # every token is expired when it comes
    with pytest.raises(Last9Error, match=r"401 Unauthorized: .*check last9.refresh_token_file and its scope"):
        await apply(api)
    api.lifetime = 86_400.0
    async with Last9Client(ApiAccount(lambda: WRITE_TOKEN, api.address)) as client:
        for exchanges in (4, 5):
            response = await client.send("GET", "/dashboards")
            assert not isinstance(response, Failure)
            assert (response.status, api.exchanges) == (200, exchanges)
            api.valid.clear()


async def test_an_access_token_that_ends_within_minutes_is_renewed_in_the_middle_of_its_life(api: Last9Api) -> None:
    api.lifetime = 10.0
    async with Last9Client(ApiAccount(lambda: WRITE_TOKEN, api.address)) as client:
        first, second = await client.access(), await client.access()
    assert first == second
    assert api.exchanges == 1


async def test_requests_at_the_same_time_share_one_exchange(api: Last9Api) -> None:
    async with Last9Client(ApiAccount(lambda: WRITE_TOKEN, api.address)) as client:
        await asyncio.gather(*(client.send("GET", "/dashboards") for _ in range(5)))
    assert api.exchanges == 1


async def test_a_refresh_token_that_changes_is_exchanged_at_once(api: Last9Api) -> None:
    tokens = [WRITE_TOKEN, DELETE_TOKEN]
    async with Last9Client(ApiAccount(lambda: tokens.pop(0), api.address)) as client:
        first, second = await client.access(), await client.access()
    assert first != second


async def test_organization_and_address_come_from_the_token(api: Last9Api, monkeypatch: pytest.MonkeyPatch) -> None:
    token = jwt(aud=[f"{api.address}/api"], organization_slug=ORGANIZATION)
    monkeypatch.setattr("tests.last9_api.WRITE_TOKEN", token)
    assert token_claims(token)["organization_slug"] == ORGANIZATION
    assert len(await apply(api, address=None, refresh_token=token)) == 3
    with pytest.raises(Last9Error, match=r"set last9\.address"):
        await apply(api, address=None)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"refresh_token": None}, "last9.refresh_token_file is not set"),
        ({"region": ""}, "last9.region is not set"),
        ({"refresh_token": "wrong"}, "401 Unauthorized: .* check last9.refresh_token and its scope"),
        ({"address": "http://127.0.0.1:1"}, "cannot be reached .*check last9.address"),
        ({"organization": "nobody"}, "404 Not Found.* check last9.address and last9.organization"),
    ],
)
async def test_an_error_names_the_setting_and_no_secret(api: Last9Api, section: dict[str, Any], message: str) -> None:
    with pytest.raises(Last9Error, match=message) as error:
        await apply(api, **section)
    assert str(section.get("refresh_token")) not in str(error.value).replace("last9.refresh_token", "")


async def test_remove_needs_its_own_token(api: Last9Api) -> None:
    await apply(api)
    with pytest.raises(Last9Error, match=r"last9\.delete_refresh_token_file is not set"):
        await commands.remove(settings(api, delete_refresh_token=None), lambda _: None)
    with pytest.raises(Last9Error, match=r"403 Forbidden.* check last9.delete_refresh_token_file and its scope"):
        await commands.remove(settings(api, delete_refresh_token=WRITE_TOKEN), lambda _: None)
    assert len(api.dashboards) == 3


async def test_the_commands_print_changes_and_exit_with_1_for_a_difference(api: Last9Api) -> None:
    result = await invoke(api, "diff")
    assert (result.exit_code, result.stdout.splitlines()) == (1, [f"+ create {name}" for name in NAMES])
    assert "alerts are not in it" in result.stderr
    result = await invoke(api, "apply")
    assert (result.exit_code, result.stdout.splitlines()) == (0, [f"+ create {name}" for name in NAMES])
    assert (await invoke(api, "diff")).exit_code == 0
    result = await invoke(api, "remove")
    assert result.stdout.splitlines() == [*(f"- remove {name}" for name in NAMES), "3 dashboards removed"]
    assert api.dashboards == {}
    api.add(NAMES[0])
    assert (await invoke(api, "apply")).exit_code == 1


async def invoke(api: Last9Api, command: str) -> Result:
    environment = {
        "LAST9_API_BASE_URL": api.address,
        "LAST9_REFRESH_TOKEN": WRITE_TOKEN,
        "LAST9_DELETE_REFRESH_TOKEN": DELETE_TOKEN,
        "LAST9_ORG": ORGANIZATION,
    }
    arguments = ["-s", "last9.region=ap-south-1", "last9", command]
    return await asyncio.to_thread(CliRunner(env=environment).invoke, main, arguments)


def test_lists_in_other_forms_and_missing_members_are_no_error() -> None:
    requests = shipped_requests()
    for document in (
        {},
        {"metadata": None},
        {"metadata": {"tags": None}},
        {"dashboard": None},
        {"metadata": {"tags": 5}},
    ):
        assert [change.action for change in planned_changes(requests, [document])] == ["create"] * 3
