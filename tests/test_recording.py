"""Responses of targets, written to a folder and read back."""

from __future__ import annotations

import asyncio
import collections
import gzip
import json
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from exporter.commands.record import (
    FRAMES_FILE,
    MAX_FRAME_BYTES,
    RecordedFrame,
    RecordedPage,
    RecordingError,
    intervals,
    read_frames,
    record,
)
from exporter.config.settings import Settings
from exporter.metrics import Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PAGE = b'# TYPE rollout_info gauge\nrollout_info{name="a"} 1\n'


class FakeController:
    """A controller on loopback that returns `response`."""

    def __init__(self) -> None:
        self.response = web.Response(body=PAGE, content_type="text/plain")
        self.target = ""

    async def respond(self, request: web.Request) -> web.Response:
        del request
        response = self.response
        return web.Response(body=response.body, status=response.status, headers=response.headers)


@pytest.fixture
async def controller() -> AsyncIterator[FakeController]:
    fake = FakeController()
    app = web.Application()
    app.router.add_get("/metrics", fake.respond)
    app.router.add_get("/other", fake.respond)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.target = "{}:{}".format(*runner.addresses[0][:2])
    yield fake
    await runner.cleanup()


async def ticks(*times: float) -> AsyncIterator[float]:
    for timestamp in times:
        yield timestamp


async def record_and_read(
    folder: Path, times: AsyncIterator[float], *targets: str, **more: object
) -> list[RecordedFrame]:
    """Record the targets as controllers; return the frames read back."""
    settings = {"argo": {"targets": targets}, "kube_state_metrics": {"targets": ()}} | more
    count = await record(folder, Settings.parse(settings), times)
    frames = list(read_frames(folder / FRAMES_FILE))
    assert len(frames) == count
    return frames


async def test_a_recording_reads_back_as_it_was_scraped(controller: FakeController, tmp_path: Path) -> None:
    first, second = await record_and_read(tmp_path / "new" / "folder", ticks(100.25, 115.25), controller.target)
    assert (first.timestamp, second.timestamp) == (100.25, 115.25)
    (page,) = first.pages
    assert (page.source, page.target, page.status, page.error) == (Source.ARGO, controller.target, 200, None)
    assert page.headers["Content-Type"] == "text/plain"
    assert page.body() == PAGE
    assert page.installation == "default"


async def test_lines_have_the_documented_format(controller: FakeController, tmp_path: Path) -> None:
    await record_and_read(tmp_path, ticks(100.25), controller.target)
    (line,) = (tmp_path / FRAMES_FILE).read_text().splitlines()
    frame = json.loads(line)
    (page,) = frame["pages"]
    assert list(frame) == ["at", "pages"]
    assert list(page) == ["source", "target", "status", "headers", "file", "error"]
    assert page["file"] == f"pages/0000/{controller.target.replace(':', '-')}.prom.gz"
    assert gzip.decompress((tmp_path / page["file"]).read_bytes()) == PAGE


async def test_an_unchanged_body_is_stored_once(controller: FakeController, tmp_path: Path) -> None:
    async def changing() -> AsyncIterator[float]:
        for timestamp, body in enumerate([b"a 1\n", b"a 1\n", b"a 2\n", b"a 2\n", b"a 1\n"]):
            controller.response = web.Response(body=body)
            yield timestamp

    frames = await record_and_read(tmp_path, changing(), controller.target)
    assert [frame.pages[0].body() for frame in frames] == [b"a 1\n", b"a 1\n", b"a 2\n", b"a 2\n", b"a 1\n"]
    assert len({frame.pages[0].file for frame in frames}) == 3


async def test_an_error_status_is_recorded_with_its_body(controller: FakeController, tmp_path: Path) -> None:
    controller.response = web.Response(status=500, body=b"collected metric before")
    ((page,),) = [frame.pages for frame in await record_and_read(tmp_path, ticks(1), controller.target)]
    assert (page.status, page.error, page.body()) == (500, None, b"collected metric before")


async def test_an_empty_page_has_a_status_and_no_file(controller: FakeController, tmp_path: Path) -> None:
    controller.response = web.Response()
    ((page,),) = [frame.pages for frame in await record_and_read(tmp_path, ticks(1), controller.target)]
    assert (page.status, page.file, page.error, page.body()) == (200, None, None, b"")


async def test_a_failed_scrape_is_recorded_with_its_reason(controller: FakeController, tmp_path: Path) -> None:
    async def failing_lookup(host: str) -> list[str]:
        raise OSError(host)

    settings = Settings.parse(
        {"argo": {"targets": ["127.0.0.1:1", controller.target], "limits": {"body": 10}},
         "kube_state_metrics": {"targets": ["nowhere.test:1"]}}
    )  # fmt: skip # as in a file
    assert await record(tmp_path, settings, ticks(1), failing_lookup) == 1
    ((refused, oversized, unresolved),) = [frame.pages for frame in read_frames(tmp_path / FRAMES_FILE)]
    for page, reason in ((refused, "refused: "), (oversized, "body_limit: "), (unresolved, "dns: ")):
        assert (page.status, page.file, dict(page.headers)) == (None, None, {})
        assert page.error is not None
        assert page.error.startswith(reason)
    assert unresolved.target == "nowhere.test:1"


async def test_secrets_are_not_recorded(controller: FakeController, tmp_path: Path) -> None:
    secrets = dict.fromkeys(("WWW-Authenticate", "X-Auth-Token", "Location"), "hunter2")
    headers = {"X-Plain": "kept", "Set-Cookie": "a=hunter2", **secrets}
    controller.response = web.Response(body=PAGE, headers=headers)
    argo = {"targets": [controller.target], "headers": {"k": "hunter2"}}
    await record_and_read(tmp_path, ticks(1), controller.target, argo=argo)
    text = (tmp_path / FRAMES_FILE).read_text()
    assert "hunter2" not in text
    assert "kept" in text


async def test_targets_with_equal_file_names_have_separate_bodies(controller: FakeController, tmp_path: Path) -> None:
    urls = [controller.target, f"http://{controller.target}/other", f"http://{controller.target}/other/../other"]
    argo = [{"name": name, "targets": urls} for name in ("blue", "green")]
    ((*pages,),) = [frame.pages for frame in await record_and_read(tmp_path, ticks(1), argo=argo)]
    assert len({page.file for page in pages}) == len(pages) == 6
    assert [page.installation for page in pages] == ["blue"] * 3 + ["green"] * 3
    assert all(page.file is not None and tmp_path in page.file.resolve().parents for page in pages)


async def test_a_recording_is_never_overwritten(controller: FakeController, tmp_path: Path) -> None:
    frames = await record_and_read(tmp_path, ticks(1), controller.target)
    with pytest.raises(RecordingError, match="already holds a recording; choose another directory"):
        await record_and_read(tmp_path, ticks(2), controller.target)
    assert list(read_frames(tmp_path / FRAMES_FILE)) == frames


async def test_an_unwritable_directory_is_reported(controller: FakeController, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match=r"file/folder cannot be written: Not a directory; choose another"):
        await record_and_read(tmp_path / "file" / "folder", ticks(1), controller.target)
    (tmp_path / "pages").touch()
    with pytest.raises(RecordingError, match=r"cannot be written: "):
        await record_and_read(tmp_path, ticks(1), controller.target)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: Invalid JSON"),
        ("[]", "line 2: "),
        ('{"pages": []}', "line 2: at: Field required"),
        ('{"at": NaN, "pages": []}', "line 2: at: Input should be a finite number"),
        ('{"at": 1e300, "pages": []}', "line 2: at: Input should be less than or equal to 10000000000"),
        ('{"at": 1}', "line 2: pages: Field required"),
        ('{"at": 1, "pages": [{"source": "ksm", "target": "a"}]}', "line 2: pages.0.source: Input should be 'argo'"),
        ('{"at": 1, "pages": [{"source": "argo", "target": "a", "status": "x"}]}', "line 2: pages.0.status: "),
        ('{"at": 1, "pages": [{"source": "argo", "target": "a", "file": "b.gz"}]}', "line 2: .*b.gz is missing"),
        ('{"at": 1, "pages": [{"source": "argo", "target": "\\ud800"}]}', "line 2: "),
    ],
)
def test_an_invalid_line_is_reported_with_its_number(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / FRAMES_FILE
    path.write_text(f'{{"at": 1, "pages": []}}\n{line}\n{{"at": 2, "pages": []}}\n')
    frames = read_frames(path)
    assert next(frames) == RecordedFrame(1.0, ())
    with pytest.raises(RecordingError, match=message):
        next(frames)


@pytest.mark.parametrize("name", ["../secret", "pages/../../secret", "/etc/hostname", "link", "circle", "a\0b"])
def test_a_page_outside_of_the_recording_is_not_read(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "recording"
    folder.mkdir()
    (tmp_path / "secret").write_text("token")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "circle").symlink_to(folder / "circle")
    page = {"source": "argo", "target": "a", "status": 200, "file": name}
    (folder / FRAMES_FILE).write_text(json.dumps({"at": 1, "pages": [page]}))
    with pytest.raises(RecordingError, match="is outside of the recording; keep the pages next to"):
        list(read_frames(folder / FRAMES_FILE))


@pytest.mark.slow
def test_a_packed_bomb_and_an_endless_line_cost_little_memory(tmp_path: Path) -> None:
    """A page of 2.4 GB that packs into 2.4 MB took as much memory."""
    bomb = tmp_path / "bomb.prom.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        for _ in range(600):
            file.write(bytes(1024**2))
    (tmp_path / FRAMES_FILE).write_bytes(b" " * (MAX_FRAME_BYTES + 2))
    tracemalloc.start()
    with pytest.raises(RecordingError, match=r"bomb\.prom\.gz has more than 536870912 bytes; leave its frame out"):
        collections.deque(RecordedPage(Source.ARGO, "a", 200, file=bomb).blocks(), maxlen=0)
    with pytest.raises(RecordingError, match="line 1: is longer than 16777216 bytes"):
        list(read_frames(tmp_path / FRAMES_FILE))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * MAX_FRAME_BYTES


def test_a_frame_needs_only_source_and_target(tmp_path: Path) -> None:
    path = tmp_path / FRAMES_FILE
    (tmp_path / "plain.prom").write_bytes(PAGE)
    page = {"source": "argo", "target": "a", "status": 200, "file": "plain.prom", "added later": 1}
    path.write_text("\n" + json.dumps({"at": 1, "pages": [{"source": "rollout_state", "target": "b"}, page]}))
    (frame,) = read_frames(path)
    assert frame.pages[0] == RecordedPage(Source.ROLLOUT_STATE, "b")
    assert frame.pages[1].body() == PAGE


@pytest.mark.parametrize("stored", [b"plain", gzip.compress(PAGE)[:-4], b""])
def test_a_corrupt_body_is_reported(tmp_path: Path, stored: bytes) -> None:
    file = tmp_path / "a.prom.gz"
    file.write_bytes(stored)
    page = RecordedPage(Source.ARGO, "a", 200, file=file)
    if stored:
        with pytest.raises(RecordingError, match=r"a.prom.gz cannot be read"):
            page.body()
    file.unlink()
    with pytest.raises(RecordingError, match=r"a.prom.gz cannot be read"):
        page.body()


def test_a_missing_recording_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"frames.jsonl cannot be read: No such file or directory; use the"):
        list(read_frames(tmp_path / FRAMES_FILE))


async def test_intervals_start_at_once_and_skip_late_ticks() -> None:
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    times = []
    async for _ in intervals(0.05, 0.2):
        times.append(loop.time() - started_at)
        if len(times) == 2:
            await asyncio.sleep(0.07)
    assert len(times) == 3
    assert all(abs(elapsed - expected) < 0.04 for elapsed, expected in zip(times, (0.0, 0.05, 0.15), strict=True))
