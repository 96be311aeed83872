"""Messages arrive, with the same bytes after kills, lost answers and refusals; no destination delays another."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from exporter.config.settings import Settings
from exporter.demo.servers import serve_recording
from exporter.log import REDACTOR
from exporter.notify.destinations import webhook
from exporter.notify.notifier import BACKOFF, Notifier, destinations_of, messages_of
from exporter.notify.sender import MessageSender
from exporter.otlp.delivery.loop import BackoffPolicy, SenderClock
from exporter.otlp.result import Blocked
from exporter.otlp.transport.grpc import METHODS
from exporter.rollouts.events.model import ReportedTransition, TransitionType
from exporter.self_metrics import SelfMetrics
from exporter.storage import CycleCommit, OutboxMessage
from tests.last9_api import WRITE_TOKEN, Last9Api, serve
from tests.notify.golden import event_bodies
from tests.notify.lives import check_recording
from tests.otlp.grpc_backend import GrpcBackend, fail
from tests.process import start_exporter
from tests.storage.support import Process, SetClock, running, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.recorded import Recordings

SPEED = 8.0
"""Of the recording, whose frames are then as far apart as the scrapes."""
FAST = BackoffPolicy(0.01, 0.02, 0.01, 0.02)


def started(name: str, timestamp: float = 1_800_000_000.0) -> ReportedTransition:
    key = ("shop", name)
    return ReportedTransition(timestamp, key, TransitionType.UPDATE_STARTED, "Started", attempt=(timestamp, 0))


def settings(**sections: Any) -> Settings:
    return Settings.parse({"attributes": {"k8s.cluster.name": "prod-1"}, **sections})


def change_event_settings(api: Last9Api, token_file: Path) -> Settings:
    token_file.write_text(WRITE_TOKEN)
    return settings(
        last9={
            "address": api.address,
            "refresh_token_file": str(token_file),
            "change_events": {"enabled": True, "marks": True},
        }
    )


@asynccontextmanager
async def notifying(
    process: Process, configured: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Notifier, SelfMetrics]]:
    monkeypatch.setattr("exporter.notify.notifier.BACKOFF", FAST)
    self_metrics = SelfMetrics("test", 0.0)
    async with running(process), Notifier(configured, self_metrics, process.storage) as notifier:
        yield notifier, self_metrics


async def commit(process: Process, notifier: Notifier, *transitions: ReportedTransition) -> None:
    await process.storage.commit(CycleCommit(messages=notifier.messages(transitions)))


@pytest.mark.parametrize("fault", [0, 401, 403, 404, 429, 500, 503])
async def test_a_fault_of_the_api_delays_an_event_and_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    async with serve(Last9Api()) as api:
        configured = change_event_settings(api, tmp_path / "token")
        process = Process(tmp_path / "storage")
        async with notifying(process, configured, monkeypatch) as (notifier, _):
            expected = [message.body for message in notifier.messages([started("cart"), started("basket")])]
            api.faults = [None, fault, fault]  # the exchange of the token succeeds
            await commit(process, notifier, started("cart"), started("basket"))
            await wait_until(lambda: process.storage.outbox.account("last9").delivered == 2)
    assert list(dict.fromkeys(api.events)) == expected
    assert len(api.events) == (2 if fault else 4), "only after a lost answer an event is sent again"


def received_count(api: Last9Api, count: int) -> bool:
    return len(api.events) == count


async def test_tokens_that_expire_are_renewed_before_their_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(Last9Api(lifetime=2.0)) as api:
        process = Process(tmp_path / "storage")
        async with notifying(process, change_event_settings(api, tmp_path / "token"), monkeypatch) as (notifier, _):
            for number in range(6):
                await commit(process, notifier, started(f"r{number}"))
                await wait_until(partial(received_count, api, number + 1))
                await asyncio.sleep(0.4)
    assert api.exchanges > 1
    assert "/api/v4/oauth/access_token" in api.requests[0]
    assert len(api.requests) == 6 + api.exchanges, "no request was refused"


async def test_a_token_whose_early_renewal_fails_is_used_until_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(Last9Api(lifetime=4.0)) as api:
        process = Process(tmp_path / "storage")
        async with notifying(process, change_event_settings(api, tmp_path / "token"), monkeypatch) as (notifier, _):
            await commit(process, notifier, started("cart"))
            await wait_until(partial(received_count, api, 1))
            await asyncio.sleep(2.1)  # half of its life, when it is renewed
            api.faults = [429]
            await commit(process, notifier, started("basket"))
            await wait_until(partial(received_count, api, 2))
    assert [request.rpartition("/")[2] for request in api.requests] == [
        "access_token",
        "change_events",
        "access_token",  # 429
        "change_events",
    ]


@pytest.mark.parametrize(
    ("destination", "faults"),
    [("last9", [429]), ("last9", [None, 429]), ("webhook", [503]), ("grafana", [429]), ("otlp_logs", [503])],
)
async def test_a_destination_is_not_asked_again_before_its_retry_after_is_over(
    tmp_path: Path, destination: str, faults: list[int | None]
) -> None:
    """The first request of Last9 is the exchange of its token."""
    pauses: list[float] = []

    async def sleep(seconds: float, _: asyncio.Event) -> None:
        pauses.append(seconds)

    process = Process(tmp_path / "storage")
    async with serve(Last9Api(faults=faults, retry_after="77")) as api, running(process):
        configured = settings(
            last9={"address": api.address, "refresh_token": WRITE_TOKEN, "change_events": {"enabled": True}},
            webhooks=[{"url": f"{api.address}/hook"}],
            grafana={"address": api.address, "token": "a token of grafana"},
            otlp={"endpoint": api.address, "logs": True},
        )
        (target,) = (each for each in destinations_of(configured) if each.name == destination)
        await process.storage.commit(CycleCommit(messages=list(messages_of([target], [started("cart")]))))
        sender = MessageSender(process.storage, target, BACKOFF, SenderClock(sleep=sleep))
        sender.finish()
        async with target.client:
            await sender.run()
    assert process.storage.outbox.account(destination).delivered == 1
    assert [77 <= pause <= 77 + BACKOFF.initial_delay for pause in pauses] == [True]


async def test_a_corrected_token_ends_a_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(Last9Api()) as api:
        configured, process = change_event_settings(api, tmp_path / "token"), Process(tmp_path / "storage")
        (tmp_path / "token").write_text("revoked")
        async with notifying(process, configured, monkeypatch) as (notifier, _):
            await commit(process, notifier, started("cart"))
            await wait_until(lambda: len(api.requests) > 2)
            assert api.events == []
            (tmp_path / "token").write_text(WRITE_TOKEN)
            await wait_until(lambda: len(api.events) == 1)


async def test_an_event_that_is_refused_for_good_is_counted_and_the_next_one_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(Last9Api(faults=[None, 422])) as api:
        process = Process(tmp_path / "storage")
        async with notifying(process, change_event_settings(api, tmp_path / "token"), monkeypatch) as (
            notifier,
            self_metrics,
        ):
            await commit(process, notifier, started("cart"), started("basket"))
            await wait_until(lambda: process.storage.outbox.account("last9").pending == 0)
            values = {family.name: family.values[0] for family in self_metrics.families() if "_events_" in family.name}
    assert len(api.events) == 1
    assert values == {
        "rollouts_exporter_events_made_total": 2,
        "rollouts_exporter_events_delivered_total": 1,
        "rollouts_exporter_events_rejected_total": 1,
        "rollouts_exporter_events_pending": 0,
        "rollouts_exporter_events_oldest_age_seconds": 0,
    }


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """Receive POST requests: path, signature, body."""
    received: list[tuple[str, str, bytes]] = []

    async def receive(request: web.Request) -> web.Response:
        received.append((request.path, request.headers.get("X-Hub-Signature-256", ""), await request.read()))
        return web.Response()

    application = web.Application()
    application.add_routes([web.post("/{path:.*}", receive)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", received
    finally:
        await runner.cleanup()


async def test_a_destination_that_is_down_delays_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as (address, received):
        configured = settings(
            webhooks=[
                {"name": "down", "url": "http://127.0.0.1:9/hook"},
                {"name": "chat", "url": f"{address}/chat", "template": "slack", "types": ["update_*"]},
                {"name": "signed", "url": f"{address}/signed", "secret": "a long key"},
            ],
            grafana={"address": address, "token": "a token of grafana"},
            otlp={"endpoint": address, "logs": True, "compression": "none"},
        )
        process = Process(tmp_path / "storage")
        async with notifying(process, configured, monkeypatch) as (notifier, _):
            await commit(process, notifier, started("cart"))
            await wait_until(lambda: len(received) == 4)
            assert process.storage.outbox.account("down").pending == 1
    by_path = {path: (signature, body) for path, signature, body in received}
    assert json.loads(by_path["/chat"][1]) == {"text": "shop/cart: Started"}
    assert by_path["/chat"][0] == ""
    assert re.fullmatch("sha256=[0-9a-f]{64}", by_path["/signed"][0])
    assert json.loads(by_path["/api/annotations"][1])["time"] == 1_800_000_000_000
    (record,) = ExportLogsServiceRequest.FromString(by_path["/v1/logs"][1]).resource_logs[0].scope_logs[0].log_records
    assert record.event_name == "argo_rollouts.update_started"
    assert record.body.string_value == "Started"


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
async def test_log_records_and_traces_arrive_over_the_protocol_of_the_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    services = tuple(METHODS[signal].split("/")[1] for signal in ("logs", "traces"))
    backend = GrpcBackend(services=services, replies=[fail("UNAVAILABLE"), fail("UNAUTHENTICATED")])
    await backend.start()
    ended = replace(started("cart"), type=TransitionType.ABORTED, timestamp=1_800_000_060.0)
    try:
        async with receiver() as (address, received):
            endpoint = address if protocol == "http/protobuf" else f"http://{backend.target}"
            otlp = {"endpoint": endpoint, "protocol": protocol, "logs": True, "traces": True, "compression": "none"}
            process = Process(tmp_path / "storage")
            async with notifying(process, settings(otlp=otlp), monkeypatch) as (notifier, _):
                await commit(process, notifier, started("cart"), ended)
                await wait_until(lambda: process.storage.outbox.account("otlp_logs").delivered == 2)
                await wait_until(lambda: process.storage.outbox.account("otlp_traces").delivered == 1)
    finally:
        await backend.stop()
    logs, traces = ([body for path, _, body in received if path == f"/v1/{signal}"] for signal in ("logs", "traces"))
    if protocol == "grpc":
        logs, traces = (backend.accepted_by_service[service] for service in services)
    assert len(logs) == 2
    (spans,) = ExportTraceServiceRequest.FromString(traces[0]).resource_spans[0].scope_spans
    assert [span.name for span in spans.spans] == ["RUN shop/cart"]
    assert spans.spans[0].status.message == "Started"
    assert len(traces) == 1


async def test_what_was_pending_at_a_kill_is_sent_by_the_next_process_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver() as (address, received):
        process = Process(tmp_path / "storage")
        down = settings(webhooks=[{"name": "hook", "url": "http://127.0.0.1:9/"}])
        async with notifying(process, down, monkeypatch) as (notifier, _):
            body = notifier.messages([started("cart")])[0].body
            await commit(process, notifier, started("cart"))
        up = settings(webhooks=[{"name": "hook", "url": f"{address}/hook"}])
        async with notifying(Process(tmp_path / "storage"), up, monkeypatch):
            await wait_until(lambda: len(received) == 1)
    assert received[0][2] == body


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("url_file", "webhooks.url_file of hook cannot be used:"),
        ("secret_file", "and webhooks.secret_file of hook cannot be used:"),
    ],
)
async def test_a_file_that_cannot_be_read_is_named_by_its_setting(tmp_path: Path, missing: str, named: str) -> None:
    (tmp_path / "url_file").write_text("http://127.0.0.1:9/")
    (tmp_path / "secret_file").write_text("key")
    (tmp_path / missing).unlink()
    hook = {"name": "hook", **{name: str(tmp_path / name) for name in ("url_file", "secret_file")}}
    (destination,) = webhook.configured(settings(webhooks=[hook]))
    async with destination.client as client:
        outcome = await client.post(b"{}")
    assert isinstance(outcome, Blocked)
    assert named in outcome.message


async def test_no_secret_of_a_destination_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "url").write_text("http://127.0.0.1:9/services/T000/B000/secret-of-the-chat")
    (tmp_path / "key").write_text("the key of the signature")
    hook = {"url_file": str(tmp_path / "url"), "secret_file": str(tmp_path / "key")}
    process = Process(tmp_path / "storage")
    async with notifying(process, settings(webhooks=[hook]), monkeypatch) as (notifier, _):
        await commit(process, notifier, started("cart"))
        await wait_until(lambda: "messages are retried" in caplog.text)
    redacted = REDACTOR.redact((tmp_path / "url").read_text() + (tmp_path / "key").read_text())
    assert "secret-of-the-chat" not in caplog.text + redacted
    assert "the key" not in caplog.text + redacted


def config_of(folder: Path, api: Last9Api, targets: dict[str, list[str]]) -> Path:
    (folder / "token").write_text(WRITE_TOKEN)
    sections = {
        **{source: {"targets": addresses, "interval": "100ms"} for source, addresses in targets.items()},
        "storage": {"directory": str(folder / "storage"), "fsync": "never"},
        "attributes": {"k8s.cluster.name": "prod-1"},
        "web": {"listen": "127.0.0.1:0"},
        "last9": {
            "address": api.address,
            "refresh_token_file": str(folder / "token"),
            "change_events": {"enabled": True, "marks": True},
        },
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(sections))
    return file


class PlayClock:
    """The time of a recording, which stands while an exporter starts: a loaded machine must not miss its updates."""

    def __init__(self) -> None:
        self._played = 0.0
        self._since: float | None = None

    def now(self) -> float:
        """Return the seconds since the first frame."""
        return (self._played + (time.monotonic() - self._since if self._since is not None else 0.0)) * SPEED

    def play(self) -> None:
        """Let time pass."""
        self._since = time.monotonic()

    def pause(self) -> None:
        """Let time stand."""
        self._played, self._since = self.now() / SPEED, None


@pytest.mark.slow
async def test_kills_at_many_frames_with_lost_answers_and_an_outage_lose_invent_and_retime_no_event(
    tmp_path: Path, explained_recordings: Recordings
) -> None:
    """Each start and stop of the recording arrives; of a repeated one, the same bytes."""
    recording = explained_recordings.frames("analysis-1.10.2", "full")
    clock = PlayClock()
    async with (
        serve(Last9Api()) as api,
        serve_recording(recording, clock.now) as (targets, _),
    ):
        addresses: dict[str, list[str]] = {}
        for target in targets:
            addresses.setdefault(target.source.value, []).append(target.address)
        config = config_of(tmp_path, api, addresses)
        for life in range(7):
            # The exchange of the token comes first.
            api.faults = [503] * 60 if life in {2, 3} else [None, 0]
            async with start_exporter(config) as process:
                await process.wait_for_log("started")
                clock.play()
                await asyncio.sleep(0.35)
                clock.pause()
                process.process.kill()
        api.faults = []
        async with start_exporter(config) as process:
            await process.wait_for_log("started")
            clock.play()
            async with asyncio.timeout(40):
                while sum(b'"deployment","event_state":"stop"' in body for body in set(api.events)) < 5:
                    await asyncio.sleep(0.1)
            assert await process.stop() == 0
    events = [json.loads(body) for body in set(api.events)]
    deployments = [event for event in events if event["event_name"] == "deployment"]
    pairs = {(each["attributes"]["deployment_id"], each["event_state"]) for each in deployments}
    assert len(pairs) == len(deployments), "an event came with two times"
    assert len(pairs) == 10, f"an event is missing or invented: {deployments}"
    assert len(api.events) > len(set(api.events)), "no answer was lost, so nothing was tested"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["superseded-1.9.3", "analysis-1.10.2"])
async def test_a_kill_at_every_frame_loses_invents_and_retimes_no_event(
    tmp_path: Path, explained_recordings: Recordings, name: str
) -> None:
    """Of all recordings: python -m tests.notify."""
    await check_recording(explained_recordings, name, 7, tmp_path / "storage")


async def test_an_outage_of_an_hour_loses_and_retimes_no_event(
    tmp_path: Path, explained_recordings: Recordings
) -> None:
    """In explicit time: each sleep of the sender sets the clock, and the API is down until an hour has passed."""
    clock = SetClock()
    process, outage_end = Process(tmp_path / "storage", clock=clock), clock.wall_time + 3600.0

    async def sleep(seconds: float, _: asyncio.Event) -> None:
        clock.sleep(seconds)
        if clock.wall_time > outage_end:
            api.faults = []

    async with serve(Last9Api(faults=[None, *[503] * 1000])) as api, running(process):
        (destination,) = destinations_of(change_event_settings(api, tmp_path / "token"))
        expected = list(event_bodies(explained_recordings, "storm-34-1.9.3"))
        await process.storage.commit(CycleCommit(messages=[OutboxMessage("last9", body) for body in expected]))
        sender = MessageSender(process.storage, destination, BACKOFF, SenderClock(sleep=sleep, jitter=lambda: 0.5))
        sender.finish()
        async with destination.client:
            await sender.run()
        assert api.events == expected
        assert 3600 / BACKOFF.max_delay <= len(api.requests) - len(expected) < 200, "the API is asked, but not often"
        assert clock.wall_time - outage_end <= BACKOFF.max_delay
