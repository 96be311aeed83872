"""Configured targets, and the addresses that their names have."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.scrape.targets import Address, SystemResolver, Target, parse_target, parse_targets, resolve

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Awaitable, Callable, Sequence

PATH = "/metrics?resources=pods,replicasets"


def answers(*ips: str) -> Callable[[str], Awaitable[Sequence[str]]]:
    async def lookup(host: str) -> Sequence[str]:
        assert host == "argo.test"
        return ips

    return lookup


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("argo:8090", Target("http", "argo", 8090, PATH)),
        ("10.0.0.7:8090", Target("http", "10.0.0.7", 8090, PATH)),
        ("[fd00::7]:8090", Target("http", "fd00::7", 8090, PATH)),
        ("https://ksm:8443", Target("https", "ksm", 8443, PATH)),
        ("https://ksm", Target("https", "ksm", 443, PATH)),
        ("http://ksm/", Target("http", "ksm", 80, PATH)),
        ("HTTPS://KSM.Test.:8443/metrics", Target("https", "ksm.test.", 8443, "/metrics")),
        ("http://argo:1/a/metrics", Target("http", "argo", 1, "/a/metrics", "/a/metrics")),
        ("http://argo:1/a?b=c,d&e=%2F", Target("http", "argo", 1, "/a?b=c,d&e=%2F", "/a")),
        ("http://argo:1?b=c", Target("http", "argo", 1, "/?b=c", "/")),
    ],
)
def test_a_target_is_host_and_port_or_a_url(text: str, target: Target) -> None:
    assert parse_target(text, PATH) == target


@pytest.mark.parametrize(
    "text",
    ["argo", "argo:", ":80", "argo:x", "argo:70000", "argo:0", "ftp://argo:1", "http://", "::1:80", "[::1:80", "[a]:1"],
)
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_target(text, PATH)


@pytest.mark.parametrize(
    "text", ["", " ", "http://argo:1/a b", "http://argo:1/é", "http://argo:1/#a", "http://argo:1/\n", "argo :1"]
)
def test_blanks_fragments_and_other_than_ascii_are_no_part_of_a_target(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_target(text, PATH)


@pytest.mark.parametrize("text", ["http://me:hunter2@argo:1", "me:hunter2@argo:1", "http://me:hun/ter2@argo:x"])
def test_a_password_in_a_target_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        parse_target(text, PATH)
    assert "ter2" not in str(caught.value)


def test_two_targets_that_could_not_be_told_apart_are_refused() -> None:
    assert len(parse_targets(["argo:1", "argo:2", "http://argo:1/b"], "/metrics")) == 3
    with pytest.raises(ValueError, match="argo:1 is listed twice"):
        parse_targets(["argo:1", "https://argo:1/metrics"], "/metrics")


def test_the_host_header_has_the_port_unless_it_is_the_schemes_own() -> None:
    urls = ["http://argo:80", "http://argo:443", "https://argo:443", "http://[::1]:8090"]
    assert [parse_target(url, PATH).host_header for url in urls] == ["argo", "argo:443", "argo", "[::1]:8090"]


def test_an_address_is_asked_by_ip_and_labelled_by_ip_and_port() -> None:
    target = parse_target("https://argo.test:8443/x?y", "/metrics")
    address = Address(target, "fd00::7")
    assert address.url == "https://[fd00::7]:8443/x?y"
    assert address.label == "[fd00::7]:8443/x"
    assert Address(parse_target("argo:1", "/metrics"), "10.0.0.7").label == "10.0.0.7:1"


@settings(max_examples=100)
@given(st.lists(st.ip_addresses(v=4) | st.ip_addresses(v=6), max_size=20))
def test_every_address_of_a_name_is_asked_once_in_a_steady_order(
    found: list[ipaddress.IPv4Address | ipaddress.IPv6Address],
) -> None:
    async def ips(*order: str) -> list[str]:
        return [one.ip for one in (await resolve(parse_target("argo.test:1", "/"), answers(*order), 64, "argo")).addresses]

    texts = [str(ip) for ip in found]
    asked = asyncio.run(ips(*texts, *texts))
    assert asked == asyncio.run(ips(*reversed(texts)))
    fours = {text for text in texts if ":" not in text}
    assert len(asked) == len(set(asked))
    assert set(asked) == (fours or set(texts))


async def test_addresses_beyond_the_limit_are_not_asked_and_that_is_told() -> None:
    resolved = await resolve(parse_target("argo.test:1", "/"), answers("10.0.0.3", "10.0.0.1", "10.0.0.2"), 2, "argo")
    assert [one.ip for one in resolved.addresses] == ["10.0.0.1", "10.0.0.2"]
    assert resolved.failure is not None
    assert resolved.failure.reason == "addresses"
    assert "argo.test has 3 addresses, only 2 are scraped; raise argo.limits.addresses" in resolved.failure.message


async def test_nobody_is_asked_for_the_address_of_an_address() -> None:
    async def lookup(host: str) -> Sequence[str]:
        raise AssertionError(host)

    for text, ip in [("10.0.0.7:1", "10.0.0.7"), ("[::1]:1", "::1"), ("localhost:1", "127.0.0.1")]:
        assert [one.ip for one in (await resolve(parse_target(text, "/"), lookup, 64, "argo")).addresses] == [ip]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (UnicodeError("label too long"), "UnicodeError"),
        (None, "it has no address"),
    ],
)
async def test_a_name_that_does_not_resolve_is_told_with_its_cure(error: Exception | None, why: str) -> None:
    async def lookup(_host: str) -> Sequence[str]:
        if error is not None:
            raise error
        return ()

    trouble = (await resolve(parse_target("argo.test:1", "/"), lookup, 64, "argo")).failure
    assert trouble is not None
    assert trouble.reason == "dns"
    assert trouble.message.startswith(f"argo.test does not resolve ({why}); check argo.targets")


async def test_the_system_knows_localhost_and_not_an_impossible_name() -> None:
    lookup = SystemResolver()
    assert "127.0.0.1" in await lookup("127.0.0.1")
    for name in ("a..b", "x" * 64 + ".test"):
        with pytest.raises(OSError, match=r"\w"):
            await lookup(name)


async def test_a_name_server_that_hangs_is_asked_once_at_a_time_and_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, answer = [], threading.Event()

    def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        asked.append(host)
        answer.wait(10)
        return [(2, 1, 6, "", ("10.0.0.7", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    lookup = SystemResolver()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lookup("argo.test"), 0.02)
    waiting = asyncio.ensure_future(lookup("argo.test"))
    await asyncio.sleep(0)
    answer.set()
    assert await waiting == ["10.0.0.7"]
    assert asked == ["argo.test"]
    assert await lookup("argo.test") == ["10.0.0.7"]
    assert asked == ["argo.test"] * 2
