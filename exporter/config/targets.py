"""A target as written (`host:port` or a URL) → what to request there; one reading for `check` and for the scraper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.config.values import SettingError, bracketed, check_target, split_address

if TYPE_CHECKING:
    from collections.abc import Iterable

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """A target as configured. `host` is bare (IPv6 without brackets), `path` includes the query.

    `path_suffix` is appended to `ip:port` in labels: a path of the target's own, else "". It keeps the series of two
    targets on one port apart.
    """

    scheme: str
    host: str
    port: int
    path: str
    path_suffix: str = ""

    @property
    def name(self) -> str:
        """`host:port` as configured: the label of a target that has no address."""
        return f"{bracketed(self.host)}:{self.port}{self.path_suffix}"

    @property
    def host_header(self) -> str:
        """The Host header: the configured name, and the port unless it is the scheme's default."""
        host = bracketed(self.host)
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_target(text: str, path: str) -> Target:
    """Parse `host:port` or `http(s)://host[:port][/path]`; `path` is for a target without a path of its own.

    Raises ValueError, which does not repeat the text, since that may contain a password or a token.
    """
    parts = split_address(check_target(text))
    scheme = parts.scheme or "http"
    target_path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path
    full_path = path if target_path in {"", "/"} else target_path
    path_only = full_path.partition("?")[0]
    path_suffix = "" if path_only == path.partition("?")[0] else path_only
    return Target(scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS[scheme], full_path, path_suffix)


def parse_targets(texts: Iterable[str], path: str) -> tuple[Target, ...]:
    """Parse the targets of one source. Raises ValueError, also for two that would have the same labels."""
    targets: dict[str, Target] = {}
    for text in texts:
        target = parse_target(text, path)
        if targets.setdefault(target.name, target) is not target:
            raise SettingError(f"{target.name} is listed twice", "list it once")
    return tuple(targets.values())
