"""Responses of a Prometheus HTTP API → frozen values, or a Failure with a hint. Pure; times are Unix seconds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from exporter.metrics import Failure
from exporter.net.response import body_text, excerpt, status_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.metrics import Labels
    from exporter.net.response import HttpResponse


METRIC_NAME: Final = "__name__"
_MAX_EXCERPT: Final = 300
"""Characters of a server's own error text in a message: a PromQL parse error with its position fits."""
_LAST9_DOMAIN: Final = "last9.io"
_LAST9_ADDRESS: Final = "the cluster's Read URL, https://read-app-tsdb.last9.io/hot/v1/metrics/<cluster>/sender/<org>"
_LAST9_CREDENTIAL: Final = "the cluster id and a read token of that cluster, not the credential of OTLP"


@dataclass(frozen=True, slots=True)
class QuerySample:
    """The value of one series at one time; `labels` are sorted, `__name__` among them."""

    labels: Labels
    timestamp: float
    value: float

    def label(self, name: str) -> str:
        """Return the value of a label, "" if there is none."""
        return dict(self.labels).get(name, "")


@dataclass(frozen=True, slots=True)
class Vector:
    """One value of each of several series, in the order of the response."""

    samples: tuple[QuerySample, ...]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number without labels."""

    timestamp: float
    value: float


@dataclass(frozen=True, slots=True)
class StringValue:
    """A string literal."""

    timestamp: float
    value: str


@dataclass(frozen=True, slots=True)
class RangeSeries:
    """One series over time: `points` are (time, value)."""

    labels: Labels
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Several series over time."""

    series: tuple[RangeSeries, ...]


QueryValue = Vector | Scalar | StringValue | Matrix


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The value of a query, and the warnings of the server."""

    value: QueryValue
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hints:
    """What the user should check, for error messages: settings of ours, or fields of an AnalysisTemplate."""

    address: str = "read.address"
    credential: str = "read.username and read.password_file"
    tls: str = "read.tls"
    timeout: str = "read.timeout"


@dataclass(frozen=True, slots=True)
class QueryContext:
    """What error messages show of a request: `url` without a query string, and whether it has a credential."""

    url: str
    has_credential: bool
    hints: Hints

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a user and password that the URL may have."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def path(self) -> str:
        """The path of the URL."""
        return urlsplit(self.url).path

    @property
    def is_last9(self) -> bool:
        """Whether the server is Last9's."""
        return (urlsplit(self.url).hostname or "").endswith(_LAST9_DOMAIN)


def parse_query(document: Mapping[str, Any]) -> QueryResult:
    """Parse the JSON of a successful query. Raises ValueError."""
    try:
        data = document["data"]
        value = _VALUE_PARSERS[data["resultType"]](data["result"])
        return QueryResult(value, tuple(map(str, document.get("warnings") or ())))
    except (KeyError, TypeError, AttributeError, OverflowError):
        raise ValueError("it is not the result of a query") from None


def parse_series(document: Mapping[str, Any]) -> tuple[Labels, ...]:
    """Parse the JSON of a successful search for series. Raises ValueError."""
    try:
        return tuple(map(_labels, document["data"]))
    except (KeyError, TypeError, AttributeError):
        raise ValueError("it is not a list of series") from None


def _labels(metric: Mapping[str, str]) -> Labels:
    return tuple(sorted(metric.items()))


def _point(pair: tuple[float, str]) -> tuple[float, float]:
    timestamp, number = pair
    return float(timestamp), float(number)


def _sample(series: Mapping[str, Any]) -> QuerySample:
    return QuerySample(_labels(series["metric"]), *_point(series["value"]))


def _range_series(series: Mapping[str, Any]) -> RangeSeries:
    return RangeSeries(_labels(series["metric"]), tuple(map(_point, series["values"])))


def _string(result: tuple[float, str]) -> StringValue:
    timestamp, text = result
    return StringValue(float(timestamp), str(text))


_VALUE_PARSERS: Final[Mapping[str, Callable[[Any], QueryValue]]] = {
    "vector": lambda result: Vector(tuple(map(_sample, result))),
    "matrix": lambda result: Matrix(tuple(map(_range_series, result))),
    "scalar": lambda result: Scalar(*_point(result)),
    "string": _string,
}
"""By the `resultType` of a response."""


def parse_response(response: HttpResponse, context: QueryContext) -> Mapping[str, Any] | Failure:
    """Return the JSON of a successful response, else what is wrong with it.

    The reasons: `query` (rejected as it is), `credential`, `address`, `busy`.
    """
    document = _json_object(response.body)
    message = _error_text(document, response)
    is_success = HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES
    if is_success and document.get("status") == "success":
        return document
    # Prometheus describes what is wrong with a query under these two; other statuses may be a proxy's.
    if document.get("status") == "error" and (is_success or response.status in {400, 422}):
        return Failure("query", f"{context.origin} rejects the query: {message}")
    if is_success:
        content = "a web page" if _is_html(response) else "other JSON" if document else "something that is not JSON"
        text = f"{context.origin} responds with {content}, not as a Prometheus API; {_address_hint(context)}"
        return Failure("address", text)
    status = f"{status_text(response.status)}{f': {message}' if message else ''}"
    match response.status:
        case 401 | 403:
            return Failure("credential", _credential_message(status, context))
        case code if code in {408, 429} or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            hint = f"retry later; if this persists, check {context.hints.address}"
            return Failure("busy", f"{context.origin} responds {status}; {hint}")
        case code if HTTPStatus.MULTIPLE_CHOICES <= code < HTTPStatus.BAD_REQUEST:
            location = response.redirect_host or "another path"
            status = f"{status_text(code)} to {location}, which is not followed,"
    return Failure("address", f"{context.origin} responds {status} at {context.path}; {_address_hint(context)}")


def _credential_message(status: str, context: QueryContext) -> str:
    last9 = f" (at Last9 {_LAST9_CREDENTIAL})" if context.is_last9 else ""
    if context.has_credential:
        return f"{context.origin} rejects the credential ({status}); check {context.hints.credential}{last9}"
    return f"{context.origin} requires a credential ({status}); set {context.hints.credential}{last9}"


def _address_hint(context: QueryContext) -> str:
    """Return how to correct the address."""
    if context.path.count("/api/v1/") > 1:
        return f"leave /api/v1/query out of {context.hints.address}: it is appended"
    return f"check {context.hints.address}{f' (at Last9 {_LAST9_ADDRESS})' if context.is_last9 else ''}"


def _json_object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object that a body holds, an empty one if it holds none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):  # deep nesting exhausts the decoder's stack
        return {}
    return document if isinstance(document, dict) else {}


def _error_text(document: Mapping[str, Any], response: HttpResponse) -> str:
    """Return the error of the API, else the text of the body; nothing of a web page."""
    if "error" in document:
        error = ": ".join(str(document[key]) for key in ("errorType", "error") if document.get(key))
        return excerpt(error, _MAX_EXCERPT)
    return "" if _is_html(response) else excerpt(body_text(response.body, _MAX_EXCERPT), _MAX_EXCERPT)


def _is_html(response: HttpResponse) -> bool:
    return response.media_type == "text/html" or response.body.lstrip()[:1] == b"<"
