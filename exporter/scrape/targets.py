"""A configured target (`host:port` or a URL) → the addresses to scrape.

A name is resolved at every tick: the addresses behind a headless Service are those of its pods, which come and go.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from exporter.config.values import bracketed
from exporter.metrics import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.config.targets import Target

Resolver = Callable[[str], Awaitable[Sequence[str]]]
"""A host name → its IP addresses, in any order, possibly repeated. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Address:
    """One of the addresses of a target."""

    target: Target
    ip: str

    @property
    def label(self) -> str:
        """`ip:port`, the value of the label `instance` of its series."""
        return f"{bracketed(self.ip)}:{self.target.port}{self.target.path_suffix}"

    @property
    def url(self) -> str:
        """The URL with the IP address, so that a pooled connection never belongs to another pod."""
        return f"{self.target.scheme}://{bracketed(self.ip)}:{self.target.port}{self.target.path}"


@dataclass(frozen=True, slots=True)
class Resolution:
    """The addresses of a target, sorted; `failure` if there are none, or more than the limit."""

    addresses: tuple[Address, ...] = ()
    failure: Failure | None = None


async def resolve(target: Target, resolver: Resolver, max_addresses: int, setting: str) -> Resolution:
    """Return the addresses of a target, each once, at most `max_addresses`; `setting` is the section in messages.

    If a name has addresses of both kinds, only IPv4 is used, or each dual-stack pod would be scraped twice. For the
    same reason `localhost` is 127.0.0.1 alone. Raises nothing but CancelledError; the caller sets the deadline.
    """
    host = "127.0.0.1" if target.host == "localhost" else target.host
    if _is_ip(host):
        return Resolution((Address(target, host),))
    try:
        all_ips = await resolver(target.host)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return Resolution(failure=_unresolved(target, reason, setting))
    ips = _preferred_addresses(all_ips)
    failure = None
    if not ips:
        failure = _unresolved(target, "it has no address", setting)
    elif len(ips) > max_addresses:
        message = f"{target.host} has {len(ips)} addresses, only {max_addresses} are scraped"
        failure = Failure("addresses", f"{message}; raise {setting}.limits.addresses")
    return Resolution(tuple(Address(target, ip) for ip in ips[:max_addresses]), failure)


def _preferred_addresses(ips: Iterable[str]) -> list[str]:
    """Return the IPv4 addresses, or the IPv6 addresses if there are no others, sorted, each once."""
    addresses = sorted({ip_address(ip) for ip in ips}, key=lambda ip: (ip.version, int(ip)))
    return [str(ip) for ip in addresses if ip.version == addresses[0].version]


def _unresolved(target: Target, reason: str, setting: str) -> Failure:
    message = f"{target.host} does not resolve ({reason}); check {setting}.targets, and that the Service exists"
    return Failure("dns", message)


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host


class SystemResolver:
    """The resolver of the system (hosts file, search domains, DNS), with one look-up at a time for each name.

    Each look-up has a daemon thread of its own: it cannot be cancelled, and a name server that does not respond must
    block neither a thread pool nor the end of the process.
    """

    def __init__(self) -> None:
        self._in_flight: dict[str, asyncio.Future[list[str] | OSError]] = {}

    async def __call__(self, host: str) -> list[str]:
        """Return the addresses of a name. Raises OSError."""
        future = self._in_flight.get(host)
        if future is None:
            future = self._in_flight[host] = asyncio.get_running_loop().create_future()
            threading.Thread(target=self._look_up, args=(host, future), name=f"resolve {host}", daemon=True).start()
        # A caller that gives up must not cancel the look-up that others share.
        result = await asyncio.shield(future)
        if isinstance(result, OSError):
            raise result
        return result

    def _look_up(self, host: str, future: asyncio.Future[list[str] | OSError]) -> None:
        result: list[str] | OSError
        try:
            # AI_ADDRCONFIG: no IPv6 addresses on a host that has none.
            infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
            result = [str(info[4][0]) for info in infos]
        except (OSError, UnicodeError) as error:
            result = error if isinstance(error, OSError) else OSError(str(error))
        with suppress(RuntimeError):  # the loop may have ended meanwhile
            future.get_loop().call_soon_threadsafe(self._deliver, host, future, result)

    def _deliver(self, host: str, future: asyncio.Future[list[str] | OSError], result: list[str] | OSError) -> None:
        del self._in_flight[host]
        future.set_result(result)
