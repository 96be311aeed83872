"""What the OTEL_* variables may hold (rules E05 to E14): headers, attributes, booleans, words, milliseconds.

Each `read_…` turns a variable's text into a Reading. Header values are secret: no message here repeats one.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote

from pydantic import AfterValidator, SecretStr
from pydantic_core import PydanticCustomError

from exporter.config.values import ValueFormat, value_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_VISIBLE = re.compile(r"[\t\x20-\x7e]*")
_OWN_NAME = re.compile(r"authorization\s*[=:]\s*", re.IGNORECASE)

MessageAndHint = tuple[str, str]
"""A problem and its cure."""


@dataclass(frozen=True, slots=True)
class ParsedVariable:
    """What a variable's text came to: a value (None: as if unset), and what was found on the way."""

    value: object = None
    errors: tuple[MessageAndHint, ...] = ()
    warnings: tuple[MessageAndHint, ...] = ()


def check_header_name(name: str) -> str:
    """Return a header's name in lower case, as gRPC wants it and HTTP does not mind (E13)."""
    if not _TOKEN.fullmatch(name):
        raise value_error("a header's name is no HTTP token", "write letters, digits and dashes, for example x-scope")
    return name.lower()


def check_header_value(value: str) -> str:
    """Return a header's value without outer white space; refuse line breaks and what is not ASCII (E13)."""
    return _sendable(value.strip())


def _sendable(value: str) -> str:
    if not _VISIBLE.fullmatch(value):
        raise value_error(
            "holds a line break, a control character or a character beyond ASCII", "write one line of ASCII"
        )
    return value


def percent_decode(text: str) -> str:
    """Decode %XX; "+" stays "+" (E11). Raise where a percent sign stands for nothing (E12)."""
    if _BAD_PERCENT.search(text):
        raise value_error("holds a percent sign without two hexadecimal digits after it", "write a percent sign as %25")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise value_error("decodes to bytes that are no UTF-8", "percent-encode UTF-8 text") from None


def decode_headers(text: str) -> tuple[dict[str, str], tuple[MessageAndHint, ...], tuple[MessageAndHint, ...]]:
    """Decode `name=value,name=value`, also one a line and `name: value` (E11).

    Returns the headers by lower-case name, the values refused, and the items that are no header at all; of both only
    a name that is a token is told, for without one the whole item may be the secret.
    """
    headers: dict[str, str] = {}
    refused: list[MessageAndHint] = []
    strange: list[MessageAndHint] = []
    for number, item in enumerate(filter(str.strip, re.split(r"[,\r\n]", text)), 1):
        match = re.fullmatch(r"\s*([^=:]*?)\s*[=:](.*)", item)
        if match is None or not _TOKEN.fullmatch(match[1]) or _BAD_PERCENT.search(match[1]):
            strange.append((f"item {number} is no header", "write name=value, several with commas between"))
            continue
        try:
            headers[check_header_name(percent_decode(match[1]))] = _sendable(percent_decode(match[2].strip()))
        except PydanticCustomError as error:
            refused.append((f"header {match[1]}: {error.message()}", error_hint(error)))
    return headers, tuple(refused), tuple(strange)


def error_hint(error: PydanticCustomError) -> str:
    """Return the cure that `wrong` put into an error."""
    return str((error.context or {})["cure"])


def parse_headers(text: str) -> Mapping[str, str]:
    """Decode headers of our own settings, where any bad item is an error."""
    headers, refused, strange = decode_headers(text)
    for problem, advice in (*refused, *strange):
        raise value_error(problem, advice)
    return headers


def parse_attributes(text: str) -> Mapping[str, str]:
    """Decode `key=value,key=value`, both percent-encoded; one bad item spoils the whole (E14)."""
    pairs: dict[str, str] = {}
    for item in filter(str.strip, text.split(",")):
        key, separator, value = item.partition("=")
        if not separator or not key.strip():
            raise value_error("an item is not of the form key=value", "write key=value,key=value, with %2C for a comma")
        pairs[percent_decode(key.strip())] = percent_decode(value.strip())
    return pairs


def text_variable(text: str) -> ParsedVariable:
    """Take the text as it is, without outer white space."""
    return ParsedVariable(text.strip())


def headers_variable(text: str) -> ParsedVariable:
    """Read headers: what is no header is passed over with a warning, a value that cannot be sent is refused."""
    headers, refused, strange = decode_headers(text)
    return ParsedVariable(headers or None, refused, strange)


def attributes_variable(text: str) -> ParsedVariable:
    """Read resource attributes; the whole variable is dropped with a warning when any of it cannot be decoded."""
    try:
        return ParsedVariable(dict(parse_attributes(text)))
    except PydanticCustomError as error:
        return ParsedVariable(warnings=((f"{error.message()}; none of it is used", error_hint(error)),))


def boolean_variable(text: str) -> ParsedVariable:
    """Read a boolean: only "true" is true, in any case; other words are false, with a warning (E06)."""
    word = text.strip().lower()
    strange = () if word in {"true", "false"} else (("is neither true nor false, so false", "write true or false"),)
    return ParsedVariable(word == "true", warnings=strange)


def milliseconds_variable(text: str) -> ParsedVariable:
    """Read whole milliseconds as seconds; 0 means no limit (E07); what is no such number is passed over."""
    if re.fullmatch(r"[0-9]{1,12}", text.strip()):
        return ParsedVariable(int(text) / 1000)
    return ParsedVariable(
        warnings=(("is no whole number of milliseconds, so not used", "write 10000 for ten seconds"),)
    )


def choice_variable(*known: str, refused: tuple[str, ...] = ()) -> Callable[[str], ParsedVariable]:
    """Read one of the known words in any case; unknown ones are passed over with a warning (E06).

    The `refused` ones are handed on, so that the setting itself says why.
    """

    def read(text: str) -> ParsedVariable:
        word = text.strip().lower()
        if word in known or word in refused:
            return ParsedVariable(word)
        return ParsedVariable(warnings=(("is an unknown word, so not used", f"write {' or '.join(known)}"),))

    return read


def authorization_variable(text: str) -> ParsedVariable:
    """Read a whole Authorization header, as Last9's page gives it, in the spellings people paste."""
    value = _OWN_NAME.sub("", text.strip(), count=1).replace("Basic%20", "Basic ", 1)
    advice = "copy the whole value, `Basic ` and all, from the OpenTelemetry integration page of Last9"
    strange = () if _is_basic(value) else (("is not `Basic ` and base64 of user:password", advice),)
    return ParsedVariable({"authorization": value}, warnings=strange)


def _is_basic(value: str) -> bool:
    scheme, _, credential = value.partition(" ")
    try:
        return scheme.lower() == "basic" and b":" in base64.b64decode(credential.strip(), validate=True)
    except ValueError:
        return False


def _secret_header_value(value: SecretStr) -> SecretStr:
    return SecretStr(check_header_value(value.get_secret_value()))


HeaderName = Annotated[str, AfterValidator(check_header_name)]
HeaderValue = Annotated[SecretStr, AfterValidator(_secret_header_value)]
HEADERS_FORMAT = ValueFormat("headers", dict, parse_headers, str.lower)
ATTRIBUTES_FORMAT = ValueFormat("attributes", dict, parse_attributes)
