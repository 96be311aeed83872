"""Which addresses NO_PROXY excludes from the proxy, as Go, curl and requests document it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.net.http import open_session
from exporter.net.proxy import environment_proxy, is_excluded
from tests.otlp.raw_server import respond_ok, serve_raw

if TYPE_CHECKING:
    import asyncio

DIRECT = [
    # entry, host, port: Go, curl, requests
    ("*", "example.com", 443),
    ("example.com", "example.com", 443),
    ("example.com", "a.b.example.com", 443),
    ("example.com", "EXAMPLE.com.", 443),
    ("EXAMPLE.COM", "example.com", 443),
    ("example.com.", "example.com", 443),
    (".example.com", "a.example.com", 443),
    (".example.com", "example.com", 443),  # curl; for Go and requests only its subdomains
    ("*.example.com", "a.example.com", 443),
    ("a.test,example.com", "example.com", 443),
    ("a.test example.com", "example.com", 443),  # curl
    (" a.test , example.com ", "example.com", 443),
    ("example.com:443", "example.com", 443),
    ("example.com:443", "a.example.com", 443),
    (".svc:8428", "vm.monitoring.svc", 8428),
    (".svc.cluster.local", "vm.monitoring.svc.cluster.local", 80),
    ("10.0.0.1", "10.0.0.1", 80),
    ("10.0.0.1:80", "10.0.0.1", 80),
    ("10.0.0.0/8", "10.255.1.2", 80),
    ("10.0.0.7/8", "10.255.1.2", 80),  # host bits do not matter
    ("0.0.0.0/0", "192.0.2.1", 80),
    ("10.0.0.0/8", "::ffff:10.1.2.3", 80),
    ("fd00::/8", "fd12::1", 80),
    ("fd00::/8", "[fd12::1]", 80),
    ("fd12::1", "fd12:0:0::1", 80),
    ("[fd12::1]", "fd12::1", 80),
    ("[fd12::1]:80", "fd12::1", 80),
    ("[fd00::]/8", "fd12::1", 80),
    ("fe80::/10", "fe80::1%eth0", 80),
    ("", "localhost", 80),  # Go: never through a proxy
    ("", "127.0.0.1", 80),
    ("", "127.8.8.8", 80),
    ("", "::1", 80),
    ("", "::ffff:127.0.0.1", 80),
]
PROXIED = [
    ("", "example.com", 443),
    (",", "example.com", 443),
    ("example.com", "badexample.com", 443),
    ("example.com", "example.com.evil", 443),
    ("example.com", "com", 443),
    ("a.example.com", "example.com", 443),
    ("example.com:80", "example.com", 443),
    ("10.0.0.1:81", "10.0.0.1", 80),
    ("10.0.0.1", "10.0.0.11", 80),
    ("0.1", "10.0.0.1", 80),  # no suffix of an address
    ("10.0.0.0/8", "11.0.0.1", 80),
    ("10.0.0.0/8", "10.example.com", 80),  # names are not resolved
    ("10.0.0.0/99", "10.0.0.1", 80),
    ("fd00::/8", "fe00::1", 80),
    ("[fd12::1]:81", "fd12::1", 80),
    ("*.*", "example.com", 80),
    (".", "example.com", 80),
    ("localhost", "localhost.evil", 80),
]


@pytest.mark.parametrize(("no_proxy", "host", "port"), DIRECT)
def test_a_direct_connection_is_made_to(no_proxy: str, host: str, port: int) -> None:
    assert is_excluded(host, port, no_proxy)


@pytest.mark.parametrize(("no_proxy", "host", "port"), PROXIED)
def test_the_proxy_is_used_for(no_proxy: str, host: str, port: int) -> None:
    assert not is_excluded(host, port, no_proxy)


@pytest.mark.parametrize(
    ("environment", "scheme", "port", "proxy"),
    [
        ({"HTTP_PROXY": "http://p:3128"}, "http", None, "http://p:3128"),
        ({"HTTP_PROXY": "p:3128"}, "http", None, "http://p:3128"),
        ({"HTTP_PROXY": "http://p:3128"}, "https", None, None),
        ({"https_proxy": "http://q:1", "HTTPS_PROXY": "http://p:1"}, "https", None, "http://q:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "store.test:443"}, "https", None, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "store.test:443"}, "https", 8443, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "no_proxy": "", "NO_PROXY": "store.test"}, "https", None, "http://p:1"),
        # A web server's CGI sets HTTP_PROXY from a client's header.
        ({"HTTP_PROXY": "http://p:3128", "REQUEST_METHOD": "GET"}, "http", None, None),
    ],
)
def test_the_environment_names_the_proxy(
    environment: dict[str, str], scheme: str, port: int | None, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    assert environment_proxy(scheme, "store.test", port) == proxy


async def test_a_credential_to_an_address_in_a_network_of_no_proxy_never_reaches_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heads: list[bytes] = []

    async def record(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))

    async with serve_raw(respond_ok) as server, serve_raw(record) as proxy, open_session(timeout=5) as session:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "127.0.0.0/8,fd00::/8")
        url = f"http://127.0.0.1:{server.port}/"
        headers = {"Authorization": "Bearer hush4711"}
        proxy_url = environment_proxy("http", "127.0.0.1", server.port)
        async with session.post(url, headers=headers, data=b"x", proxy=proxy_url) as response:
            assert response.status == 200
    assert heads == []
