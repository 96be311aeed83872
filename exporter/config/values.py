"""How setting values are written: parsers of text, their formatters, and the annotated types built from them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from exporter.config.errors import MASK, quoted, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

KIB, MIB, GIB = 1024, 1024**2, 1024**3
MAX_SIZE = 1024**2 * GIB
"""One pebibyte: far above any use, and within what a float holds exactly."""
_MAX_COUNT = 10**9
"""Far above any use, and within 32 bits."""
MAX_SECONDS = 10 * 365 * 86_400.0
"""Ten years: far above any use, and within what timers, threads and databases count in."""
MIN_INTERVAL, MIN_SECONDS = 0.1, 0.01
"""Floors in seconds: below them the exporter would only be busy with timers."""

# Narrower than float(), which takes 1_000, inf and nan.
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(B|KB|MB|GB|KiB|MiB|GiB)?")
_BYTES = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": KIB, "MiB": MIB, "GiB": GIB}
# A host name (underscores are common in container networks), or an IPv6 address with an optional zone.
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.%]*")
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]*):([0-9]{1,5})")
_MAX_PORT = 65535
# RFC 9110, 5.6.2: the characters of a header name.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_INVALID_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_VISIBLE_ASCII = re.compile(r"[\t\x20-\x7e]*")
_PRINTABLE = re.compile(r"[!-~]+")
# The parameters that kube-state-metrics and Prometheus document; the value of any other may be a token.
_PARAMETER = re.compile(r"(?<=[?&])(?!(?:resources|collect\[\]|match\[\]|name\[\])=)([^=&]*=)?[^&]+")
_MAX_HOST_LENGTH, _MAX_LABEL_LENGTH = 253, 63  # RFC 1035, 2.3.4
# RFC 9110 (7.2, 7.6.1, 8.6), RFC 9112: they frame the message, so another value of one makes the peer read another
# message than was sent. The content headers describe the body, which the exporter encodes itself.
FRAMING_HEADERS = frozenset({
    "connection", "content-encoding", "content-length", "content-type", "expect", "host", "keep-alive",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip

DURATION_HINT = 'write seconds as a number, or text such as "1m30s" or "250ms"'
SIZE_HINT = 'write bytes as a whole number, or text such as "64MiB" or "10MB"'
ADDRESS_HINT = "write host:port or a URL such as http://host:8090"

MessageAndHint = tuple[str, str]
"""What is wrong with a value, and what to write instead."""


def value_error(message: str, hint: str) -> PydanticCustomError:
    """Return the validation error of a value, with the hint that `error_hint` reads."""
    return PydanticCustomError("setting", "{message}", {"message": message, "hint": hint})


def error_hint(error: PydanticCustomError) -> str:
    """Return the hint of an error made by `value_error`."""
    return str((error.context or {})["hint"])


@dataclass(frozen=True, slots=True)
class ValueFormat:
    """Name of a kind of value and its formatter; for mappings, how text becomes pairs and how keys are normalised."""

    kind: str
    format: Callable[[Any], object] = str
    parse_pairs: Callable[[str], Mapping[str, str]] | None = None
    normalise_key: Callable[[str], str] = str


def parse_duration(value: object) -> object:
    """Parse Go-like text ("1m30s", "250ms", "15") into seconds; return numbers unchanged."""
    if isinstance(value, bool):
        raise value_error("is not a duration", DURATION_HINT)  # a bool is an int in Python
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise value_error(f"{quoted(value)} is not a duration", DURATION_HINT)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def format_duration(value: float) -> str:
    """Format seconds as text that `parse_duration` parses: 90 is "1m30s"."""
    if value < 1:
        return f"{round(value * 1000, 6):g}ms" if value else "0s"
    hours, remainder = divmod(round(value, 6), 3600)
    minutes, seconds = divmod(remainder, 60)
    text = (f"{hours:.0f}h" if hours else "") + (f"{minutes:.0f}m" if minutes else "")
    return text + (f"{seconds:.6f}".rstrip("0").rstrip(".") + "s" if seconds else "")


def parse_size(value: object) -> object:
    """Parse "64MiB" or "10MB" into bytes; return numbers unchanged."""
    if isinstance(value, bool):
        raise value_error("is not a size", SIZE_HINT)
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise value_error(f"{quoted(value)} is not a size", SIZE_HINT)
    size = float(match[1]) * _BYTES[match[2] or "B"]
    if size > MAX_SIZE:
        raise value_error(f"{quoted(value)} is more than {format_size(MAX_SIZE)}", SIZE_HINT)
    return round(size)


def format_size(value: int) -> str:
    """Format bytes in the largest binary unit that divides them."""
    for unit in ("GiB", "MiB", "KiB"):
        if value and value % _BYTES[unit] == 0:
            return f"{value // _BYTES[unit]}{unit}"
    return str(value)


def parse_list(value: object) -> object:
    """Parse text into a list: as JSON if it starts with "[", else split at commas."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return [item.strip() for item in value.split(",") if item.strip()]
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise value_error("is not a JSON list", 'write ["a", "b"], or a,b') from None


def split_address(text: str) -> SplitResult:
    """Split a URL or host:port. Raise on anything else; the error never quotes the text, which may hold a password."""
    if "@" in text:
        hint = "set credentials in their own settings, and write the address alone"
        raise value_error("has a user name before an @", hint)
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        port = parts.port
    except ValueError:
        raise value_error("is not an address: its host or port is malformed", ADDRESS_HINT) from None
    if parts.scheme not in {"", "http", "https"}:
        raise value_error(f"has the scheme {parts.scheme!r}", "write http:// or https://")
    if not _is_host(parts.hostname or "") or port == 0:
        raise value_error("has no host or an invalid port", ADDRESS_HINT)
    if not _PRINTABLE.fullmatch(text) or "#" in text:
        raise value_error("has white space, # or non-ASCII characters", ADDRESS_HINT)
    return parts


def _is_host(text: str) -> bool:
    labels = text.removesuffix(".").split(".")
    is_name = len(text) <= _MAX_HOST_LENGTH and all(0 < len(label) <= _MAX_LABEL_LENGTH for label in labels)
    return bool(_HOST.fullmatch(text)) and (":" in text or is_name)


def bracketed(host: str) -> str:
    """Return a host as URLs and `host:port` have it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


class UrlText(str):
    """A URL, or its path, as written; its repr masks what may be secret."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(self.masked)

    @property
    def masked(self) -> str:
        """The text to show: of a URL without the query, of a path without values of unknown parameters."""
        return without_secrets(self) if "://" in self else _PARAMETER.sub(rf"\1{MASK}", self)


def check_path(path: Path) -> Path:
    """Check the path of a file or directory; the error does not quote it, since a secret may stand there instead."""
    if "\0" in str(path):
        raise value_error("has a NUL character, which no path can have", "write the path alone")
    return path


def check_target(text: str) -> str:
    """Check a target: host:port, or a URL whose path and query replace the section's `path`."""
    parts = split_address(text)
    if not parts.scheme and parts.port is None:
        raise value_error(f"{quoted(text)} has no port", f"write host:port, for example {parts.hostname}:8090")
    if not parts.scheme and (parts.path or parts.query):
        raise value_error(
            f"{quoted(text)} has a path but no scheme", f"write http://{without_secrets(text)}, or set `path`"
        )
    return UrlText(text)


def mask_targets(targets: Iterable[str]) -> list[str]:
    """Return the targets to show."""
    return [UrlText(target).masked for target in targets]


def check_listen_address(value: object) -> object:
    """Check a listen address, [host]:port; a port alone is accepted, too."""
    text = f":{value}" if re.fullmatch(r"[0-9]+", str(value)) else str(value).strip()
    match = _LISTEN.fullmatch(text)
    if match is None or int(match[2]) > _MAX_PORT:
        raise value_error(f"{quoted(str(value))} is not a listen address", 'write ":9464" or "127.0.0.1:9464"')
    return text


def matches_any(text: str, globs: Iterable[str]) -> bool:
    """Return whether a complete text matches one of the globs; upper and lower case differ."""
    return any(fnmatchcase(text, glob) for glob in globs)


def reject_duplicates(values: tuple[str, ...]) -> tuple[str, ...]:
    """Raise if a list has an item twice."""
    duplicates = sorted(value for value, count in Counter(values).items() if count > 1)
    if duplicates:
        raise value_error(f"has {quoted(', '.join(duplicates))} twice", "write each item once")
    return values


def check_object_glob(text: str) -> str:
    """Check a "namespace/name" glob."""
    if text.count("/") != 1:
        hint = "write namespace/name; * and ? match any text"
        raise value_error(f"{quoted(text)} is not of the form namespace/name", hint)
    return text


def lowercase(value: object) -> object:
    """Return text in lower case without outer white space; return other values unchanged."""
    return value.strip().lower() if isinstance(value, str) else value


def check_header_name(name: str) -> str:
    """Return a header name in lower case, as gRPC requires; HTTP ignores the case (E13)."""
    if not _TOKEN.fullmatch(name):
        raise value_error("is not a valid header name", "write letters, digits and dashes, as in x-scope")
    if name.lower() in FRAMING_HEADERS:
        raise value_error("belongs to the connection or describes the body, and is set by the exporter", "remove it")
    return name.lower()


def check_header_value(value: str) -> str:
    """Return a header value without outer white space. Raise on line breaks and non-ASCII characters (E13)."""
    return _check_visible_ascii(value.strip())


def _check_visible_ascii(value: str) -> str:
    if not _VISIBLE_ASCII.fullmatch(value):
        raise value_error("has a line break, a control character or a non-ASCII character", "write one line of ASCII")
    return value


def _check_secret_header_value(value: SecretStr) -> SecretStr:
    return SecretStr(check_header_value(value.get_secret_value()))


def percent_decode(text: str) -> str:
    """Decode %XX; "+" stays "+" (E11). Raise on a percent sign without two hexadecimal digits (E12)."""
    if _INVALID_PERCENT.search(text):
        raise value_error("has a percent sign without two hexadecimal digits after it", "write a percent sign as %25")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise value_error("decodes to bytes that are not UTF-8", "percent-encode UTF-8 text") from None


def decode_headers(text: str) -> tuple[dict[str, str], tuple[MessageAndHint, ...], tuple[MessageAndHint, ...]]:
    """Decode `name=value,name=value`, also one per line and `name: value` (E11).

    Return the headers by lower-case name, the problems of invalid values, and the problems of items that are not
    headers. Messages quote names that are HTTP tokens and nothing else: without a name the whole item may be the
    secret.
    """
    headers: dict[str, str] = {}
    invalid_values: list[MessageAndHint] = []
    invalid_items: list[MessageAndHint] = []
    for number, item in enumerate(filter(str.strip, re.split(r"[,\r\n]", text)), 1):
        # `name: value` is accepted, too: SDKs skip such an item with a warning, and the backend then responds with 401.
        match = re.fullmatch(r"\s*([^=:]*?)\s*[=:](.*)", item)
        if match is None or not _TOKEN.fullmatch(match[1]) or _INVALID_PERCENT.search(match[1]):
            invalid_items.append((f"item {number} is not a header", "write name=value, separated by commas"))
            continue
        try:
            name, value = check_header_name(percent_decode(match[1])), percent_decode(match[2].strip())
            headers[name] = _check_visible_ascii(value)
        except PydanticCustomError as error:
            invalid_values.append((f"header {match[1]}: {error.message()}", error_hint(error)))
    return headers, tuple(invalid_values), tuple(invalid_items)


def parse_headers(text: str) -> Mapping[str, str]:
    """Decode the headers of a setting. Raise on the first invalid item."""
    headers, invalid_values, invalid_items = decode_headers(text)
    for message, hint in (*invalid_values, *invalid_items):
        raise value_error(message, hint)
    return headers


def parse_attributes(text: str) -> Mapping[str, str]:
    """Decode `key=value,key=value`, both percent-encoded. Raise on the first invalid item (E14)."""
    attributes: dict[str, str] = {}
    for item in filter(str.strip, text.split(",")):
        key, separator, value = item.partition("=")
        if not separator or not key.strip():
            raise value_error("an item is not of the form key=value", "write key=value,key=value, with %2C for a comma")
        attributes[percent_decode(key.strip())] = percent_decode(value.strip())
    return attributes


def _at_least(minimum: float, *, or_zero: bool = False) -> AfterValidator:
    """Return the check of a duration's limits, in seconds."""

    def check(value: float) -> float:
        if value < minimum and not (or_zero and value == 0):
            zero = ", or 0" if or_zero else ""
            raise value_error(
                f"is shorter than {format_duration(minimum)}", f"write {format_duration(minimum)} or more{zero}"
            )
        if value > MAX_SECONDS:
            raise value_error("is longer than ten years", "write at most 3650d")
        return value

    return AfterValidator(check)


_Seconds = Annotated[float, BeforeValidator(parse_duration), Field(allow_inf_nan=False)]
_UniqueList = Annotated[tuple[T, ...], BeforeValidator(parse_list), AfterValidator(reject_duplicates)]

Interval = Annotated[_Seconds, _at_least(MIN_INTERVAL), ValueFormat("duration", format_duration)]
PositiveSeconds = Annotated[_Seconds, _at_least(MIN_SECONDS), ValueFormat("duration", format_duration)]
PositiveOrZeroSeconds = Annotated[
    _Seconds, _at_least(MIN_SECONDS, or_zero=True), ValueFormat("duration or 0", format_duration)
]
NonNegativeSeconds = Annotated[_Seconds, _at_least(0.0), ValueFormat("duration or 0", format_duration)]
ByteSize = Annotated[int, BeforeValidator(parse_size), Field(gt=0, le=MAX_SIZE), ValueFormat("size", format_size)]
PositiveInt = Annotated[int, Field(gt=0, le=_MAX_COUNT), ValueFormat("whole number", int)]
StringList = Annotated[_UniqueList[str], ValueFormat("list of text", list)]
GlobList = Annotated[_UniqueList[str], ValueFormat("list of globs", list)]
_ObjectGlob = Annotated[str, AfterValidator(check_object_glob)]
ObjectGlobList = Annotated[_UniqueList[_ObjectGlob], ValueFormat("list of namespace/name globs", list)]
_Target = Annotated[str, AfterValidator(check_target)]
TargetList = Annotated[_UniqueList[_Target], ValueFormat("list of host:port or URL", mask_targets)]
RequestPath = Annotated[
    str,
    Field(pattern=r"^/[!-\"$-~]*$"),
    AfterValidator(UrlText),
    ValueFormat("path", lambda path: UrlText(path).masked),
]
ListenAddress = Annotated[str, BeforeValidator(check_listen_address), ValueFormat("[host]:port")]
_Path = Annotated[Path, AfterValidator(check_path)]
FilePath = Annotated[_Path, ValueFormat("file")]
SecretFilePath = Annotated[_Path, ValueFormat("secret file")]
DirectoryPath = Annotated[_Path, ValueFormat("directory")]
HeaderName = Annotated[str, AfterValidator(check_header_name)]
HeaderValue = Annotated[SecretStr, AfterValidator(_check_secret_header_value)]
Headers = Annotated[Mapping[HeaderName, HeaderValue], ValueFormat("headers", str, parse_headers, str.lower)]
