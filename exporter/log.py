"""Structured logging on top of the standard library: a constant event text with fields, as text or JSON.

Registered secrets are redacted from every record, whichever library logs it.

log = logging.getLogger(__name__)
log.warning("target down", extra=fields(target="10.0.0.1:8090", reason="refused"))
"""

from __future__ import annotations

import json
import logging
import re
from base64 import b64decode
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Final, Literal, TextIO
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

Layout = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]
FieldValue = str | int | float | bool | None | Mapping[str, "FieldValue"]

MASK: Final = "***"
UNQUOTED: Final = re.compile(r'[^\s"=\\\x00-\x1f\x7f-\x9f]+')
CONTROL_CHARS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Replaced in text output, where a line break within a field would forge a line; the last ones end one in Unicode."""

_quote: Final = json.JSONEncoder(ensure_ascii=False).encode
UNSAFE_NAME_CHARS: Final = re.compile(r"[^\w.:/-]")
"""Replaced in names of text output, which may be users' text."""


def fields(**values: object) -> Mapping[str, object]:
    """Return the `extra` of a log call: the fields of an event."""
    return {"fields": values}


class SecretRedactor(logging.Filter):
    """Replaces every registered secret by *** in all parts of a record: event, arguments, fields, exception, stack."""

    def __init__(self) -> None:
        super().__init__()
        # By secret, in the order of their last registration: whether newer ones take its place.
        self._rotating: dict[str, bool] = {}
        self._pattern: re.Pattern[str] | None = None

    def register(self, *secrets: str, rotating: bool = False) -> None:
        """Redact these from now on, also URL-quoted and in a repr; empty texts are ignored.

        Of `rotating` ones, such as tokens of Kubernetes, only the MAX_ROTATING_SECRETS that were registered last count:
        a process that lives for months would redact with thousands of them.
        """
        previous_count = len(self._rotating)
        for secret in filter(None, secrets):
            # At the end again: credentials are registered at each request.
            self._rotating[secret] = self._rotating.pop(secret, True) and rotating
        if len(self._rotating) == previous_count:
            return  # the pattern is compiled only for new ones
        for secret in [secret for secret, is_rotating in self._rotating.items() if is_rotating][:-MAX_ROTATING_SECRETS]:
            del self._rotating[secret]
        forms = {form for secret in self._rotating for form in (secret, quote(secret, safe=""), repr(secret)[1:-1])}
        # Longest first, so that a secret within a longer one does not leave the rest of it readable.
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def redact(self, text: str) -> str:
        """Return the text with each secret replaced by ***."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def redact_bytes(self, content: bytes) -> bytes:
        """Return the bytes with each secret replaced by ***; they need not be valid UTF-8."""
        return self.redact(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def overwrite(self, content: bytes) -> bytes:
        """Return the bytes with each byte of a secret replaced by `*`, so that all others keep their place."""
        text, pattern = content.decode("utf-8", "surrogateescape"), self._pattern
        masked = pattern.sub(lambda secret: "*" * len(secret[0].encode()), text) if pattern else text
        return masked.encode("utf-8", "surrogateescape")

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record in place, so that no later handler can print a secret."""
        record.msg, record.args = self.redact(_message(record)), None
        record.__dict__["fields"] = {name: self._value(value) for name, value in _fields(record).items()}
        if record.exc_info:
            # Formatted here: a later formatter would print the exception as it is.
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        record.exc_text = self.redact(record.exc_text or "")
        record.stack_info = self.redact(record.stack_info or "")
        return True

    def _value(self, value: object) -> FieldValue:
        if isinstance(value, str):  # most are; whether a value is a mapping takes longer to find out
            return self.redact(str(value))
        if isinstance(value, Mapping):
            return {self.redact(str(name)): self._value(member) for name, member in value.items()}
        text = str(value)
        redacted = self.redact(text)
        if redacted == text and (value is None or isinstance(value, bool | int)):
            return value
        return value if redacted == text and isinstance(value, float) and isfinite(value) else redacted


class TextFormatter(logging.Formatter):
    """`2026-01-02T03:04:05.678Z WARNING target down target=10.0.0.1:8090`, a traceback on the lines below."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, plus the lines of a traceback."""
        event = CONTROL_CHARS.sub(" ", record.getMessage())
        log_fields = (f"{name}={_logfmt(value)}" for name, value in _flat(_fields(record)))
        trace = [CONTROL_CHARS.sub(" ", line) for line in _trace(record).split("\n") if line]
        return "\n".join((" ".join((_time(record), record.levelname, event, *log_fields)), *trace))


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, event, the fields, and exception if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        head = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        tail = {"exception": trace} if (trace := _trace(record)) else {}
        return json.dumps({**head, "event": record.getMessage(), **_fields(record), **tail}, default=str)


@dataclass(frozen=True, slots=True)
class LoggedNotice:
    """A warning or error of the log, redacted: when it came last (Unix seconds), and how often it came."""

    timestamp: float
    level: str
    text: str
    count: int = 1


class NoticeHandler(logging.Handler):
    """Holds the last warnings and errors that differ, for the pages."""

    def __init__(self, limit: int) -> None:
        super().__init__(logging.WARNING)
        self.addFilter(REDACTOR)
        self._limit = limit
        self._notices: dict[tuple[str, str], LoggedNotice] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Hold a record; of many equal ones their count."""
        event = CONTROL_CHARS.sub(" ", record.getMessage())
        parts = (event, *(f"{name}={_logfmt(value)}" for name, value in _flat(_fields(record))))
        key = record.levelname.lower(), " ".join(parts)[:MAX_NOTICE_LENGTH]
        earlier = self._notices.pop(key, None)
        self._notices[key] = LoggedNotice(record.created, *key, count=1 + (earlier.count if earlier else 0))
        if len(self._notices) > self._limit:
            del self._notices[next(iter(self._notices))]

    @property
    def notices(self) -> tuple[LoggedNotice, ...]:
        """The notices, in the order in which each came last."""
        with self.lock or nullcontext():
            return tuple(self._notices.values())


REDACTOR: Final = SecretRedactor()
MAX_NOTICE_LENGTH: Final = 1_000
"""Characters of a notice: enough for a reason with its hint."""
MAX_ROTATING_SECRETS: Final = 256
"""Parts of credentials that are read again and again: those of all sources, over some days of hourly rotation."""
MIN_SECRET_LENGTH: Final = 8
"""Shorter parts of a credential are not redacted: they would match within ordinary words."""
FORMATTERS: Final[Mapping[Layout, type[logging.Formatter]]] = {"text": TextFormatter, "json": JsonFormatter}


def register_secrets(*secrets: str) -> None:
    """Redact these values from all log output."""
    REDACTOR.register(*secrets)


def register_auth_headers(*headers: str) -> None:
    """Redact the values of these headers, the token after the scheme, and user and password if it is base64."""
    for header in headers:
        token = header.rpartition(" ")[2]
        plain = _decoded(token)
        parts = (header, token, plain, plain.partition(":")[2])
        REDACTOR.register(*(part for part in parts if len(part) >= MIN_SECRET_LENGTH), rotating=True)


def configure(level: Level = "info", layout: Layout = "text", stream: TextIO | None = None) -> None:
    """Send every log record of the process to `stream` (default: standard error); replaces existing handlers."""
    handler = logging.StreamHandler(stream)
    # On the handler, since a logger's filter does not see the records of its children.
    handler.addFilter(REDACTOR)
    handler.setFormatter(FORMATTERS[layout]())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _decoded(token: str) -> str:
    try:
        return b64decode(token, validate=True).decode()
    except ValueError:
        return ""


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    log_fields: Mapping[str, object] = getattr(record, "fields", {})
    return log_fields


def _flat(log_fields: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield names and values; a member of a field that is a mapping has the name `field.member`."""
    for name, value in log_fields.items():
        if not isinstance(value, str) and isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield UNSAFE_NAME_CHARS.sub("_", f"{prefix}{name}"), value


def _message(record: logging.LogRecord) -> str:
    """Return the event text, even if a library's arguments do not fit its format: logging must not raise."""
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
    return text if UNQUOTED.fullmatch(text) else CONTROL_CHARS.sub(" ", _quote(text))
