"""How setting values are written: parsers of text, their formatters, and the annotated types built from them."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import SplitResult, unquote, urlsplit

from exporter.config.errors import MASK, quoted, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
SURROGATE = re.compile("[\ud800-\udfff]")
"""What a byte that is not UTF-8 becomes in a variable; no request could be made of it."""
_REQUEST_PATH = r"^/[!-\"$-~]*$"
_INTEGER = re.compile(r"\+?(-?[0-9]{1,400}(?:_[0-9]+)*)(?:\.0*)?", re.ASCII)
_BOOLEANS: Mapping[str | int, bool] = {
    **dict.fromkeys(("true", "yes", "on", "t", "y", "1", 1), True),
    **dict.fromkeys(("false", "no", "off", "f", "n", "0", 0), False),
}
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


class SettingError(ValueError):
    """A value is invalid; the text is what is wrong with it, `hint` what to write instead, "" for the setting's kind.

    The text quotes no secret. `value` may be one: it is quoted, too, unless the setting is secret.
    """

    def __init__(self, message: str, hint: str = "", value: object = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.value = value


class SecretText:
    """A secret as written; no output shows it, also not `asdict`, since it is no dataclass."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretText) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


def parse_text(value: object) -> str:
    """Return text unchanged, unless it has bytes that are not UTF-8, as variables and JSON escapes may have."""
    if not isinstance(value, str):
        raise SettingError("should be a valid string", value=value)
    if SURROGATE.search(value):
        raise SettingError("has characters that are not UTF-8", "write it as UTF-8 text")
    return value


@dataclass(frozen=True, slots=True)
class ValueFormat:
    """How the values of a kind are written: name, formatter, and parser, of which what it returns is a valid value.

    For lists and mappings `parse` takes an item, and `check` the entire value, and raises SettingError; for mappings
    `parse_pairs` turns text into pairs, `normalise_key` makes equal what is one name, `check_key` returns the key.
    """

    kind: str
    format: Callable[[Any], object] = str
    parse: Callable[[Any], Any] = parse_text
    check: Callable[[Any], object] = bool
    parse_pairs: Callable[[str], Mapping[str, str]] | None = None
    normalise_key: Callable[[str], str] = str
    check_key: Callable[[str], str] = str


def parse_duration(value: object) -> float:
    """Parse Go-like text ("1m30s", "250ms", "15") into seconds; return numbers unchanged."""
    if isinstance(value, bool):
        raise SettingError("is not a duration", DURATION_HINT)  # a bool is an int in Python
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    if not isinstance(value, str):
        raise SettingError("should be a finite number", value=value)
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise SettingError(f"{quoted(value)} is not a duration", DURATION_HINT)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def format_duration(value: float) -> str:
    """Format seconds as text that `parse_duration` parses: 90 is "1m30s"."""
    if value < 1:
        return f"{round(value * 1000, 6):g}ms" if value else "0s"
    hours, remainder = divmod(round(value, 6), 3600)
    minutes, seconds = divmod(remainder, 60)
    text = (f"{hours:.0f}h" if hours else "") + (f"{minutes:.0f}m" if minutes else "")
    return text + (f"{seconds:.6f}".rstrip("0").rstrip(".") + "s" if seconds else "")


def parse_size(value: object) -> int:
    """Parse "64MiB" or "10MB" into bytes; return whole numbers unchanged."""
    if isinstance(value, bool):
        raise SettingError("is not a size", SIZE_HINT)
    if not isinstance(value, str):
        return parse_integer(value)
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise SettingError(f"{quoted(value)} is not a size", SIZE_HINT)
    size = float(match[1]) * _BYTES[match[2] or "B"]
    if size > MAX_SIZE:
        raise SettingError(f"{quoted(value)} is more than {format_size(MAX_SIZE)}", SIZE_HINT)
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
        raise SettingError("is not a JSON list", 'write ["a", "b"], or a,b') from None


def split_address(text: str) -> SplitResult:
    """Split a URL or host:port. Raise on anything else; the error never quotes the text, which may hold a password."""
    if "@" in text:
        hint = "set credentials in their own settings, and write the address alone"
        raise SettingError("has a user name before an @", hint)
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        port = parts.port
    except ValueError:
        raise SettingError("is not an address: its host or port is malformed", ADDRESS_HINT) from None
    if parts.scheme not in {"", "http", "https"}:
        raise SettingError(f"has the scheme {parts.scheme!r}", "write http:// or https://")
    if not _is_host(parts.hostname or "") or port == 0:
        raise SettingError("has no host or an invalid port", ADDRESS_HINT)
    if not _PRINTABLE.fullmatch(text) or "#" in text:
        raise SettingError("has white space, # or non-ASCII characters", ADDRESS_HINT)
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


def parse_path(value: object) -> Path:
    """Parse the path of a file or directory; the error does not quote it, since a secret may stand there instead."""
    if not isinstance(value, str | Path):
        raise SettingError("should be a path")
    if "\0" in str(value):
        raise SettingError("has a NUL character, which no path can have", "write the path alone")
    return Path(value)


def check_target(value: object) -> str:
    """Check a target: host:port, or a URL whose path and query replace the section's `path`."""
    text = parse_text(value)
    parts = split_address(text)
    if not parts.scheme and parts.port is None:
        raise SettingError(f"{quoted(text)} has no port", f"write host:port, for example {parts.hostname}:8090")
    if not parts.scheme and (parts.path or parts.query):
        raise SettingError(
            f"{quoted(text)} has a path but no scheme", f"write http://{without_secrets(text)}, or set `path`"
        )
    return UrlText(text)


def mask_targets(targets: Iterable[str]) -> list[str]:
    """Return the targets to show."""
    return [UrlText(target).masked for target in targets]


def check_listen_address(value: object) -> str:
    """Check a listen address, [host]:port; a port alone is accepted, too."""
    text = f":{value}" if re.fullmatch(r"[0-9]+", str(value)) else str(value).strip()
    match = _LISTEN.fullmatch(text)
    if match is None or int(match[2]) > _MAX_PORT:
        raise SettingError(f"{quoted(str(value))} is not a listen address", 'write ":9464" or "127.0.0.1:9464"')
    return text


def matches_any(text: str, globs: Iterable[str]) -> bool:
    """Return whether a complete text matches one of the globs; upper and lower case differ."""
    return any(fnmatchcase(text, glob) for glob in globs)


def reject_duplicates(values: Iterable[str]) -> None:
    """Raise if a list has an item twice."""
    duplicates = sorted(value for value, count in Counter(values).items() if count > 1)
    if duplicates:
        raise SettingError(f"has {quoted(', '.join(duplicates))} twice", "write each item once")


def check_object_glob(value: object) -> str:
    """Check a "namespace/name" glob."""
    text = parse_text(value)
    if text.count("/") != 1:
        hint = "write namespace/name; * and ? match any text"
        raise SettingError(f"{quoted(text)} is not of the form namespace/name", hint)
    return text


def parse_boolean(value: object) -> bool:
    """Parse a boolean, in the words of YAML 1.1, or 1 and 0."""
    word = value.strip().lower() if isinstance(value, str) else value
    if isinstance(word, str | int) and word in _BOOLEANS:
        return _BOOLEANS[word]
    raise SettingError("should be a valid boolean", value=value)


def parse_integer(value: object) -> int:
    """Parse a whole number; a fraction of zeros is accepted, too."""
    if isinstance(value, str) and (match := _INTEGER.fullmatch(value.strip())):
        return int(match[1])
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value == int(value):
        return int(value)
    raise SettingError("should be a valid integer", value=value)


def parse_choice(choices: tuple[str, ...], value: object) -> str:
    """Parse one of some words, in any case."""
    word = value.strip().lower() if isinstance(value, str) else value
    if isinstance(word, str) and word in choices:
        return word
    *others, last = map(repr, choices)
    raise SettingError(f"should be {', '.join(others)} or {last}", value=value)


def choice_format(*choices: str) -> ValueFormat:
    """Return the format of one of some words."""
    return ValueFormat(" | ".join(choices), parse=partial(parse_choice, choices))


def parse_matching(pattern: str, value: object) -> str:
    """Return text that a regular expression matches completely."""
    text = parse_text(value)
    if not re.fullmatch(pattern, text):
        raise SettingError(f"should match pattern '{pattern}'", value=value)
    return text


def parse_secret(value: object) -> SecretText:
    """Parse a secret."""
    return value if isinstance(value, SecretText) else SecretText(parse_text(value))


def check_header_name(name: str) -> str:
    """Return a header name in lower case, as gRPC requires; HTTP ignores the case (E13)."""
    if not _TOKEN.fullmatch(name):
        raise SettingError("is not a valid header name", "write letters, digits and dashes, as in x-scope")
    if name.lower() in FRAMING_HEADERS:
        raise SettingError("belongs to the connection or describes the body, and is set by the exporter", "remove it")
    return name.lower()


def check_header_value(value: str) -> str:
    """Return a header value without outer white space. Raise on line breaks and non-ASCII characters (E13)."""
    return _check_visible_ascii(value.strip())


def _check_visible_ascii(value: str) -> str:
    if not _VISIBLE_ASCII.fullmatch(value):
        raise SettingError("has a line break, a control character or a non-ASCII character", "write one line of ASCII")
    return value


def _parse_header_value(value: object) -> SecretText:
    return SecretText(check_header_value(parse_secret(value).text))


def percent_decode(text: str) -> str:
    """Decode %XX; "+" stays "+" (E11). Raise on a percent sign without two hexadecimal digits (E12)."""
    if _INVALID_PERCENT.search(text):
        raise SettingError("has a percent sign without two hexadecimal digits after it", "write a percent sign as %25")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise SettingError("decodes to bytes that are not UTF-8", "percent-encode UTF-8 text") from None


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
        except SettingError as error:
            invalid_values.append((f"header {match[1]}: {error}", error.hint))
    return headers, tuple(invalid_values), tuple(invalid_items)


def parse_headers(text: str) -> Mapping[str, str]:
    """Decode the headers of a setting. Raise on the first invalid item."""
    headers, invalid_values, invalid_items = decode_headers(text)
    for message, hint in (*invalid_values, *invalid_items):
        raise SettingError(message, hint)
    return headers


def parse_attributes(text: str) -> Mapping[str, str]:
    """Decode `key=value,key=value`, both percent-encoded. Raise on the first invalid item (E14)."""
    attributes: dict[str, str] = {}
    for item in filter(str.strip, text.split(",")):
        key, separator, value = item.partition("=")
        if not separator or not key.strip():
            raise SettingError(
                "an item is not of the form key=value", "write key=value,key=value, with %2C for a comma"
            )
        attributes[percent_decode(key.strip())] = percent_decode(value.strip())
    return attributes


def _duration_format(kind: str, minimum: float, *, or_zero: bool = False) -> ValueFormat:
    """Return the format of durations from a minimum, in seconds."""

    def parse(value: object) -> float:
        seconds = parse_duration(value)
        if seconds < minimum and not (or_zero and seconds == 0):
            shortest, zero = format_duration(minimum), ", or 0" if or_zero else ""
            raise SettingError(f"is shorter than {shortest}", f"write {shortest} or more{zero}")
        if seconds > MAX_SECONDS:
            raise SettingError("is longer than ten years", "write at most 3650d")
        return seconds

    return ValueFormat(kind, format_duration, parse)


def _check_range(number: int, minimum: int, maximum: int, value: object) -> int:
    if number < minimum:
        limit = "greater than 0" if minimum == 1 else f"greater than or equal to {minimum}"
        raise SettingError(f"should be {limit}", value=value)
    if number > maximum:
        raise SettingError(f"should be less than or equal to {maximum}", value=value)
    return number


def size_format(minimum: int = 1, maximum: int = MAX_SIZE) -> ValueFormat:
    """Return the format of sizes within limits, in bytes."""
    return ValueFormat("size", format_size, lambda value: _check_range(parse_size(value), minimum, maximum, value))


def text_format(pattern: str) -> ValueFormat:
    """Return the format of text that a regular expression matches completely."""
    return ValueFormat("text", parse=partial(parse_matching, pattern))


def list_format(kind: str, parse: Callable[[Any], object] = parse_text) -> ValueFormat:
    """Return the format of a list without duplicates; `parse` takes an item."""
    return ValueFormat(kind, list, parse, reject_duplicates)


def _parse_count(value: object) -> int:
    return _check_range(parse_integer(value), 1, _MAX_COUNT, value)


def _parse_request_path(value: object) -> UrlText:
    return UrlText(parse_matching(_REQUEST_PATH, value))


BOOLEAN = ValueFormat("true or false", bool, parse_boolean)
INTEGER = ValueFormat("whole number", int, parse_integer)
SECRET = ValueFormat("secret text", parse=parse_secret)
TEXT = ValueFormat("text")
Interval = Annotated[float, _duration_format("duration", MIN_INTERVAL)]
PositiveSeconds = Annotated[float, _duration_format("duration", MIN_SECONDS)]
PositiveOrZeroSeconds = Annotated[float, _duration_format("duration or 0", MIN_SECONDS, or_zero=True)]
NonNegativeSeconds = Annotated[float, _duration_format("duration or 0", 0.0)]
ByteSize = Annotated[int, size_format()]
PositiveInt = Annotated[int, ValueFormat("whole number", int, _parse_count)]
StringList = Annotated[tuple[str, ...], list_format("list of text")]
GlobList = Annotated[tuple[str, ...], list_format("list of globs")]
ObjectGlobList = Annotated[tuple[str, ...], list_format("list of namespace/name globs", check_object_glob)]
TargetList = Annotated[
    tuple[str, ...], ValueFormat("list of host:port or URL", mask_targets, check_target, reject_duplicates)
]
RequestPath = Annotated[str, ValueFormat("path", lambda path: UrlText(path).masked, _parse_request_path)]
ListenAddress = Annotated[str, ValueFormat("[host]:port", parse=check_listen_address)]
FilePath = Annotated[Path, ValueFormat("file", parse=parse_path)]
SecretFilePath = Annotated[Path, ValueFormat("secret file", parse=parse_path)]
DirectoryPath = Annotated[Path, ValueFormat("directory", parse=parse_path)]
Headers = Annotated[
    Mapping[str, SecretText],
    ValueFormat(
        "headers",
        parse=_parse_header_value,
        parse_pairs=parse_headers,
        normalise_key=str.lower,
        check_key=check_header_name,
    ),
]
