"""`wait` ends with the documented exit code in each case, against a running exporter and directly on targets."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trustme
import yaml
from click.testing import CliRunner

from exporter.cli.root import main
from exporter.commands.api_client import ExporterAddress, ExporterUnreachableError
from exporter.commands.rollout_source import ExporterRollouts, RolloutSource, RolloutsPage, ScrapedRollouts
from exporter.commands.wait import (
    LOST_SECONDS,
    SETTLE_SECONDS,
    UpdateWatch,
    WaitCode,
    WaitGoal,
    WaitOutcome,
    outcome_json,
    wait,
)
from exporter.config import load
from exporter.demo.servers import serve_cluster, serve_recording
from exporter.demo.simulator.cluster import SimulatedCluster
from exporter.demo.simulator.objects import CanaryStrategy, Pause, RolloutSpec, SetWeight
from exporter.service import views
from exporter.web.server import DataSources, serve
from tests.process import start_exporter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from click.testing import Result

    from exporter.metrics import Source
    from exporter.rollouts.model import RolloutKey
    from tests.recorded import Recordings

PROMOTED, PAUSED, ENDED = WaitGoal
SPEED = 4.0
LONG = CanaryStrategy((SetWeight(50), Pause(400)))
ROLLOUTS: Mapping[str, CanaryStrategy] = {
    "settled": LONG,
    "promoted": LONG,
    "aborted": LONG,
    "back": LONG,
    "replaced": LONG,
    "deleted": LONG,
    "paused": LONG,
}
DEPLOYED = ("promoted", "aborted", "back", "replaced", "deleted", "paused")
WAITS: Mapping[tuple[str, WaitGoal, float], int] = {
    ("settled", PROMOTED, 30.0): 0,
    ("settled", ENDED, 30.0): 0,
    ("settled", PAUSED, 12.0): 4,
    ("promoted", PROMOTED, 30.0): 0,
    ("promoted", ENDED, 30.0): 0,
    ("aborted", PROMOTED, 30.0): 1,
    ("aborted", ENDED, 30.0): 0,
    ("back", PROMOTED, 30.0): 1,
    ("replaced", PROMOTED, 30.0): 1,
    ("deleted", ENDED, 30.0): 1,
    ("paused", PAUSED, 30.0): 0,
    ("paused", PROMOTED, 12.0): 4,
}
"""Exit codes by rollout, goal and timeout."""


def write_config(folder: Path, addresses: Mapping[Source, tuple[str, ...]]) -> Path:
    settings = {
        **{source.value: {"targets": list(targets), "interval": "1s"} for source, targets in addresses.items()},
        "web": {"listen": "127.0.0.1:0"},
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


@asynccontextmanager
async def running(config: Path) -> AsyncIterator[str]:
    """Run an exporter; yield its address."""
    async with start_exporter(config) as process:
        port = re.search(r"port (\d+)", await process.wait_for_log("started"))
        assert port
        url = f"http://127.0.0.1:{port[1]}"
        async with asyncio.timeout(20):
            while not await has_rollouts(url):
                await asyncio.sleep(0.1)
        yield url


async def has_rollouts(url: str) -> bool:
    try:
        page = await ExporterRollouts(ExporterAddress(url)).read_all()
    except ExporterUnreachableError:  # before the first cycle
        return False
    return page.has_leader and bool(page.rollouts)


def new_cluster() -> SimulatedCluster:
    """Return a cluster in which updates are under way, each at its pause."""
    cluster = SimulatedCluster(1, start=time.time() - 60, speed=SPEED)
    for name, strategy in ROLLOUTS.items():
        cluster.create(RolloutSpec("shop", name, f"{name}:v1", 2, strategy))
    cluster.advance(time.time() - 20)
    for name in DEPLOYED:
        cluster.deploy("shop", name, f"{name}:v2")
    cluster.advance(time.time())
    return cluster


def act(cluster: SimulatedCluster) -> None:
    """End the updates, each in its own way."""
    cluster.promote_full("shop", "promoted")
    cluster.abort("shop", "aborted")
    cluster.rollback("shop", "back")
    cluster.deploy("shop", "replaced", "replaced:v3")
    cluster.delete("shop", "deleted")


def source(config: Path, url: str, *, is_direct: bool) -> RolloutSource:
    """Return where a wait reads rollouts."""
    return ScrapedRollouts(load(config, {}).settings) if is_direct else ExporterRollouts(ExporterAddress(url))


async def waited(source: RolloutSource, name: str, goal: WaitGoal, seconds: float, states: list[str]) -> WaitOutcome:
    """Wait, and close the source."""
    try:
        return await wait(source, name, goal, seconds, states.append)
    finally:
        await source.close()


@pytest.mark.slow
@pytest.mark.parametrize("is_direct", [False, True])
async def test_each_way_in_which_an_update_ends_has_its_exit_code(tmp_path: Path, *, is_direct: bool) -> None:
    cluster = new_cluster()
    async with serve_cluster(cluster, lambda: cluster.advance(time.time())) as addresses:
        config = write_config(tmp_path, addresses)
        async with running(config) as url:
            states = list[str]()
            waiting = asyncio.gather(
                *(
                    waited(source(config, url, is_direct=is_direct), f"shop/{name}", goal, seconds, states)
                    for name, goal, seconds in WAITS
                )
            )
            # Two scrapes more than a wait needs, on a machine with little to spare.
            await asyncio.sleep(SETTLE_SECONDS + 5)
            act(cluster)
            outcomes = await waiting
    codes = {key: outcome.code for key, outcome in zip(WAITS, outcomes, strict=True)}
    assert codes == WAITS, outcomes
    assert any(state.startswith("shop/promoted: Paused") for state in states)


@pytest.mark.slow
async def test_a_wait_for_a_person_ends_with_its_own_code(tmp_path: Path, explained_recordings: Recordings) -> None:
    recording = explained_recordings.frames("inconclusive-1.10.2", "full")
    async with serve_recording(recording, lambda: 8.0) as (targets, _):
        by_source: dict[Source, tuple[str, ...]] = {}
        for target in targets:
            by_source[target.source] = (*by_source.get(target.source, ()), target.address)
        settings = load(write_config(tmp_path, by_source), {}).settings
        outcomes = await asyncio.gather(
            *(waited(ScrapedRollouts(settings), "unsure", goal, 10.0, []) for goal in (PROMOTED, PAUSED, ENDED))
        )
    assert [outcome.code for outcome in outcomes] == [3, 0, 3]
    assert "shop/unsure: waits for a person: Paused for" in outcomes[0].text
    assert "since analysis unsure-5956954bdb-2-1 was inconclusive" in outcomes[0].text


def rollout_objects(recordings: Recordings, name: str, key: RolloutKey) -> Iterator[tuple[float, RolloutsPage]]:
    """Yield a rollout at each frame of a recording, with the seconds since the first one."""
    first = recordings.ticks(name, "full")[0].timestamp
    for tick, _, tracker in recordings.play(name, "full"):
        rollout = views.rollout_details_json(tracker.status, key, tick.timestamp)
        rollouts = [rollout] if rollout is not None else []
        yield tick.timestamp - first, RolloutsPage(tick.timestamp, has_leader=True, rollouts=rollouts)


def end(recordings: Recordings, name: str, rollout: str, goal: WaitGoal, start: float) -> tuple[float, int]:
    """Return when (seconds of the recording) and how a wait ends that begins at a time of a recording."""
    watch = None
    namespace, _, own_name = rollout.rpartition("/")
    for seconds, page in rollout_objects(recordings, name, (namespace or "shop", own_name)):
        if watch is None and seconds >= start:
            watch = UpdateWatch(page.rollouts[0], page.scraped_at, goal)
        elif watch is not None:
            outcome, is_final = watch.judge(page, seconds - start)
            if outcome is not None and is_final:
                return round(seconds), outcome.code
    return round(seconds), WaitCode.TIMEOUT


@pytest.mark.parametrize(
    ("name", "rollout", "goal", "start", "ends"),
    [
        # Deployed at 2 s: the wait begins before any source shows it.
        ("inconclusive-1.10.2", "unsure", PROMOTED, 0, (5, 3)),
        ("inconclusive-1.10.2", "behind", PAUSED, 0, (5, 0)),
        ("inconclusive-1.10.2", "behind", PROMOTED, 21, (32, 0)),
        ("inconclusive-1.10.2", "doubt", PROMOTED, 28, (46, 0)),  # a retry after an abort
        ("person-1.10.2", "hand", ENDED, 8, (12, 0)),
        ("superseded-1.9.3", "analysed", PROMOTED, 2, (9, 1)),
        ("superseded-1.9.3", "analysed", ENDED, 2, (9, 0)),
        ("bluegreen-1.10.2", "post", PROMOTED, 2, (7, 1)),  # not when the Service is switched: the analysis after it
        ("invalid-1.10.2", "pay/no-template", PROMOTED, 0, (3, 3)),
        ("invalid-1.10.2", "both", PROMOTED, 17, (24, 0)),  # not while the corrected spec is not taken up
    ],
)
def test_a_wait_of_a_recording_ends_when_and_how_it_should(
    explained_recordings: Recordings, name: str, rollout: str, goal: WaitGoal, start: float, ends: tuple[float, int]
) -> None:
    assert end(explained_recordings, name, rollout, goal, start) == ends


def test_what_was_scraped_before_a_deployment_took_effect_ends_no_wait(explained_recordings: Recordings) -> None:
    pages = [page for _, page in rollout_objects(explained_recordings, "inconclusive-1.10.2", ("shop", "behind"))]
    settled, updating = pages[0], next(page for page in pages if page.rollouts[0]["standing"] == "updating")
    watch = UpdateWatch(settled.rollouts[0], settled.scraped_at, PROMOTED)
    early = watch.judge(replace(settled, scraped_at=settled.scraped_at + 1.0), 1.0)
    old = watch.judge(settled, SETTLE_SECONDS + 1.0)
    assert [(outcome.code, is_final) for outcome, is_final in (early, old) if outcome] == [(0, False), (0, False)]
    assert watch.judge(updating, SETTLE_SECONDS + 2.0) == (None, True)


def test_an_exporter_or_controller_may_be_away_for_two_minutes(explained_recordings: Recordings) -> None:
    pages = [page for _, page in rollout_objects(explained_recordings, "inconclusive-1.10.2", ("shop", "behind"))][10:]
    watch = UpdateWatch(pages[0].rollouts[0], pages[0].scraped_at, PROMOTED)
    assert watch.judge(pages[1], 5.0) == (None, True)
    for away in (ExporterUnreachableError("refused"), replace(pages[1], has_leader=False)):
        outcomes = [watch.judge(away, seconds) for seconds in (6.0, 5.0 + LOST_SECONDS, 6.0 + LOST_SECONDS)]
        assert [(outcome.code, is_final) for outcome, is_final in outcomes if outcome] == [
            (5, False),
            (5, False),
            (5, True),
        ]
    assert watch.judge(pages[2], 60.0) == (None, True)


async def invoke(arguments: list[str]) -> Result:
    """Run a command in a thread, while this one serves what it reads."""
    return await asyncio.to_thread(CliRunner().invoke, main, arguments)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["wait", *arguments])


def test_usage_and_unreachable_exporters_have_their_codes() -> None:
    assert run().exit_code == 2
    assert run("shop/a", "--for", "lunch").exit_code == 2
    refused = run("shop/a", "--address", "http://127.0.0.1:9")
    assert (refused.exit_code, refused.stdout) == (5, "")
    assert "check --address" in refused.stderr


async def test_targets_without_a_controller_are_not_reached_and_a_wrong_name_is_no_rollout(tmp_path: Path) -> None:
    cluster = new_cluster()
    async with serve_cluster(cluster, lambda: cluster.advance(time.time())) as addresses:
        config = write_config(tmp_path, addresses)
        wrong = await invoke(["-c", str(config), "wait", "shop/promotd", "--direct"])
        for controller in cluster.controllers.by_name:
            cluster.kill_controller(controller)
        away = await invoke(["-c", str(config), "wait", "shop/promoted", "--direct", "--timeout", "2s"])
    assert (wrong.exit_code, away.exit_code) == (2, 5)
    assert "did you mean shop/promoted" in wrong.stderr
    assert "no leading controller" in away.stderr


async def test_a_wait_reads_pages_behind_tls_and_a_password_without_showing_it(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    files = {name: str(tmp_path / name) for name in ("ca.pem", "cert.pem", "key.pem", "password")}
    authority.cert_pem.write_to_path(files["ca.pem"])
    certificate.cert_chain_pems[0].write_to_path(files["cert.pem"])
    certificate.private_key_pem.write_to_path(files["key.pem"])
    (tmp_path / "password").write_text("very-secret-4711\n")
    web = {
        "web.basic_auth.username": "ops",
        "web.basic_auth.password_file": files["password"],
        "web.tls.cert_file": files["cert.pem"],
        "web.tls.key_file": files["key.pem"],
        "web.listen": "127.0.0.1:0",
    }
    page = {"at": 1.0, "has_leader": True, "rollouts": []}
    sources = DataSources(tuple, lambda: page, list, list)
    async with serve(load(None, {}, {**web, "argo.targets": ["h:1"]}).settings.web, sources) as port:
        address = ["list", "--address", f"https://127.0.0.1:{port}"]
        credential = ["--username", "ops", "--password-file", files["password"]]
        listed = await invoke([*address, *credential, "--ca-file", files["ca.pem"]])
        untrusted = await invoke([*address, *credential])
        unknown = await invoke([*address, "--ca-file", files["ca.pem"]])
    assert listed.exit_code == 0, listed.output
    assert (untrusted.exit_code, unknown.exit_code) == (1, 1)
    assert "--ca-file" in untrusted.stderr
    assert "--password-file" in unknown.stderr
    assert "4711" not in listed.output + untrusted.output + unknown.output


def test_json_has_the_outcome_of_each_code() -> None:
    refused = run("shop/a", "--json", "--address", "http://127.0.0.1:9")
    document = json.loads(refused.stdout)
    assert (refused.exit_code, document["exit_code"], document["outcome"]) == (5, 5, "unreachable")
    assert (document["rollout"], document["goal"]) == ("shop/a", "promoted")
    assert "check --address" in document["text"]
    outcomes = [outcome_json(WaitOutcome(code, ""), "shop/a", "ended")["outcome"] for code in WaitCode]
    assert outcomes == ["reached", "not_promoted", "no_rollout", "needs_person", "timeout", "unreachable"]


async def test_json_of_a_wrong_name_has_the_suggestion() -> None:
    page = {"at": 1.0, "has_leader": True, "rollouts": [{"namespace": "shop", "name": "cart"}]}
    web = load(None, {}, {"argo.targets": ["h:1"], "web.listen": "127.0.0.1:0"}).settings.web
    async with serve(web, DataSources(tuple, lambda: page, list, list)) as port:
        wrong = await invoke(["wait", "shop/crt", "--json", "--address", f"http://127.0.0.1:{port}"])
    document = json.loads(wrong.stdout)
    assert (wrong.exit_code, document["outcome"]) == (2, "no_rollout")
    assert "did you mean shop/cart" in document["text"]
