"""What targets answered, written to a folder and read back."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from exporter.commands.record import FRAMES, Frame, FramePage, RecordingError, every, frames, record
from exporter.config.settings import Settings
from exporter.metrics import Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    Says = Callable[[web.Request], web.Response]

PAGE = b'# TYPE rollout_info gauge\nrollout_info{name="a"} 1\n'


class Controller:
    """A controller on loopback that says whatever `says` holds."""

    def __init__(self) -> None:
        self.says = web.Response(body=PAGE, content_type="text/plain")
        self.target = ""

    async def answer(self, request: web.Request) -> web.Response:
        del request
        said = self.says
        return web.Response(body=said.body, status=said.status, headers=said.headers)


@pytest.fixture
async def controller() -> AsyncIterator[Controller]:
    one = Controller()
    app = web.Application()
    app.router.add_get("/metrics", one.answer)
    app.router.add_get("/other", one.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.target = "{}:{}".format(*runner.addresses[0][:2])
    yield one
    await runner.cleanup()


async def ticks(*times: float) -> AsyncIterator[float]:
    for at in times:
        yield at


async def taken(folder: Path, at: AsyncIterator[float], *targets: str, **more: object) -> list[Frame]:
    """Record the targets as controllers, and read the recording back."""
    settings = {"argo": {"targets": targets}, "kube_state_metrics": {"targets": ()}} | more
    count = await record(folder, Settings.model_validate(settings), at)
    read = list(frames(folder / FRAMES))
    assert len(read) == count
    return read


async def test_a_recording_reads_back_as_it_was_answered(controller: Controller, tmp_path: Path) -> None:
    first, second = await taken(tmp_path / "new" / "folder", ticks(100.25, 115.25), controller.target)
    assert (first.at, second.at) == (100.25, 115.25)
    (page,) = first.pages
    assert (page.source, page.target, page.status, page.error) == (Source.ARGO, controller.target, 200, None)
    assert page.headers["Content-Type"] == "text/plain"
    assert page.body() == PAGE
    assert page.installation == "default"


async def test_the_lines_are_those_of_the_fixed_format(controller: Controller, tmp_path: Path) -> None:
    await taken(tmp_path, ticks(100.25), controller.target)
    (line,) = (tmp_path / FRAMES).read_text().splitlines()
    frame = json.loads(line)
    (page,) = frame["pages"]
    assert list(frame) == ["at", "pages"]
    assert list(page) == ["source", "target", "status", "headers", "file", "error"]
    assert page["file"] == f"pages/0000/{controller.target.replace(':', '-')}.prom.gz"
    assert gzip.decompress((tmp_path / page["file"]).read_bytes()) == PAGE


async def test_a_body_that_says_nothing_new_is_not_stored_again(controller: Controller, tmp_path: Path) -> None:
    async def changing() -> AsyncIterator[float]:
        for at, body in enumerate([b"a 1\n", b"a 1\n", b"a 2\n", b"a 2\n", b"a 1\n"]):
            controller.says = web.Response(body=body)
            yield at

    read = await taken(tmp_path, changing(), controller.target)
    assert [frame.pages[0].body() for frame in read] == [b"a 1\n", b"a 1\n", b"a 2\n", b"a 2\n", b"a 1\n"]
    assert len({frame.pages[0].file for frame in read}) == 3


async def test_a_refusal_is_kept_with_its_words(controller: Controller, tmp_path: Path) -> None:
    controller.says = web.Response(status=500, body=b"collected metric before")
    ((page,),) = [frame.pages for frame in await taken(tmp_path, ticks(1), controller.target)]
    assert (page.status, page.error, page.body()) == (500, None, b"collected metric before")


async def test_an_empty_page_has_a_status_and_no_file(controller: Controller, tmp_path: Path) -> None:
    controller.says = web.Response()
    ((page,),) = [frame.pages for frame in await taken(tmp_path, ticks(1), controller.target)]
    assert (page.status, page.file, page.error, page.body()) == (200, None, None, b"")


async def test_who_did_not_answer_is_kept_with_the_reason(controller: Controller, tmp_path: Path) -> None:
    async def nowhere(host: str) -> list[str]:
        raise OSError(host)

    settings = Settings.model_validate(
        {"argo": {"targets": ["127.0.0.1:1", controller.target], "limits": {"body": 10}},
         "kube_state_metrics": {"targets": ["nowhere.test:1"]}}
    )  # fmt: skip # as in a file
    assert await record(tmp_path, settings, ticks(1), nowhere) == 1
    ((refused, oversized, lost),) = [frame.pages for frame in frames(tmp_path / FRAMES)]
    for page, reason in ((refused, "refused: "), (oversized, "body_limit: "), (lost, "dns: ")):
        assert (page.status, page.file, dict(page.headers)) == (None, None, {})
        assert page.error is not None
        assert page.error.startswith(reason)
    assert lost.target == "nowhere.test:1"


async def test_secrets_are_not_recorded(controller: Controller, tmp_path: Path) -> None:
    secrets = {
        "Set-Cookie": "a=hunter2",
        "WWW-Authenticate": "hunter2",
        "X-Auth-Token": "hunter2",
        "Location": "hunter2",
    }
    controller.says = web.Response(body=PAGE, headers={"X-Plain": "kept", **secrets})
    await taken(
        tmp_path, ticks(1), controller.target, argo={"targets": [controller.target], "headers": {"k": "hunter2"}}
    )
    text = (tmp_path / FRAMES).read_text()
    assert "hunter2" not in text
    assert "kept" in text


async def test_targets_whose_names_look_alike_in_files_keep_their_own_bodies(
    controller: Controller, tmp_path: Path
) -> None:
    urls = [controller.target, f"http://{controller.target}/other", f"http://{controller.target}/other/../other"]
    argo = [{"name": name, "targets": urls} for name in ("blue", "green")]
    ((*pages,),) = [frame.pages for frame in await taken(tmp_path, ticks(1), argo=argo)]
    assert len({page.file for page in pages}) == len(pages) == 6
    assert [page.installation for page in pages] == ["blue"] * 3 + ["green"] * 3
    assert all(page.file is not None and tmp_path in page.file.resolve().parents for page in pages)


async def test_a_recording_is_never_written_over(controller: Controller, tmp_path: Path) -> None:
    before = await taken(tmp_path, ticks(1), controller.target)
    with pytest.raises(RecordingError, match="has a recording already; choose another directory"):
        await taken(tmp_path, ticks(2), controller.target)
    assert list(frames(tmp_path / FRAMES)) == before


async def test_a_directory_that_cannot_be_written_is_told(controller: Controller, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match=r"file/folder cannot be written: Not a directory; choose another"):
        await taken(tmp_path / "file" / "folder", ticks(1), controller.target)
    (tmp_path / "pages").touch()
    with pytest.raises(RecordingError, match=r"cannot be written: "):
        await taken(tmp_path, ticks(1), controller.target)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: Invalid JSON"),
        ("[]", "line 2: "),
        ('{"pages": []}', "line 2: at: Field required"),
        ('{"at": NaN, "pages": []}', "line 2: at: Input should be a finite number"),
        ('{"at": 1}', "line 2: pages: Field required"),
        ('{"at": 1, "pages": [{"source": "ksm", "target": "a"}]}', "line 2: pages.0.source: Input should be 'argo'"),
        ('{"at": 1, "pages": [{"source": "argo", "target": "a", "status": "x"}]}', "line 2: pages.0.status: "),
        ('{"at": 1, "pages": [{"source": "argo", "target": "a", "file": "b.gz"}]}', "line 2: .*b.gz is missing"),
        ('{"at": 1, "pages": [{"source": "argo", "target": "\\ud800"}]}', "line 2: "),
    ],
)
def test_a_line_that_is_no_frame_is_told_by_its_number(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / FRAMES
    path.write_text(f'{{"at": 1, "pages": []}}\n{line}\n{{"at": 2, "pages": []}}\n')
    read = frames(path)
    assert next(read) == Frame(1.0, ())
    with pytest.raises(RecordingError, match=words):
        next(read)


def test_a_frame_needs_no_more_than_who_was_asked(tmp_path: Path) -> None:
    path = tmp_path / FRAMES
    (tmp_path / "plain.prom").write_bytes(PAGE)
    page = {"source": "argo", "target": "a", "status": 200, "file": "plain.prom", "added later": 1}
    path.write_text("\n" + json.dumps({"at": 1, "pages": [{"source": "rollout_state", "target": "b"}, page]}))
    (frame,) = frames(path)
    assert frame.pages[0] == FramePage(Source.ROLLOUT_STATE, "b")
    assert frame.pages[1].body() == PAGE


@pytest.mark.parametrize("stored", [b"plain", gzip.compress(PAGE)[:-4], b""])
def test_a_body_that_cannot_be_unpacked_is_told(tmp_path: Path, stored: bytes) -> None:
    file = tmp_path / "a.prom.gz"
    file.write_bytes(stored)
    page = FramePage(Source.ARGO, "a", 200, file=file)
    if stored:
        with pytest.raises(RecordingError, match=r"a.prom.gz cannot be read"):
            page.body()
    file.unlink()
    with pytest.raises(RecordingError, match=r"a.prom.gz cannot be read"):
        page.body()


def test_a_recording_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"frames.jsonl cannot be read: No such file or directory; name a"):
        list(frames(tmp_path / FRAMES))


async def test_ticks_come_at_once_then_every_so_often_and_late_ones_are_left_out() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    times = []
    async for _ in every(0.05, 0.2):
        times.append(loop.time() - began)
        if len(times) == 2:
            await asyncio.sleep(0.07)
    assert len(times) == 3
    assert all(abs(seen - meant) < 0.04 for seen, meant in zip(times, (0.0, 0.05, 0.15), strict=True))
