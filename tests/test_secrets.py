"""Known secrets in every setting that takes one, others that echo them, and a search of all that is ever written."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import sys
import zlib
from base64 import b64decode, b64encode
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import aiohttp
import pytest
import yaml
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from exporter.demo.fake_backend import CONTENT_TYPE
from exporter.otlp.result import MAX_MESSAGE_LENGTH
from tests.process import start_exporter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

USER = "gustav"
GZIP = 31
WORDS = ("bearer", "basic", "basicfile", "target", "web", "inline", "inthefile", "author", "last", "otel", "reader")
CHANCE = random.Random(7)
SECRETS = {word: f"{CHANCE.getrandbits(96):024x}" for word in WORDS}
WINDOW = 11
"""So many characters of a secret in a row are a leak: a message may have been cut amid one."""


def b64(*parts: str) -> str:
    return b64encode(":".join(parts).encode()).decode()


def pieces() -> Iterator[tuple[str, str]]:
    """Every stretch of every secret, plain and in base64, alone and with its user name."""
    known = len(b64(USER)) - 1
    for word, secret in SECRETS.items():
        for form in (secret, b64(secret), b64(USER, secret)[known:]):
            yield from ((word, form[at : at + WINDOW]) for at in range(len(form) - WINDOW + 1))


PIECES = tuple(pieces())


def leaks(text: str) -> set[str]:
    return {word for word, piece in PIECES if piece in text}


def credentials(request: web.BaseRequest) -> str:
    """What a rude server tells of a request: all its headers, and the credential decoded."""
    told = [f"{name}={value}" for name, value in request.headers.items() if name.startswith(("Auth", "X-", "x-"))]
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return " ".join([*told, b64decode(token).decode() if scheme == "Basic" else ""])


def refuses(pad: int) -> Answer:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=401, text="." * pad + " " + credentials(request))

    return answer


async def warns(request: web.BaseRequest) -> web.StreamResponse:
    if request.method == "GET":
        return web.Response(status=401, text=credentials(request))
    answer = ExportMetricsServiceResponse()
    answer.partial_success.error_message = credentials(request)
    return web.Response(body=answer.SerializeToString(), content_type=CONTENT_TYPE)


async def fails(request: web.BaseRequest) -> web.StreamResponse:
    said = credentials(request)
    return web.Response(status=500, reason=said, text=said, headers={"X-Echo": said})


async def shows(request: web.BaseRequest) -> web.StreamResponse:
    said = credentials(request)
    return web.Response(text=f"{said}\n# {said}\nup 1\n", headers={"X-Echo": said, "Content-Type": "text/plain"})


async def leads_on(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": f"/{credentials(request)}".replace(" ", "/")})


async def babbles(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(f"{credentials(request)}\r\n\r\n".encode())
    request.transport.close()
    return web.Response()


@asynccontextmanager
async def rude(answer: Answer) -> AsyncIterator[str]:
    async def guarded(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return await answer(request)

    runner = web.ServerRunner(web.Server(guarded, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def configuration(folder: Path, backend: str, target: str, *, files: bool) -> Path:
    """Every setting that takes a secret; with `files` those that win over the variables, too."""

    def file(word: str, text: str) -> str:
        path = folder / f"{word}.secret"
        path.write_text(text)
        return str(path)

    def source(**more: object) -> dict[str, object]:
        return {"targets": [target], "interval": "250ms", "headers": {"X-Target": SECRETS["target"]}, **more}

    secret = SECRETS
    otlp = {
        "endpoint": f"http://{backend}",
        "grace": "100ms",
        "queue": {"directory": str(folder / "spool")},
        "headers": {"X-Inline": secret["inline"]},
        "headers_file": file("headers", f"X-File: {secret['inthefile']}\n"),
    }
    if files:
        otlp["authorization_file"] = file("authorization", f"Basic {b64(USER, secret['author'])}\n")
    settings = {
        "argo": source(bearer_token_file=file("bearer", secret["bearer"])),
        "kube_state_metrics": source(basic_auth={"username": USER, "password": secret["basic"]}),
        "rollout_state": source(basic_auth={"username": USER, "password_file": file("basic", secret["basicfile"])}),
        "otlp": otlp,
        "read": {"address": f"http://{backend}", "username": USER, "password": secret["reader"]},
        "attributes": {"k8s.cluster.name": "secrets"},
        "memory": {"directory": str(folder / "memory")},
        "web": {"listen": "127.0.0.1:0", "basic_auth": {"username": USER, "password": secret["web"]}},
        "log": {"level": "debug"},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def environment(*, files: bool) -> dict[str, str]:
    """Variables that hold secrets; two may not give the same header."""
    last9 = {} if files else {"LAST9_AUTH_HEADER": f"Basic {b64(USER, SECRETS['last'])}"}
    return {"OTEL_EXPORTER_OTLP_HEADERS": f"x-otel={SECRETS['otel']}", **last9}


async def printed(config: Path, variables: dict[str, str], *arguments: str) -> str:
    """All that a command says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exporter", "-c", str(config), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ.get("PATH", ""), **variables},
    )
    async with asyncio.timeout(30):
        return (await process.communicate())[0].decode()


async def served(config: Path, variables: dict[str, str]) -> dict[str, str]:
    """All that a running exporter shows and logs, by where."""
    found: dict[str, str] = {}
    proof = {"Authorization": f"Basic {b64(USER, SECRETS['web'])}"}
    async with start_exporter(config, **variables) as process:
        port = re.search(r"port (\d+)", await process.wait_for_log("started"))
        assert port
        await asyncio.sleep(1.2)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port[1]}") as session:
            for path in ("/", "/metrics", "/api/rollouts", "/readyz", "/healthz"):
                for headers in (proof, {}):
                    async with session.get(path, headers=headers) as response:
                        found[f"{path} {response.status}"] = await response.text()
        await process.stop()
        found["log"] = process.log
    return found


def written(*folders: Path) -> dict[str, str]:
    """What the files beneath some folders hold, whatever in them is packed unpacked as well."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path): "\n".join(map(_text, _unpacked(path.read_bytes()))) for path in files}


def _unpacked(content: bytes) -> Iterator[bytes]:
    yield content
    for start in re.finditer(b"\x1f\x8b\x08", content):
        with suppress(zlib.error):
            yield zlib.decompressobj(GZIP).decompress(content[start.start() :])


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


CASES = {
    "a 401 and a 500": (refuses(0), fails, True),
    "a 401 cut amid the secret, and a page of secrets": (refuses(MAX_MESSAGE_LENGTH - 30), shows, False),
    "a warning, and a redirect": (warns, leads_on, True),
    "a warning, and no HTTP at all": (warns, babbles, False),
}


@pytest.mark.parametrize("case", CASES)
async def test_no_secret_is_ever_written_even_if_a_server_echoes_it(tmp_path: Path, case: str) -> None:
    backend_answer, target_answer, files = CASES[case]
    async with rude(backend_answer) as backend, rude(target_answer) as target:
        config = configuration(tmp_path, backend, target, files=files)
        variables = environment(files=files)
        commands = [
            ("once",),
            ("verify", "--timeout", "1s"),
            ("record", str(tmp_path / "recording"), "--for", "1s"),
        ]
        found = await served(config, variables)
        said = await asyncio.gather(*(printed(config, variables, *command) for command in commands))
    found |= {command[0]: text for command, text in zip(commands, said, strict=True)}

    if target_answer is shows:  # a recording keeps a whole page as it was, or its replay would be another
        shutil.rmtree(tmp_path / "recording" / "pages")
    found |= written(*(tmp_path / name for name in ("memory", "spool", "recording")))
    assert {where: leaks(text) for where, text in found.items() if leaks(text)} == {}
    assert any("***" in found[where] for where in ("/ 200", "log")), "nobody echoed anything: this test proves nothing"
    assert found["/metrics 200"]
    assert found["/metrics 401"]
    assert any("spool" in where for where in found)


@pytest.mark.parametrize("files", [True, False])
async def test_neither_the_configuration_nor_its_errors_show_a_secret(tmp_path: Path, *, files: bool) -> None:
    config = configuration(tmp_path, "127.0.0.1:9", "127.0.0.1:9", files=files)
    variables = environment(files=files)
    good = await asyncio.gather(*(printed(config, variables, command) for command in ("config", "check")))
    text = config.read_text()
    for line in text.splitlines():
        if leaks(line):
            text = text.replace(line, f"{line}\\u0007 ☃: [")
    config.write_text(text)
    bad = await printed(config, variables, "check")
    assert [leaks(one) for one in (*good, bad)] == [set(), set(), set()]
    assert "******" in good[0]
    assert good[1].startswith("ok")
    assert "error" in bad
