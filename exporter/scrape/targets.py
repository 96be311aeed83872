"""A configured target → everyone to ask: `host:port` or a URL, and the addresses that its name has right now.

A name is resolved at every tick: the addresses behind a headless Service are the pods, and they come and go.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from exporter.config.values import split_address
from exporter.metrics import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""A host name → its IP addresses, in any order, repeated or not. Raises OSError."""

_PORTS: Final = {"http": 80, "https": 443}
_PRINTABLE: Final = re.compile(r"[!-~]+")
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask, as configured. `host` is bare (an IPv6 without brackets), `path` has its query.

    `apart` is what has to stand behind `ip:port` to tell two targets on one port apart: a path of the target's own.
    """

    scheme: str
    host: str
    port: int
    path: str
    apart: str = ""

    @property
    def name(self) -> str:
        """`host:port` as configured; what a page is called when nobody could be asked."""
        return f"{_bracketed(self.host)}:{self.port}{self.apart}"

    @property
    def authority(self) -> str:
        """The Host header: the name as configured, its port where it is not the scheme's own."""
        host = _bracketed(self.host)
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Address:
    """One of the addresses of a target: asked by `ip`, known by `label` (the `instance` of its series)."""

    target: Target
    ip: str

    @property
    def label(self) -> str:
        """`ip:port`."""
        return f"{_bracketed(self.ip)}:{self.target.port}{self.target.apart}"

    @property
    def url(self) -> str:
        """The URL by IP, so that a pooled connection can never be another pod's."""
        return f"{self.target.scheme}://{_bracketed(self.ip)}:{self.target.port}{self.target.path}"


@dataclass(frozen=True, slots=True)
class Resolved:
    """The addresses of a target, sorted; `trouble` when there are none, or more than may be asked."""

    addresses: tuple[Address, ...] = ()
    trouble: Failure | None = None


def parse(text: str, path: str) -> Target:
    """Read `host:port` or `http(s)://host[:port][/path]`; `path` is asked where the target names none of its own.

    Raises ValueError, which repeats no text that has an @, since that may be a password.
    """
    parts = split_address(text)
    if not _PRINTABLE.fullmatch(text) or parts.fragment:
        raise ValueError(f"target {text!r}: blanks, # and other than ASCII cannot stand here; write host:port or a URL")
    scheme = parts.scheme or "http"
    if not parts.scheme and parts.port is None:
        raise ValueError(f"target {text!r} names no port; write host:port or a URL")
    own = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path
    asked = path if own in {"", "/"} else own
    bare = asked.partition("?")[0]
    apart = "" if bare == path.partition("?")[0] else bare
    return Target(scheme, parts.hostname or "", parts.port or _PORTS[scheme], asked, apart)


def parse_all(texts: Iterable[str], path: str) -> tuple[Target, ...]:
    """Read the targets of one source. Raises ValueError, also for two whose series could not be told apart."""
    targets: dict[str, Target] = {}
    for text in texts:
        target = parse(text, path)
        if targets.setdefault(target.name, target) is not target:
            raise ValueError(f"target {text!r}: {target.name} is listed twice; name it once")
    return tuple(targets.values())


async def resolve(target: Target, lookup: Lookup, most: int, setting: str) -> Resolved:
    """Find the addresses to ask: all of them, each once, at most `most`; `setting` is the section named in troubles.

    A name that has both kinds of address is asked by IPv4, else each dual-stack pod would be asked twice. For the
    same reason `localhost` is 127.0.0.1 alone. Never raises but CancelledError; the caller's deadline holds.
    """
    if _is_ip(target.host):
        return Resolved((Address(target, target.host),))
    if target.host == "localhost":
        return Resolved((Address(target, _LOOPBACK),))
    try:
        found = await lookup(target.host)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        return Resolved(trouble=_unresolved(target, why, setting))
    ips = _one_family(found)
    if not ips:
        return Resolved(trouble=_unresolved(target, "it has no address", setting))
    addresses = tuple(Address(target, ip) for ip in ips)
    return Resolved(addresses[:most], _too_many(target, len(ips), most, setting) if len(ips) > most else None)


def _one_family(found: Iterable[str]) -> list[str]:
    ips = sorted({ip_address(ip) for ip in found}, key=lambda ip: (ip.version, int(ip)))
    return [str(ip) for ip in ips if ip.version == ips[0].version]


def _unresolved(target: Target, why: str, setting: str) -> Failure:
    message = f"{target.host} does not resolve ({why}); check {setting}.targets, and that the Service exists"
    return Failure("dns", message)


def _too_many(target: Target, found: int, most: int, setting: str) -> Failure:
    message = f"{target.host} has {found} addresses, of which {most} are asked; raise {setting}.limits.addresses"
    return Failure("addresses", message)


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class SystemLookup:
    """The system's resolver (hosts file, search domains, DNS), asked once at a time for each name.

    Each look-up has a daemon thread of its own: it cannot be cancelled, and a name server that hangs must hold up
    neither the work of other threads nor the end of the process.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Future[list[str] | OSError]] = {}

    async def __call__(self, host: str) -> list[str]:
        """Return the addresses of a name. Raises OSError."""
        answer = self._under_way.get(host)
        if answer is None:
            answer = self._under_way[host] = asyncio.get_running_loop().create_future()
            threading.Thread(target=self._ask, args=(host, answer), name=f"resolve {host}", daemon=True).start()
        found = await asyncio.shield(answer)
        if isinstance(found, OSError):
            raise found
        return found

    def _ask(self, host: str, answer: asyncio.Future[list[str] | OSError]) -> None:
        found: list[str] | OSError
        try:
            infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
            found = [str(info[4][0]) for info in infos]
        except (OSError, UnicodeError) as error:
            found = error if isinstance(error, OSError) else OSError(str(error))
        with suppress(RuntimeError):  # the loop may have ended meanwhile
            answer.get_loop().call_soon_threadsafe(self._tell, host, answer, found)

    def _tell(self, host: str, answer: asyncio.Future[list[str] | OSError], found: list[str] | OSError) -> None:
        del self._under_way[host]
        answer.set_result(found)
