from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, ServerDisconnectedError

from exporter.commands.record import RecordingError, read_frames
from exporter.demo.servers import ReplayedTarget, frame_at, serve_recording
from exporter.metrics import Source

if TYPE_CHECKING:
    from pathlib import Path

TEXT = {"Content-Type": "text/plain; version=0.0.4", "Date": "Mon, 23 Nov 2026 15:00:23 GMT", "Content-Length": "3"}


def recorded_page(target: str, status: int | None, file: str | None, source: str = "argo") -> dict[str, object]:
    error = None if status else "ClientConnectorError: connection refused"
    return {"source": source, "target": target, "status": status, "headers": TEXT, "file": file, "error": error}


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Write a recording of 20 seconds: a target that changes and fails, and one that was scraped only at first."""
    (tmp_path / "one.prom.gz").write_bytes(gzip.compress(b"one 1\n"))
    (tmp_path / "two.prom").write_bytes(b"two 2\n")
    lines = [
        {
            "at": 100.0,
            "pages": [
                recorded_page("a", 200, "one.prom.gz"),
                recorded_page("k", 200, "two.prom", "kube_state_metrics"),
            ],
        },
        {"at": 110.0, "pages": [recorded_page("a", 500, "two.prom")]},
        {"at": 120.0, "pages": [recorded_page("a", None, None)]},
    ]
    path = tmp_path / "frames.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


async def get(session: ClientSession, target: ReplayedTarget) -> tuple[int, str, bytes]:
    async with session.get(f"http://{target.address}/metrics") as response:
        return response.status, response.headers["Content-Type"], await response.read()


@pytest.mark.parametrize(
    ("elapsed", "status", "body"), [(0.0, 200, b"one 1\n"), (9.9, 200, b"one 1\n"), (10.0, 500, b"two 2\n")]
)
async def test_a_target_responds_as_it_did_at_that_time(
    recording: Path, elapsed: float, status: int, body: bytes
) -> None:
    async with serve_recording(recording, lambda: elapsed) as (targets, seconds), ClientSession() as session:
        assert [(target.name, target.source) for target in targets] == [
            ("a", Source.ARGO),
            ("k", Source.KUBE_STATE_METRICS),
        ]
        assert seconds == 20.0
        assert await get(session, targets[0]) == (status, TEXT["Content-Type"], body)


@pytest.mark.parametrize(("elapsed", "index"), [(10.0, 1), (20.0, 0), (99.0, 0)])
async def test_a_target_that_did_not_respond_drops_the_connection(recording: Path, elapsed: float, index: int) -> None:
    async with serve_recording(recording, lambda: elapsed) as (targets, _), ClientSession() as session:
        with pytest.raises(ServerDisconnectedError):
            await get(session, targets[index])


async def test_a_missing_body_file_is_an_error_with_its_name(recording: Path) -> None:
    async with serve_recording(recording, lambda: 0.0) as (targets, _), ClientSession() as session:
        (recording.parent / "one.prom.gz").unlink()
        status, _, body = await get(session, targets[0])
        assert (status, b"one.prom.gz" in body) == (500, True)


def test_the_frame_at_a_time_is_the_last_one_before_it(recording: Path) -> None:
    recorded = tuple(read_frames(recording))
    assert [frame_at(recorded, seconds).timestamp for seconds in (-5.0, 0.0, 19.0, 20.0, 99.0)] == [
        100,
        100,
        110,
        120,
        120,
    ]


async def test_an_empty_recording_is_an_error_with_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl"
    path.touch()
    with pytest.raises(RecordingError, match="`record DIR` makes a recording"):
        async with serve_recording(path, lambda: 0.0):
            pass
