"""What a Prometheus HTTP API answers, as frozen values; times are Unix seconds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from exporter.metrics import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.metrics import Labels


NAME: Final = "__name__"


@dataclass(frozen=True, slots=True)
class Sample:
    """One series' value at one time; `labels` are sorted, `__name__` among them."""

    labels: Labels
    at: float
    value: float

    def label(self, name: str) -> str:
        """Return the value of a label, "" when there is none."""
        return dict(self.labels).get(name, "")


@dataclass(frozen=True, slots=True)
class Vector:
    """One value of each of several series, in the order of the answer."""

    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number without labels."""

    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """A string literal."""

    at: float
    value: str


@dataclass(frozen=True, slots=True)
class Row:
    """One series over time: its points are (time, value)."""

    labels: Labels
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Several series over time."""

    rows: tuple[Row, ...]


Value = Vector | Scalar | Text | Matrix


@dataclass(frozen=True, slots=True)
class Answer:
    """A query's value, and what the store warns of."""

    value: Value
    warnings: tuple[str, ...] = ()


def answer(document: Mapping[str, Any]) -> Answer:
    """Read the JSON of a successful answer. Raises ValueError for any that is not one of a query."""
    try:
        data = document["data"]
        value = READERS[data["resultType"]](data["result"])
        return Answer(value, tuple(map(str, document.get("warnings") or ())))
    except (KeyError, TypeError, AttributeError):
        raise ValueError("it is no answer to a query") from None


def series(document: Mapping[str, Any]) -> tuple[Labels, ...]:
    """Read the JSON of a successful answer to a search for series. Raises ValueError."""
    try:
        return tuple(map(_labels, document["data"]))
    except (KeyError, TypeError, AttributeError):
        raise ValueError("it is no list of series") from None


def _labels(metric: Mapping[str, str]) -> Labels:
    return tuple(sorted(metric.items()))


def _number(pair: tuple[float, str]) -> tuple[float, float]:
    at, text = pair
    return float(at), float(text)


def _vector(result: list[Any]) -> Vector:
    return Vector(tuple(Sample(_labels(one["metric"]), *_number(one["value"])) for one in result))


def _matrix(result: list[Any]) -> Matrix:
    return Matrix(tuple(Row(_labels(one["metric"]), tuple(map(_number, one["values"]))) for one in result))


def _scalar(result: tuple[float, str]) -> Scalar:
    return Scalar(*_number(result))


def _text(result: tuple[float, str]) -> Text:
    at, text = result
    return Text(float(at), str(text))


READERS: Final[Mapping[str, Callable[[Any], Value]]] = {
    "vector": _vector,
    "matrix": _matrix,
    "scalar": _scalar,
    "string": _text,
}
"""How a result is read, by its type."""


# An HTTP answer that is no result → the Trouble that says what it means and what cures it. Pure.


LONGEST_SAID: Final = 300
_CREDENTIAL: Final = {401, 403}
_QUERY: Final = {400, 422}
_BUSY: Final = {408, 429}
_LAST9: Final = "last9.io"
_LAST9_READ: Final = "the cluster's Read URL, https://read-app-tsdb.last9.io/hot/v1/metrics/<cluster>/sender/<org>"
_LAST9_PAIR: Final = "the cluster id and a read token of that cluster, not the credential of OTLP"


@dataclass(frozen=True, slots=True)
class Cures:
    """What a message names as the cure: settings of ours, or fields of a template."""

    address: str = "read.address"
    credential: str = "read.username and read.password_file"
    tls: str = "read.tls"
    timeout: str = "read.timeout"


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom was asked, for the words of a message: the whole URL without its query, and whether with a credential."""

    url: str
    proven: bool
    cures: Cures

    @property
    def who(self) -> str:
        """Return scheme, host and port: neither user nor password, which may stand in a URL."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def path(self) -> str:
        """Return the path."""
        return urlsplit(self.url).path

    @property
    def last9(self) -> bool:
        """Say whether it is Last9 that was asked."""
        return (urlsplit(self.url).hostname or "").endswith(_LAST9)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP answer; `kind` is its media type, `location` where a redirect points."""

    status: int
    kind: str = ""
    body: bytes = b""
    location: str = ""


def document(reply: Reply, asked: Asked) -> Mapping[str, Any] | Failure:
    """Return the JSON of a successful answer, else why there is none."""
    found = _json(reply.body)
    said = _said(found, reply)
    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return _unsuccessful(reply, found, asked) or found
    named = f"{_named(reply.status)}{f': {said}' if said else ''}"
    match reply.status:
        case status if status in _CREDENTIAL:
            return Failure("credential", _unproven(named, asked))
        case status if status in _QUERY and found.get("status") == "error":
            return Failure("query", f"{asked.who} refuses the query: {said}")
        case status if status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            later = f"ask later; if it lasts, check {asked.cures.address}"
            return Failure("busy", f"{asked.who} answers {named}; {later}")
        case status if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            to = urlsplit(reply.location).hostname or "another path"
            named = f"{_named(status)} to {to}, which is not followed,"
    return Failure("address", f"{asked.who} answers {named} at {asked.path}; {_right(asked)}")


def _unsuccessful(reply: Reply, found: Mapping[str, Any], asked: Asked) -> Failure | None:
    """Return what is wrong with an answer whose status is a success, None when nothing is."""
    if found.get("status") == "success":
        return None
    if found.get("status") == "error":
        return Failure("query", f"{asked.who} refuses the query: {_said(found, reply)}")
    what = "a web page" if _is_page(reply) else "other JSON" if found else "something that is no JSON"
    return Failure("address", f"{asked.who} answers with {what}, not as a Prometheus API; {_right(asked)}")


def _unproven(named: str, asked: Asked) -> str:
    last9 = f" (at Last9 {_LAST9_PAIR})" if asked.last9 else ""
    if asked.proven:
        return f"{asked.who} refuses the credential ({named}); check {asked.cures.credential}{last9}"
    return f"{asked.who} wants a credential ({named}); set {asked.cures.credential}{last9}"


def _right(asked: Asked) -> str:
    """Say what the address should be."""
    if asked.path.count("/api/v1/") > 1:
        return f"leave /api/v1/query out of {asked.cures.address}: it is appended"
    return f"check {asked.cures.address}{f' (at Last9 {_LAST9_READ})' if asked.last9 else ''}"


def _json(body: bytes) -> Mapping[str, Any]:
    """Return the object that a body holds, an empty one when it holds none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _said(found: Mapping[str, Any], reply: Reply) -> str:
    """Return what an error says: the API's own words, or a text; of a web page nothing."""
    if "error" in found:
        return line(": ".join(str(found[key]) for key in ("errorType", "error") if found.get(key)))
    return "" if _is_page(reply) else line(reply.body[: 4 * LONGEST_SAID].decode(errors="replace"))


def _is_page(reply: Reply) -> bool:
    return reply.kind == "text/html" or reply.body.lstrip()[:1] == b"<"


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def line(text: str) -> str:
    """Return a text on one line, cut short, without control characters."""
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return words if len(words) <= LONGEST_SAID else f"{words[:LONGEST_SAID]}…"
