"""The proxy of the environment (HTTP_PROXY, HTTPS_PROXY), and the addresses that NO_PROXY excludes from it."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.request import getproxies

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_SEPARATOR: Final = re.compile(r"[,\s]+")
"""Between the entries of NO_PROXY: a comma in Go and requests, also white space in curl."""


def environment_proxy(scheme: str, host: str, port: int | None = None) -> str | None:
    """Return the URL of the environment's proxy for an address, None for a direct connection.

    Without a port, that of the scheme is meant.
    """
    proxies = getproxies()
    address = proxies.get(scheme)
    if not address or is_excluded(host, port or _DEFAULT_PORTS.get(scheme, 0), proxies.get("no", "")):
        return None
    return address if "://" in address else f"http://{address}"  # as curl reads it


def is_excluded(host: str, port: int, no_proxy: str) -> bool:
    """Return whether requests to an address bypass the proxy: what Go, curl and requests document, taken together.

    Entries are names (with their subdomains, also as `.name` and `*.name`), IP addresses, networks (`10.0.0.0/8`,
    `fd00::/8`) and `*`; names and addresses may have a port. Where the three differ the connection is direct: a
    request that bypasses a proxy fails at worst, one that does not may show its credential to the proxy.
    """
    host = host.lower().strip("[]").partition("%")[0].rstrip(".")
    address = _ip(host)
    # As in Go: the machine itself is never behind a proxy.
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(entry, host, address, port) for entry in _SEPARATOR.split(no_proxy.lower()) if entry)


def _matches(entry: str, host: str, address: IPv4Address | IPv6Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return _in_network(address, entry)
    name, entry_port = _split_port(entry)
    if entry_port not in ("", str(port)):
        return False
    if address is not None:  # a part of an address is no domain
        return _ip(name) == address
    domain = name.removeprefix("*").strip(".")
    return domain != "" and f".{host}".endswith(f".{domain}")


def _in_network(address: IPv4Address | IPv6Address | None, text: str) -> bool:
    try:
        return address is not None and address in ip_network(text.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return False


def _split_port(entry: str) -> tuple[str, str]:
    """Return host and port ("" for any) of `host:port`, `[v6]:port` or one without a port."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, rest.removeprefix(":")
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, ""


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    """Return an IP address, None for a name; an IPv4 address in IPv6 form (`::ffff:10.0.0.1`) is the IPv4 address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
