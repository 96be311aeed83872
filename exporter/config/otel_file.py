"""The file of OTEL_CONFIG_FILE: OpenTelemetry's declarative configuration (file_format 0.1 to 1.x).

Its resource and the first OTLP exporter of its metric readers become settings, as the variables OTEL_* would. What is
not understood is warned of by its place. Keys as in opentelemetry-configuration, `schema/meter_provider`, `resource`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exporter.config.errors import Origin
from exporter.config.outputs import Endpoint
from exporter.config.values import SettingError, decode_headers, parse_attributes
from exporter.config.yaml_lines import Variable, read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exporter.config.errors import IssueCollector
    from exporter.config.model import SettingPath

OTEL_CONFIG_FILE: Final = "OTEL_CONFIG_FILE"
FORMER_NAME: Final = "OTEL_EXPERIMENTAL_CONFIG_FILE"
OTEL_FILE: Final = "otel_config_file"
"""The kind of warnings about what such a file, or a variable beside it, does not set."""
_SUBSTITUTION: Final = re.compile(r"\$(?:\$|\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^\n}]*))?\})")
_FORMAT: Final = re.compile(r"[01](\.\d+)?(-rc\.\d+)?")
_MAX_DIGITS: Final = 9
"""Of a timeout in milliseconds: some eleven days."""
_PROTOCOLS: Final = {"otlp_http": "http/protobuf", "otlp_grpc": "grpc", "otlp": ""}
"""Names of OTLP exporters and their protocols; up to 0.3 there was one, with a key for it."""
_CA_FILE: Final[SettingPath] = ("otlp", "tls", "ca_file")
_KEY_FILE: Final[SettingPath] = ("otlp", "tls", "key_file")
_CERT_FILE: Final[SettingPath] = ("otlp", "tls", "cert_file")
_TLS_KEYS: Final[Mapping[str, SettingPath]] = {
    **dict.fromkeys(("ca_file", "certificate_file", "certificate"), _CA_FILE),
    **dict.fromkeys(("key_file", "client_key_file", "client_key"), _KEY_FILE),
    **dict.fromkeys(("cert_file", "client_certificate_file", "client_certificate"), _CERT_FILE),
    "insecure": ("otlp", "insecure"),
}
"""The names of 1.0, of its candidates and 0.4, and of 0.3; first beside the endpoint, since 1.0-rc.2 in `tls`."""
_PLAIN_KEYS: Final[Mapping[str, SettingPath]] = {
    **_TLS_KEYS, "compression": ("otlp", "compression"), "protocol": ("otlp", "protocol"),
}  # fmt: skip
_AS_WE_DO: Final = {
    "encoding": "protobuf",
    "temporality_preference": "cumulative",
    "default_histogram_aggregation": "explicit_bucket_histogram",
}
"""Keys with the value that describes what this exporter does anyway."""


@dataclass(slots=True)
class DeclaredSettings:
    """Settings of the file, as assignments: those that the exporter's own file overrides, and those above it."""

    below_file: list[tuple[Variable, SettingPath, object]] = field(default_factory=list)
    above_file: list[tuple[Variable, SettingPath, object]] = field(default_factory=list)


def read_otel_file(variable: Variable, environment: Mapping[str, str], issues: IssueCollector) -> DeclaredSettings:
    """Read the file that a variable names; `environment` has what ${NAME} stands for."""
    file = Path(variable.text.strip())
    if not file.is_file():
        issues.add_error(variable.location, f"{file} is no file", "correct the path, or unset the variable")
        return DeclaredSettings()
    tree, lines = read_yaml(file, issues)
    reader = _OtelFile(file, lines, environment, issues)
    if isinstance(tree, dict):
        reader.read(tree)
    elif tree is not None:
        issues.add_error(str(file), "is not a mapping", "write file_format: and resource: at the top level")
    return reader.declared


@dataclass(frozen=True, slots=True)
class _OtelFile:
    file: Path
    lines: Mapping[SettingPath, int]
    environment: Mapping[str, str]
    issues: IssueCollector
    declared: DeclaredSettings = field(default_factory=DeclaredSettings)

    def read(self, tree: Mapping[str, Any]) -> None:
        readers: dict[str, Callable[[Any, SettingPath], None]] = {
            "file_format": self._file_format, "resource": self._resource, "meter_provider": self._meter_provider,
        }  # fmt: skip
        self._section(tree, (), readers)

    def _section(self, tree: Any, path: SettingPath, readers: Mapping[str, Callable[[Any, SettingPath], None]]) -> None:  # noqa: ANN401 - a YAML value
        """Read the keys of a mapping that have a reader; warn of the others."""
        for key, value in tree.items() if isinstance(tree, dict) else ():
            if key in readers:
                readers[key](value, (*path, key))
            elif value is not None:
                self._warn((*path, key), "is not understood, and ignored")

    def _file_format(self, value: object, path: SettingPath) -> None:
        if not _FORMAT.fullmatch(self._text(value)):
            self._warn(path, "is not a format that this exporter was made for (0.1 to 1.x)")

    def _resource(self, tree: Any, path: SettingPath) -> None:  # noqa: ANN401
        self._section(tree, path, {"attributes": self._attributes, "attributes_list": self._attributes_list,
                                   "schema_url": _ignored})  # fmt: skip

    def _attributes(self, value: Any, path: SettingPath) -> None:  # noqa: ANN401
        for key, text, place in self._pairs(value, path):
            self._set(self.declared.below_file, ("attributes", key), text, place)

    def _attributes_list(self, value: object, path: SettingPath) -> None:
        try:
            pairs = parse_attributes(self._text(value))
        except SettingError as error:
            self._warn(path, str(error), error.hint)
            return
        # `attributes` has priority, wherever it stands: a list is the lower layer.
        self.declared.below_file[:0] = [
            (self._variable(path), ("attributes", key), text) for key, text in pairs.items()
        ]

    def _meter_provider(self, tree: Any, path: SettingPath) -> None:  # noqa: ANN401
        self._section(tree, path, {"readers": self._readers})

    def _readers(self, value: Any, path: SettingPath) -> None:  # noqa: ANN401
        for index, reader in enumerate(value if isinstance(value, list) else ()):
            self._section(reader, (*path, index), {"periodic": self._periodic})

    def _periodic(self, tree: Any, path: SettingPath) -> None:  # noqa: ANN401
        self._section(tree, path, {"exporter": self._exporter})

    def _exporter(self, tree: Any, path: SettingPath) -> None:  # noqa: ANN401
        self._section(tree, path, dict.fromkeys(_PROTOCOLS, self._otlp))

    def _otlp(self, tree: Any, path: SettingPath) -> None:  # noqa: ANN401
        if self.declared.above_file:
            self._warn(path, "is a second OTLP exporter; only the first is used")
            return
        if not isinstance(tree, dict | None):
            self._warn(path, "is no mapping; it is ignored", "write endpoint: and headers: below it")
            return
        protocol = _PROTOCOLS[str(path[-1])] or self._text((tree or {}).get("protocol")) or "http/protobuf"
        self._set(self.declared.above_file, ("otlp", "protocol"), protocol, path)
        self._section(tree, path, {
            **dict.fromkeys(_PLAIN_KEYS, self._plain), **dict.fromkeys(_AS_WE_DO, self._as_we_do),
            "endpoint": self._endpoint, "timeout": self._timeout, "tls": self._tls,
            "headers": self._headers, "headers_list": self._headers_list,
        })  # fmt: skip

    def _plain(self, value: object, path: SettingPath) -> None:
        self._set(self.declared.above_file, _PLAIN_KEYS[str(path[-1])], self._text(value), path)

    def _as_we_do(self, value: object, path: SettingPath) -> None:
        expected = _AS_WE_DO[str(path[-1])]
        if self._text(value) not in {"", expected}:
            self._warn(path, f"is not supported; {expected} is used")

    def _endpoint(self, value: object, path: SettingPath) -> None:
        # Complete, unlike the variable: nothing is appended.
        is_http = self.declared.above_file[0][2] != "grpc"
        self._set(self.declared.above_file, ("otlp", "endpoint"), Endpoint(self._text(value), exact=is_http), path)

    def _timeout(self, value: object, path: SettingPath) -> None:
        text = self._text(value)
        if text.isdecimal() and len(text) <= _MAX_DIGITS:
            self._set(self.declared.above_file, ("otlp", "timeout"), int(text) / 1000, path)
        else:
            self._warn(path, "is not a whole number of milliseconds; it is ignored", "write 10000 for ten seconds")

    def _tls(self, tree: Any, path: SettingPath) -> None:  # noqa: ANN401
        self._section(tree, path, dict.fromkeys(_TLS_KEYS, self._plain))

    def _headers(self, value: Any, path: SettingPath) -> None:  # noqa: ANN401
        for name, text, place in self._pairs(value, path):
            self._set(self.declared.above_file, ("otlp", "headers", name.lower()), text, place)

    def _headers_list(self, value: object, path: SettingPath) -> None:
        headers, invalid_values, invalid_items = decode_headers(self._text(value))
        for message, hint in (*invalid_values, *invalid_items):
            self._warn(path, f"{message}; it is ignored", hint)
        # `headers` has priority, wherever it stands; the first assignment stays the protocol.
        self.declared.above_file[1:1] = [
            (self._variable(path), ("otlp", "headers", name), text) for name, text in headers.items()
        ]

    def _pairs(self, value: Any, path: SettingPath) -> Iterator[tuple[str, str, SettingPath]]:  # noqa: ANN401
        """Yield name, text and place of a list of name and value, or of a mapping, as up to 0.2."""
        if isinstance(value, dict):
            value = [{"name": name, "value": text} for name, text in value.items()]
        for index, item in enumerate(value if isinstance(value, list) else ()):
            place = (*path, index)
            if not isinstance(item, dict) or "name" not in item or isinstance(item.get("value"), dict | list):
                self._warn(place, "is not a name with a value of text; it is ignored", "write name: and value:")
            elif item.get("value") is not None:
                yield self._text(item["name"]), self._text(item["value"]), place

    def _text(self, value: object) -> str:
        """Return a scalar as text, with ${NAME} replaced; $$ is a dollar sign."""
        return _SUBSTITUTION.sub(self._substitute, "" if value is None else str(value)).strip()

    def _substitute(self, match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return self.environment.get(match[1]) or match[2] or ""

    def _set(self, target: list[Any], path: SettingPath, value: object, place: SettingPath) -> None:
        if value != "":
            target.append((self._variable(place), path, value))

    def _variable(self, place: SettingPath) -> Variable:
        return Variable(".".join(map(str, place)), "", Origin("file", self._location(place)))

    def _location(self, place: SettingPath) -> str:
        lines = (self.lines[place[:length]] for length in range(len(place), 0, -1) if place[:length] in self.lines)
        return f"{self.file}:{next(lines, 1)}"

    def _warn(
        self, place: SettingPath, message: str, hint: str = "remove it, or set what it means as a setting"
    ) -> None:
        self.issues.add_warning(f"{self._location(place)}: {'.'.join(map(str, place))}", message, hint, OTEL_FILE)


def _ignored(*_: object) -> None:
    """Read nothing of a key that changes nothing here."""
