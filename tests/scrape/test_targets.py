"""Configured targets, and the addresses of their names."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.config.targets import Target, parse_target, parse_targets
from exporter.scrape.targets import Address, SystemResolver, resolve

if TYPE_CHECKING:
    import ipaddress
    from collections.abc import Awaitable, Callable, Sequence

PATH = "/metrics?resources=pods,replicasets"


def resolver_of(*ips: str) -> Callable[[str], Awaitable[Sequence[str]]]:
    async def resolver(host: str) -> Sequence[str]:
        assert host == "argo.test"
        return ips

    return resolver


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
def test_an_invalid_target_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_target(text, PATH)


@pytest.mark.parametrize(
    "text", ["", " ", "http://argo:1/a b", "http://argo:1/é", "http://argo:1/#a", "http://argo:1/\n", "argo :1"]
)
def test_white_space_fragments_and_non_ascii_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_target(text, PATH)


@pytest.mark.parametrize("text", ["http://me:hunter2@argo:1", "me:hunter2@argo:1", "http://me:hun/ter2@argo:x"])
def test_a_password_in_a_target_is_rejected_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        parse_target(text, PATH)
    assert "ter2" not in str(caught.value)


def test_two_targets_with_equal_labels_are_rejected() -> None:
    assert len(parse_targets(["argo:1", "argo:2", "http://argo:1/b"], "/metrics")) == 3
    with pytest.raises(ValueError, match="argo:1 is listed twice"):
        parse_targets(["argo:1", "https://argo:1/metrics"], "/metrics")


def test_the_host_header_has_the_port_unless_it_is_the_default_of_the_scheme() -> None:
    urls = ["http://argo:80", "http://argo:443", "https://argo:443", "http://[::1]:8090"]
    assert [parse_target(url, PATH).host_header for url in urls] == ["argo", "argo:443", "argo", "[::1]:8090"]


def test_an_address_is_requested_by_ip_and_labelled_by_ip_and_port() -> None:
    target = parse_target("https://argo.test:8443/x?y", "/metrics")
    address = Address(target, "fd00::7")
    assert address.url == "https://[fd00::7]:8443/x?y"
    assert address.label == "[fd00::7]:8443/x"
    assert Address(parse_target("argo:1", "/metrics"), "10.0.0.7").label == "10.0.0.7:1"


@settings(max_examples=100)
@given(st.lists(st.ip_addresses(v=4) | st.ip_addresses(v=6), max_size=20))
def test_every_address_of_a_name_is_returned_once_in_a_stable_order(
    addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address],
) -> None:
    async def ips(*order: str) -> list[str]:
        return [
            address.ip
            for address in (await resolve(parse_target("argo.test:1", "/"), resolver_of(*order), 64, "argo")).addresses
        ]

    texts = [str(ip) for ip in addresses]
    resolved = asyncio.run(ips(*texts, *texts))
    assert resolved == asyncio.run(ips(*reversed(texts)))
    ipv4 = {text for text in texts if ":" not in text}
    assert len(resolved) == len(set(resolved))
    assert set(resolved) == (ipv4 or set(texts))


async def test_addresses_beyond_the_limit_are_not_scraped_and_are_reported() -> None:
    resolution = await resolve(
        parse_target("argo.test:1", "/"), resolver_of("10.0.0.3", "10.0.0.1", "10.0.0.2"), 2, "argo"
    )
    assert [address.ip for address in resolution.addresses] == ["10.0.0.1", "10.0.0.2"]
    assert resolution.failure is not None
    assert resolution.failure.reason == "addresses"
    assert "argo.test has 3 addresses, only 2 are scraped; raise argo.limits.addresses" in resolution.failure.message


async def test_an_ip_address_is_not_looked_up() -> None:
    async def resolver(host: str) -> Sequence[str]:
        raise AssertionError(host)

    for text, ip in [("10.0.0.7:1", "10.0.0.7"), ("[::1]:1", "::1"), ("localhost:1", "127.0.0.1")]:
        assert [address.ip for address in (await resolve(parse_target(text, "/"), resolver, 64, "argo")).addresses] == [
            ip
        ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (UnicodeError("label too long"), "UnicodeError"),
        (None, "it has no address"),
    ],
)
async def test_a_name_that_does_not_resolve_is_reported_with_a_hint(error: Exception | None, reason: str) -> None:
    async def resolver(_host: str) -> Sequence[str]:
        if error is not None:
            raise error
        return ()

    failure = (await resolve(parse_target("argo.test:1", "/"), resolver, 64, "argo")).failure
    assert failure is not None
    assert failure.reason == "dns"
    assert failure.message.startswith(f"argo.test does not resolve ({reason}); check argo.targets")


async def test_the_system_resolves_localhost_and_not_an_invalid_name() -> None:
    resolver = SystemResolver()
    assert "127.0.0.1" in await resolver("127.0.0.1")
    for name in ("a..b", "x" * 64 + ".test"):
        with pytest.raises(OSError, match=r"\w"):
            await resolver(name)


async def test_a_hanging_name_server_is_asked_once_at_a_time_and_blocks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolved, release = [], threading.Event()

    def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        resolved.append(host)
        release.wait(10)
        return [(2, 1, 6, "", ("10.0.0.7", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolver = SystemResolver()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(resolver("argo.test"), 0.02)
    pending = asyncio.ensure_future(resolver("argo.test"))
    await asyncio.sleep(0)
    release.set()
    assert await pending == ["10.0.0.7"]
    assert resolved == ["argo.test"]
    assert await resolver("argo.test") == ["10.0.0.7"]
    assert resolved == ["argo.test"] * 2
