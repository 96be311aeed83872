"""Asking over real sockets: the form, the fall-back, the credentials, and everything that can go wrong."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme
from aiohttp import web

from exporter.config.section import ClientTlsSection
from exporter.net.prometheus_api import ReadEndpoint, Reader, basic
from exporter.net.prometheus_response import Answer, Sample, Vector
from exporter.metrics import Failure
from exporter.net.tls import Trust
from tests.net.prometheus import api, only_get, says, vector

if TYPE_CHECKING:
    from pathlib import Path

    from tests.net.prometheus import Behaviour

ONE = vector(({"job": "a"}, 1.0))
FOUND = Answer(Vector((Sample((("job", "a"),), 1700000000.5, 1.0),)))
SECRET = "Zm9vOnZlcnktc2VjcmV0"


async def ask(endpoint: ReadEndpoint, promql: str = "up", at: float | None = None) -> Answer | Failure:
    async with Reader(endpoint) as reader:
        return await reader.query(promql, at)


async def test_a_query_is_posted_as_a_form_with_the_headers_as_they_are() -> None:
    async with api(says(ONE)) as store:
        headers = {"Authorization": f"Basic {SECRET}", "X-Scope-OrgID": "Team A"}
        assert await ask(ReadEndpoint(f"{store.address}/base/", headers), "a + b & c", 1700000000.25) == FOUND
    (question,) = store.asked
    assert (question.method, question.path) == ("POST", "/base/api/v1/query")
    assert question.form == {"query": "a + b & c", "time": "1700000000.25"}
    assert question.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert (question.headers["Authorization"], question.headers["X-Scope-OrgID"]) == (f"Basic {SECRET}", "Team A")


@pytest.mark.parametrize("status", [405, 501])
async def test_a_store_that_takes_no_post_is_asked_by_get(status: int) -> None:
    async with api(only_get(says(ONE), status)) as store:
        assert await ask(ReadEndpoint(store.address), 'x{a="b&c"}') == FOUND
    assert [one.method for one in store.asked] == ["POST", "GET"]
    assert store.asked[1].form == {"query": 'x{a="b&c"}'}


async def test_other_refusals_of_a_post_are_not_asked_again() -> None:
    async with api(only_get(says(ONE), 400)) as store:
        assert isinstance(await ask(ReadEndpoint(store.address)), Failure)
    assert len(store.asked) == 1


async def test_a_range_and_a_search_for_series_have_their_own_forms() -> None:
    one_series = says('{"status": "success", "data": [{"__name__": "up"}]}')
    async with api(one_series) as store, Reader(ReadEndpoint(store.address)) as reader:
        found = await reader.series('{job="a"}', start=5.0, end=1e9)
        odd = await reader.query_range("up", 0.0, 60.0, 15.0)
    assert found == ((("__name__", "up"),),)
    assert isinstance(odd, Failure)
    assert odd.message.endswith("answers oddly: it is no answer to a query; check read.address")
    assert [(one.path, one.form) for one in store.asked] == [
        ("/api/v1/series", {"match[]": '{job="a"}', "start": "5", "end": "1000000000"}),
        ("/api/v1/query_range", {"query": "up", "start": "0", "end": "60", "step": "15"}),
    ]


def test_a_user_name_and_a_password_make_a_basic_header() -> None:
    assert basic("cluster", "tokén") == "Basic Y2x1c3Rlcjp0b2vDqW4="


async def test_a_credential_is_in_no_repr_and_in_no_message_though_the_server_repeats_it() -> None:
    async with api(says(f"you sent Basic {SECRET}", 401, "text/plain")) as store:
        endpoint = ReadEndpoint(store.address, {"Authorization": f"Basic {SECRET}"})
        told = await ask(endpoint)
    assert isinstance(told, Failure)
    assert told.message.endswith("you sent ***); check read.username and read.password_file")
    assert SECRET not in repr(endpoint) + told.message


async def slowly(_: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def breaking_off(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport
    request.transport.abort()
    return web.Response()


async def cut_short(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"status"')
    return await breaking_off(request)


@pytest.mark.parametrize(
    ("behaviour", "reason", "words"),
    [
        (slowly, "timeout", "did not answer within 0.2 s; raise read.timeout, if it is only slow"),
        (breaking_off, "unreachable", "broke off (Server disconnected); ask again, and look at its log if it lasts"),
        (cut_short, "unreachable", "stopped in mid-answer; ask again, and look at its log if it lasts"),
    ],
)
async def test_an_answer_that_does_not_come_whole_is_told_with_its_cure(
    behaviour: Behaviour, reason: str, words: str
) -> None:
    async with api(behaviour) as store:
        told = await ask(ReadEndpoint(store.address, timeout=0.2))
    assert isinstance(told, Failure)
    assert told.reason == reason
    assert told.message.startswith(f"{store.address} ")
    assert told.message.endswith(words)


async def test_nobody_there_is_told_with_its_cure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        told = await ask(ReadEndpoint(f"http://127.0.0.1:{taken.getsockname()[1]}"))
    assert isinstance(told, Failure)
    assert told.reason == "unreachable"
    assert told.message.endswith("; check read.address")
    assert "cannot be reached" in told.message


@pytest.mark.parametrize(
    ("address", "headers", "reason"),
    [
        ("ftp://127.0.0.1", {}, "address"),
        ("http://", {}, "address"),
        ("http://u:p@127.0.0.1:9", {"Authorization": "Basic a"}, "credential"),
    ],
)
async def test_what_cannot_be_asked_at_all_is_told_with_its_cure(
    address: str, headers: dict[str, str], reason: str
) -> None:
    told = await ask(ReadEndpoint(address, headers))
    assert isinstance(told, Failure)
    assert told.reason == reason


async def test_a_line_break_in_a_credential_is_told_with_its_cure() -> None:
    async with api(says(ONE)) as store:
        told = await ask(ReadEndpoint(store.address, {"Authorization": "Basic a\nb"}))
    assert isinstance(told, Failure)
    assert told.reason == "credential"
    assert "a line break?" in told.message


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class TestTls:
    @pytest.fixture
    def tls(self, authority: trustme.CA) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("store.example").configure_cert(context)
        return context

    async def test_the_authority_and_the_name_of_the_settings_are_believed(
        self, authority: trustme.CA, tls: ssl.SSLContext, tmp_path: Path
    ) -> None:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        trust = Trust(ClientTlsSection(ca_file=tmp_path / "ca.pem", server_name="store.example"))
        async with api(says(ONE), tls) as store:
            assert await ask(ReadEndpoint(store.address, trust=trust)) == FOUND

    async def test_a_certificate_that_is_not_trusted_is_told_with_its_cure(self, tls: ssl.SSLContext) -> None:
        async with api(says(ONE), tls) as store:
            told = await ask(ReadEndpoint(store.address, trust=Trust(ClientTlsSection())))
        assert isinstance(told, Failure)
        assert told == Failure("tls", f"{store.address} shows a certificate that is not trusted; check read.tls")

    async def test_a_file_that_is_no_certificate_is_told_with_its_cure(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("x")
        told = await ask(ReadEndpoint("https://127.0.0.1:9", trust=Trust(ClientTlsSection(ca_file=tmp_path / "ca.pem"))))
        assert isinstance(told, Failure)
        assert told.reason == "tls"
        assert told.message.endswith("holds no PEM certificate; check read.tls")
