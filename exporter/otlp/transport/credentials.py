"""What proves who we are: headers and certificates, of the settings and of files, read again when those change."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Final
from urllib.request import getproxies, proxy_bypass

from pydantic_core import PydanticCustomError

from exporter import __version__, log
from exporter.config.otel import cure, header_pairs, header_value
from exporter.net.files import Reread, SecretFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from exporter.net.tls import Proof, Trust


# Where requests go and how: what both transports are made of.


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


def _authorization(text: str) -> Mapping[str, str]:
    return {"authorization": header_value(text)}


READERS: Final[Mapping[str, Callable[[str], Mapping[str, str]]]] = {
    "headers_file": header_pairs,
    "authorization_file": _authorization,
}
"""How each file is read; a later one wins."""


class Credential:
    """The headers and the TLS of a destination, as they are now.

    What cannot be used raises ValueError that names the setting and the file, and shows nothing of the secret.
    """

    def __init__(self, to: Destination) -> None:
        self._trust = to.trust
        self._fixed = {name.lower(): value for name, value in to.headers.items()}
        files = {"headers_file": to.headers_file, "authorization_file": to.authorization_file}
        self._files = {setting: path for setting, path in files.items() if path is not None}
        self._headers = Reread(self._read, *self._files.values())
        log.hide_credential(*self._fixed.values())

    def changed(self) -> bool:
        """Return whether there is another credential or certificate than the one last used."""
        return self._headers.changed() or (self._trust is not None and self._trust.changed())

    def headers(self) -> dict[str, str]:
        """Return the headers, by lower-case name."""
        return dict(self._headers.now())

    def tls(self) -> Proof | None:
        """Return the certificates, the same object while they are the same; None for plain text."""
        try:
            return self._trust.proof() if self._trust is not None else None
        except OSError as error:
            raise ValueError(f"otlp.tls: {error.filename} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise ValueError(f"otlp.tls: {error}") from None

    def _read(self) -> Mapping[str, str]:
        headers = dict(self._fixed)
        for setting, path in self._files.items():
            headers |= _headers(setting, path)
        log.hide_credential(*headers.values())
        return headers


def _headers(setting: str, path: Path) -> Mapping[str, str]:
    try:
        return READERS[setting](_text(path))
    except PydanticCustomError as error:
        raise ValueError(f"otlp.{setting}: {path} {error.message()}; {cure(error)}") from None
    except OSError as error:
        raise ValueError(f"otlp.{setting}: {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"otlp.{setting}: {error}") from None


def _text(path: Path) -> str:
    if text := SecretFile(path).read():
        return text
    raise ValueError(f"{path} is empty; write the header's value into it")
