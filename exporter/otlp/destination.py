"""Where requests go and how: what both transports are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Final
from urllib.request import getproxies, proxy_bypass

from exporter import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from exporter.trust import Trust

USER_AGENT: Final = (
    f"rollouts-exporter/{__version__} OTel-OTLP-Exporter-Python/{version('opentelemetry-exporter-otlp')}"
)
LONGEST_ANSWER: Final = 4 * 1024 * 1024
"""The most of an answer that is read, in bytes (E25)."""


@dataclass(frozen=True, slots=True)
class Destination:
    """`endpoint` is the whole URL for HTTP, host:port for gRPC; `timeout` in seconds, 0 for none.

    `headers` and what is in the files are secrets; a file wins over `headers`. `trust` is None for plain text.
    `gzip` has gRPC compress; over HTTP a body goes as it is. Proxies are the environment's.
    """

    endpoint: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers_file: Path | None = None
    authorization_file: Path | None = None
    timeout: float = 10.0
    trust: Trust | None = None
    gzip: bool = True


def proxy(scheme: str, host: str) -> str | None:
    """Return the URL of the environment's proxy for a scheme and a host, None for the direct way."""
    address = getproxies().get(scheme)
    if not address or proxy_bypass(host):
        return None
    return address if "://" in address else f"http://{address}"
