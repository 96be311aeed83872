"""Where requests go, and the headers and certificates that go with them; loaded again when their files change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from opentelemetry.exporter.otlp.version import __version__ as OTLP_VERSION  # noqa: N812 - as a constant

from exporter import log
from exporter.config.values import SettingError, check_header_value, parse_headers
from exporter.net.files import ReloadingFile, SecretFile
from exporter.net.http import USER_AGENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from exporter.net.tls import ClientTlsLoader, TlsMaterial


OTLP_USER_AGENT: Final = f"{USER_AGENT} OTel-OTLP-Exporter-Python/{OTLP_VERSION}"
"""The specification of OTLP asks for `OTel-OTLP-Exporter-<language>/<version>`; our own name precedes it."""
MAX_RESPONSE_BYTES: Final = 4 * 1024 * 1024
"""Bytes of a response that are read by default (E25)."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A backend: `endpoint` is the complete URL for HTTP, host:port for gRPC; `timeout` in seconds, 0 for none.

    `headers` and the contents of the files are secret; a file overrides `headers`. `tls` is None for plain text.
    `gzip` lets gRPC compress; over HTTP a body is sent as it is. The proxy is the environment's.
    """

    endpoint: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers_file: Path | None = None
    authorization_file: Path | None = None
    timeout: float = 10.0
    tls: ClientTlsLoader | None = None
    gzip: bool = True
    max_response_bytes: int = MAX_RESPONSE_BYTES


PARSERS: Final[Mapping[str, Callable[[str], Mapping[str, str]]]] = {
    "headers_file": parse_headers,
    "authorization_file": lambda text: {"authorization": check_header_value(text)},
}
"""The parser of each file, by setting; a later one overrides headers of an earlier one."""


class RequestCredentials:
    """The headers and the TLS of a destination, as its settings and files are now.

    Raises ValueError for a file that cannot be used; it names the setting and the file, and shows nothing of a secret.
    """

    def __init__(self, destination: Destination) -> None:
        self._tls = destination.tls
        # Names of headers are case-insensitive (E13).
        self._static_headers = {name.lower(): value for name, value in destination.headers.items()}
        self._files = {"headers_file": destination.headers_file, "authorization_file": destination.authorization_file}
        self._headers = ReloadingFile(self._load_headers, *self._files.values())
        log.register_auth_headers(*self._static_headers.values())

    def changed(self) -> bool:
        """Return whether a file of headers or certificates changed since it was last loaded."""
        return self._headers.changed() or (self._tls is not None and self._tls.changed())

    def headers(self) -> Mapping[str, str]:
        """Return the headers, by lower-case name."""
        return self._headers.load()

    def tls_material(self) -> TlsMaterial | None:
        """Return the certificates, the same object while their files are the same; None for plain text."""
        try:
            return self._tls.load() if self._tls is not None else None
        except OSError as error:
            raise ValueError(f"otlp.tls: {error.filename} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise ValueError(f"otlp.tls: {error}") from None

    def _load_headers(self) -> Mapping[str, str]:
        headers = dict(self._static_headers)
        for setting, path in self._files.items():
            if path is not None:
                headers |= _headers_of(setting, path)
        log.register_auth_headers(*headers.values())
        return headers


def _headers_of(setting: str, path: Path) -> Mapping[str, str]:
    try:
        # `from None` below: the cause may contain the secret.
        return PARSERS[setting](_file_text(path))
    except SettingError as error:
        raise ValueError(f"otlp.{setting}: {path} {error}; {error.hint}") from None
    except OSError as error:
        raise ValueError(f"otlp.{setting}: {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"otlp.{setting}: {error}") from None


def _file_text(path: Path) -> str:
    if text := SecretFile(path).read():
        return text
    raise ValueError(f"{path} is empty; write the header's value into it")
