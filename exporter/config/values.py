"""How a setting is spelt: text becomes seconds, bytes, lists, addresses, and is shown again as people write it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from exporter.config.errors import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KIB, MIB, GIB = 1024, 1024**2, 1024**3

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(B|KB|MB|GB|KiB|MiB|GiB)?")
_BYTES = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": KIB, "MiB": MIB, "GiB": GIB}
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.%]*")
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]*):([0-9]{1,5})")
_HIGHEST_PORT = 65535


def value_error(problem: str, cure: str) -> PydanticCustomError:
    """Make the error of a value: what is wrong with it, and what to write instead."""
    return PydanticCustomError("setting", "{problem}", {"problem": problem, "cure": cure})


@dataclass(frozen=True, slots=True)
class ValueFormat:
    """What a kind of value is called and how it is shown; for mappings, how text becomes pairs and keys are folded."""

    kind: str
    format: Callable[[Any], object] = str
    parse_pairs: Callable[[str], Mapping[str, str]] | None = None
    normalise_key: Callable[[str], str] = str


def parse_duration(value: object) -> object:
    """Turn Go-like text ("1m30s", "250ms", "15") into seconds; numbers pass as they are."""
    if isinstance(value, bool):
        raise value_error("is no duration", 'write seconds as a number, or text such as "1m30s"')
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise value_error(
            f"{quoted(value)} is no duration", 'write seconds as a number, or text such as "1m30s" or "250ms"'
        )
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def format_duration(value: float) -> str:
    """Show seconds as `seconds` reads them: 90 is "1m30s"."""
    if value < 1:
        return f"{round(value * 1000, 6):g}ms" if value else "0s"
    hours, rest = divmod(round(value, 6), 3600)
    minutes, left = divmod(rest, 60)
    tail = f"{left:.6f}".rstrip("0").rstrip(".")
    parts = (f"{hours:.0f}h" if hours else "", f"{minutes:.0f}m" if minutes else "", f"{tail}s" if left else "")
    return "".join(parts)


def parse_size(value: object) -> object:
    """Turn "64MiB" or "10MB" into bytes; numbers pass as they are."""
    if isinstance(value, bool):
        raise value_error("is no size", 'write bytes as a whole number, or text such as "64MiB"')
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise value_error(
            f"{quoted(value)} is no size", 'write bytes as a whole number, or text such as "64MiB" or "10MB"'
        )
    return round(float(match[1]) * _BYTES[match[2] or "B"])


def format_size(value: int) -> str:
    """Show bytes in the largest binary unit that divides them."""
    for unit in ("GiB", "MiB", "KiB"):
        if value and value % _BYTES[unit] == 0:
            return f"{value // _BYTES[unit]}{unit}"
    return str(value)


def parse_list(value: object) -> object:
    """Turn text into a list: JSON where it begins with "[", else what stands between commas."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return [item.strip() for item in value.split(",") if item.strip()]
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise value_error("is no JSON list", 'write ["a", "b"], or a,b') from None


def split_address(text: str) -> SplitResult:
    """Cut a URL, or a host with a port, and refuse what can be neither; the text is never repeated in the error."""
    if "@" in text:
        raise value_error(
            "holds a user name before an @", "write credentials under their own settings, and the address alone"
        )
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        port = parts.port
    except ValueError:
        raise value_error(
            "is no address: its host or port is malformed", "write host:port or a URL such as http://host:8090"
        ) from None
    if parts.scheme not in {"", "http", "https"}:
        raise value_error(f"has the scheme {parts.scheme!r}", "write http:// or https://")
    if not _HOST.fullmatch(parts.hostname or "") or port == 0:
        raise value_error(
            "names no host, or a port that cannot be", "write host:port or a URL such as http://host:8090"
        )
    return parts


def check_target(text: str) -> str:
    """Check one target: host:port, or a URL, whose path and query then take the place of the section's `path`."""
    parts = split_address(text)
    if not parts.scheme and parts.port is None:
        raise value_error(f"{quoted(text)} has no port", f"write host:port, for example {parts.hostname}:8090")
    if not parts.scheme and (parts.path or parts.query):
        raise value_error(f"{quoted(text)} has a path but no scheme", f"write http://{text}, or set `path`")
    return text


def check_listen_address(value: object) -> object:
    """Check an address to listen at, host:port, where the host may be left out; a bare port is taken too."""
    text = f":{value}" if re.fullmatch(r"[0-9]+", str(value)) else str(value).strip()
    match = _LISTEN.fullmatch(text)
    if match is None or int(match[2]) > _HIGHEST_PORT:
        raise value_error(f"{quoted(str(value))} is no address to listen at", 'write ":9464" or "127.0.0.1:9464"')
    return text


def reject_duplicates(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list that names something twice."""
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise value_error(f"names {', '.join(twice)} twice", "name each once")
    return values


def check_object_glob(text: str) -> str:
    """Check a "namespace/name" glob."""
    if text.count("/") != 1:
        raise value_error(
            f"{quoted(text)} does not say whose name it is", "write namespace/name; * and ? stand for any text"
        )
    return text


def lowercase(value: object) -> object:
    """Fold the case of a word, so that it may be written either way."""
    return value.strip().lower() if isinstance(value, str) else value


def _duration(kind: str) -> ValueFormat:
    return ValueFormat(kind, format_duration)


PositiveSeconds = Annotated[
    float, BeforeValidator(parse_duration), Field(gt=0, allow_inf_nan=False), _duration("duration")
]
NonNegativeSeconds = Annotated[
    float, BeforeValidator(parse_duration), Field(ge=0, allow_inf_nan=False), _duration("duration or 0")
]
ByteSize = Annotated[int, BeforeValidator(parse_size), Field(gt=0), ValueFormat("size", format_size)]
PositiveInt = Annotated[int, Field(gt=0), ValueFormat("count", int)]
StringList = Annotated[
    tuple[str, ...], BeforeValidator(parse_list), AfterValidator(reject_duplicates), ValueFormat("list of text", list)
]
GlobList = Annotated[
    tuple[str, ...], BeforeValidator(parse_list), AfterValidator(reject_duplicates), ValueFormat("list of globs", list)
]
ObjectGlobList = Annotated[
    tuple[Annotated[str, AfterValidator(check_object_glob)], ...],
    BeforeValidator(parse_list),
    AfterValidator(reject_duplicates),
    ValueFormat("list of namespace/name globs", list),
]
TargetList = Annotated[
    tuple[Annotated[str, AfterValidator(check_target)], ...],
    BeforeValidator(parse_list),
    AfterValidator(reject_duplicates),
    ValueFormat("list of host:port or URL", list),
]
ListenAddress = Annotated[str, BeforeValidator(check_listen_address), ValueFormat("[host]:port")]
FilePath = Annotated[Path, ValueFormat("file")]
SecretFilePath = Annotated[Path, ValueFormat("secret file")]
DirectoryPath = Annotated[Path, ValueFormat("directory")]
