"""`events tail --undelivered` prints what waits in storage, or what a recording would send."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml
from click.testing import CliRunner

from exporter.cli import main
from exporter.storage import CycleCommit, OutboxMessage
from tests.storage.support import Process, running

if TYPE_CHECKING:
    from pathlib import Path

    from tests.recorded import Recordings


def tail(folder: Path, *arguments: str, **sections: Any) -> list[dict[str, Any]]:
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump({"attributes": {"k8s.cluster.name": "prod-1"}, **sections}))
    command = ["-c", str(config), "events", "tail", "--undelivered", *arguments]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


async def test_what_waits_in_storage_is_printed_while_an_exporter_runs(tmp_path: Path) -> None:
    directory = tmp_path / "storage"
    async with running(Process(directory)) as process:
        messages = [OutboxMessage("last9", b'{"event_state":"start"}'), OutboxMessage("otlp_logs", b"\x0a\xff")]
        assert await process.storage.commit(CycleCommit(messages=messages))
        assert tail(tmp_path, storage={"directory": str(directory)}) == [
            {"destination": "last9", "message": {"event_state": "start"}},
            {"destination": "otlp_logs", "message": "2 bytes of OTLP"},
        ]


def test_a_recording_shows_what_it_would_send(tmp_path: Path, explained_recordings: Recordings) -> None:
    frames = str(explained_recordings.frames("zero-1.10.2", "full"))
    lines = tail(
        tmp_path,
        "--recording",
        frames,
        last9={"change_events": {"enabled": True, "dry_run": True}},
        webhooks=[{"url": "https://example.com/hook", "types": ["aborted"]}],
        otlp={"endpoint": "https://otlp.example.com", "traces": True},
    )
    assert {line["destination"] for line in lines} <= {"last9", "webhook", "otlp_traces"}
    stop = next(line["message"]["attributes"] for line in lines if line["message"].get("event_state") == "stop")
    traces = [line["message"]["resourceSpans"][0] for line in lines if line["destination"] == "otlp_traces"]
    ids = {trace["scopeSpans"][0]["spans"][0]["traceId"] for trace in traces}
    assert stop["deployment_id"].replace("-", "") in ids
    starts = [line for line in lines if line["message"].get("event_state") == "start"]
    assert starts
    assert all(line["message"]["attributes"]["cluster"] == "prod-1" for line in starts)
