"""Structured logging on the standard library's: a constant event with fields, as text or JSON, secrets masked.

log = logging.getLogger(__name__)
log.warning("target is down", extra=fields(target="10.0.0.1:8090", reason="refused"))
"""

from __future__ import annotations

import json
import logging
import re
from base64 import b64decode
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Final, Literal, TextIO
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

Layout = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]
Value = str | int | float | bool | None

MASK: Final = "***"
BARE: Final = re.compile(r'[^\s"=\\\x00-\x1f\x7f]+')
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def fields(**values: object) -> Mapping[str, object]:
    """Return what a logger takes as `extra`: the facts that go with an event."""
    return {"fields": values}


class Masking(logging.Filter):
    """Puts *** for every secret it knows into whatever a record says: event, arguments, fields, exception, stack."""

    def __init__(self) -> None:
        super().__init__()
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def hide(self, *secrets: str) -> None:
        """Know these from now on, also as they look quoted in a URL or a repr; an empty one is no secret."""
        if self._secrets.issuperset(filter(None, secrets)):
            return
        for secret in filter(None, secrets):
            self._secrets |= {secret, quote(secret, safe=""), repr(secret)[1:-1]}
        longest_first = sorted(self._secrets, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def mask(self, text: str) -> str:
        """Return the text with *** in place of each secret."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def mask_bytes(self, content: bytes) -> bytes:
        """Return bytes with *** in place of each secret, whatever else they are."""
        return self.mask(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record itself, so that no later handler shows what this one hides."""
        record.msg, record.args = self.mask(_message(record)), None
        record.__dict__["fields"] = {name: self._value(value) for name, value in _fields(record).items()}
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        record.exc_text = self.mask(record.exc_text or "")
        record.stack_info = self.mask(record.stack_info or "")
        return True

    def _value(self, value: object) -> Value:
        text = str(value)
        masked = self.mask(text)
        if masked == text and (value is None or isinstance(value, bool | int)):
            return value
        return value if masked == text and isinstance(value, float) and isfinite(value) else masked


class TextFormatter(logging.Formatter):
    """`2026-01-02T03:04:05.678Z WARNING target is down target=10.0.0.1:8090`, a traceback on the lines after."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line, and more lines only for a traceback."""
        event = CONTROL.sub(" ", record.getMessage())
        told = (f"{name}={_logfmt(value)}" for name, value in _fields(record).items())
        trace = [CONTROL.sub(" ", line) for line in _trace(record).split("\n") if line]
        return "\n".join((" ".join((_time(record), record.levelname, event, *told)), *trace))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, event, the fields, and exception where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        head = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        tail = {"exception": trace} if (trace := _trace(record)) else {}
        return json.dumps({**head, "event": record.getMessage(), **_fields(record), **tail}, default=str)


SECRETS: Final = Masking()
SHORTEST_SECRET: Final = 8
"""What is shorter is not masked: it would turn up in innocent words."""
FORMATTERS: Final[Mapping[Layout, type[logging.Formatter]]] = {"text": TextFormatter, "json": JsonFormatter}


def hide(*secrets: str) -> None:
    """Have these never appear in the log, whoever logs them."""
    SECRETS.hide(*secrets)


def hide_credential(*headers: str) -> None:
    """Have the values of these headers never appear, nor their last words, nor what those are in base64."""
    for header in headers:
        token = header.rpartition(" ")[2]
        plain = _decoded(token)
        hide(*(part for part in (header, token, plain, plain.partition(":")[2]) if len(part) >= SHORTEST_SECRET))


def configure(level: Level = "info", layout: Layout = "text", stream: TextIO | None = None) -> None:
    """Send every log record of the process to `stream` (standard error by default), in place of whatever did."""
    handler = logging.StreamHandler(stream)
    handler.addFilter(SECRETS)
    handler.setFormatter(FORMATTERS[layout]())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _decoded(token: str) -> str:
    try:
        return b64decode(token, validate=True).decode()
    except ValueError:
        return ""


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    told: Mapping[str, object] = getattr(record, "fields", {})
    return told


def _message(record: logging.LogRecord) -> str:
    """Return the event, also of a library's call whose arguments do not fit: logging must not break its caller."""
    try:
        return record.getMessage()
    except (KeyError, TypeError, ValueError):
        return f"{record.msg} {record.args}"


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace(record: logging.LogRecord) -> str:
    return "\n".join(filter(None, (record.exc_text, record.stack_info)))


def _logfmt(value: object) -> str:
    text = str(value)
    return text if BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)
