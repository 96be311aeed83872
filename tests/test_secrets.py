"""Sets a known secret in every setting that takes one, lets servers echo them, and searches all output for them."""

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

from exporter.commands.api_client import ExporterAddress, ExporterUnreachableError
from exporter.commands.rollout_source import ExporterRollouts
from exporter.demo.fake_backend import CONTENT_TYPE
from exporter.otlp.result import MAX_MESSAGE_LENGTH
from tests.process import start_exporter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

USER = "gustav"
GZIP = 31
SECRET_NAMES = (
    "bearer",
    "basic",
    "basicfile",
    "target",
    "web",
    "inline",
    "inthefile",
    "author",
    "last",
    "otel",
    "reader",
    "query",
)
RANDOM = random.Random(7)
SECRETS = {name: f"{RANDOM.getrandbits(96):024x}" for name in SECRET_NAMES}
LEAK_LENGTH = 11
"""Consecutive characters of a secret that count as a leak: a message may be cut in the middle of a secret."""


def b64(*parts: str) -> str:
    return b64encode(":".join(parts).encode()).decode()


def secret_pieces() -> Iterator[tuple[str, str]]:
    """Yield every piece of every secret, plain and in base64, alone and with its user name."""
    prefix_length = len(b64(USER)) - 1
    for name, secret in SECRETS.items():
        for encoded in (secret, b64(secret), b64(USER, secret)[prefix_length:]):
            yield from ((name, encoded[start : start + LEAK_LENGTH]) for start in range(len(encoded) - LEAK_LENGTH + 1))


SECRET_PIECES = tuple(secret_pieces())


def leaks(text: str) -> set[str]:
    return {name for name, piece in SECRET_PIECES if piece in text}


def credentials(request: web.BaseRequest) -> str:
    """Return what a careless server echoes of a request: its headers, and the decoded credential."""
    headers = [f"{name}={value}" for name, value in request.headers.items() if name.startswith(("Auth", "X-", "x-"))]
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return " ".join([*headers, b64decode(token).decode() if scheme == "Basic" else ""])


def reject_after(pad: int) -> Handler:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=401, text="." * pad + " " + credentials(request))

    return handler


async def warn(request: web.BaseRequest) -> web.StreamResponse:
    if request.method == "GET":
        return web.Response(status=401, text=credentials(request))
    response = ExportMetricsServiceResponse()
    response.partial_success.error_message = credentials(request)
    return web.Response(body=response.SerializeToString(), content_type=CONTENT_TYPE)


async def fail(request: web.BaseRequest) -> web.StreamResponse:
    echo = credentials(request)
    return web.Response(status=500, reason=echo, text=echo, headers={"X-Echo": echo})


async def echo_page(request: web.BaseRequest) -> web.StreamResponse:
    echo = credentials(request)
    return web.Response(text=f"{echo}\n# {echo}\nup 1\n", headers={"X-Echo": echo, "Content-Type": "text/plain"})


async def redirect(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": f"/{credentials(request)}".replace(" ", "/")})


async def send_no_http(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(f"{credentials(request)}\r\n\r\n".encode())
    request.transport.close()
    return web.Response()


@asynccontextmanager
async def serve(handler: Handler) -> AsyncIterator[str]:
    async def guarded(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return await handler(request)

    runner = web.ServerRunner(web.Server(guarded, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def configuration(folder: Path, backend: str, target: str, *, files: bool) -> Path:
    """Write a file with every setting that takes a secret; with `files` also those that override variables."""

    def file(name: str, text: str) -> str:
        path = folder / f"{name}.secret"
        path.write_text(text)
        return str(path)

    def source(**more: object) -> dict[str, object]:
        return {
            "targets": [f"http://{target}/metrics?token={SECRETS['query']}"],
            "interval": "250ms",
            "headers": {"X-Target": SECRETS["target"]},
            **more,
        }

    secret = SECRETS
    otlp = {
        "endpoint": f"http://{backend}/?token={SECRETS['query']}",
        "grace": "100ms",
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
        "storage": {"directory": str(folder / "storage")},
        "web": {"listen": "127.0.0.1:0", "basic_auth": {"username": USER, "password": secret["web"]}},
        "log": {"level": "debug"},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def environment(*, files: bool) -> dict[str, str]:
    """Return variables that hold secrets; two of them may not set the same header."""
    last9 = {} if files else {"LAST9_AUTH_HEADER": f"Basic {b64(USER, SECRETS['last'])}"}
    return {"OTEL_EXPORTER_OTLP_HEADERS": f"x-otel={SECRETS['otel']}", **last9}


async def run_command(config: Path, env: dict[str, str], *arguments: str) -> str:
    """Return all output of a command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exporter", "-c", str(config), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ.get("PATH", ""), **env},
    )
    async with asyncio.timeout(30):
        return (await process.communicate())[0].decode()


async def serve_and_read(config: Path, env: dict[str, str]) -> dict[str, str]:
    """Return the pages and the log of a running exporter, by place."""
    output: dict[str, str] = {}
    auth = {"Authorization": f"Basic {b64(USER, SECRETS['web'])}"}
    async with start_exporter(config, **env) as process:
        port = re.search(r"port (\d+)", await process.wait_for_log("started"))
        assert port
        await asyncio.sleep(1.2)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port[1]}") as session:
            for path in ("/", "/metrics", "/api/rollouts", "/readyz", "/healthz"):
                for headers in (auth, {}):
                    async with session.get(path, headers=headers) as response:
                        output[f"{path} {response.status}"] = await response.text()
        await process.stop()
        output["log"] = process.log
    return output


def file_contents(*folders: Path) -> dict[str, str]:
    """Return the contents of the files in some folders, also decompressed where they hold gzip."""
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
    "a 401 and a 500": (reject_after(0), fail, True),
    "a 401 cut amid the secret, and a page of secrets": (reject_after(MAX_MESSAGE_LENGTH - 30), echo_page, False),
    "a warning, and a redirect": (warn, redirect, True),
    "a warning, and no HTTP at all": (warn, send_no_http, False),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
async def test_no_secret_is_ever_written_even_if_a_server_echoes_it(tmp_path: Path, case: str) -> None:
    backend_handler, target_handler, files = CASES[case]
    async with serve(backend_handler) as backend, serve(target_handler) as target:
        config = configuration(tmp_path, backend, target, files=files)
        env = environment(files=files)
        commands = [
            ("once",),
            ("verify", "--timeout", "1s"),
            ("record", str(tmp_path / "recording"), "--for", "1s"),
        ]
        output = await serve_and_read(config, env)
        texts = await asyncio.gather(*(run_command(config, env, *command) for command in commands))
    output |= {command[0]: text for command, text in zip(commands, texts, strict=True)}

    if target_handler is echo_page:  # a recording stores a page unchanged, or its replay would differ
        shutil.rmtree(tmp_path / "recording" / "pages")
    output |= file_contents(*(tmp_path / name for name in ("storage", "recording")))
    assert {place: leaks(text) for place, text in output.items() if leaks(text)} == {}
    assert any("***" in output[place] for place in ("/ 200", "log")), (
        "no server echoed a secret, so the test proves nothing"
    )
    assert output["/metrics 200"]
    assert output["/metrics 401"]
    assert any("/storage/" in place for place in output)


@pytest.mark.slow
@pytest.mark.parametrize("files", [True, False])
async def test_neither_the_configuration_nor_its_errors_show_a_secret(tmp_path: Path, *, files: bool) -> None:
    config = configuration(tmp_path, "127.0.0.1:9", "127.0.0.1:9", files=files)
    env = environment(files=files)
    valid_output = await asyncio.gather(*(run_command(config, env, command) for command in ("config", "check")))
    text = config.read_text()
    for line in text.splitlines():
        if leaks(line):
            text = text.replace(line, f"{line}\\u0007 ☃: [")
    config.write_text(text)
    invalid_output = await run_command(config, env, "check")
    assert [leaks(text) for text in (*valid_output, invalid_output)] == [set(), set(), set()]
    assert "******" in valid_output[0]
    assert valid_output[1].startswith("ok")
    assert "error" in invalid_output


@pytest.mark.parametrize(
    "address", ["http://u:{0}@127.0.0.1:9", "http://u:{0}@[", "http://127.0.0.1:9/?token={0}", "u:{0}@h"]
)
async def test_the_address_of_a_running_exporter_is_shown_without_its_password(address: str) -> None:
    with pytest.raises(ExporterUnreachableError) as caught:
        await ExporterRollouts(ExporterAddress(address.format(SECRETS["web"]))).read_all()
    assert leaks(str(caught.value)) == set()
