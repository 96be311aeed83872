"""The controller's Prometheus provider without the network: which metrics it rejects, and how it evaluates a result.

Error texts are the controller's, or those of the Go libraries that it uses.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from exporter.gate import go_format
from exporter.gate.analysis_run import AnalysisPhase, MeasurementOutcome
from exporter.gate.controller import Feature
from exporter.gate.expr import ConditionTrace, EngineFailure, parse, trace
from exporter.gate.expr.errors import ConditionError, UnsupportedError
from exporter.net.prometheus_response import Matrix, QueryValue, Scalar, StringValue, Vector

if TYPE_CHECKING:
    from exporter.gate.controller import ControllerVersion
    from exporter.gate.template import Metric, PrometheusProvider

TIMEOUT_SECONDS: Final = 30
"""The controller's default for `timeout`."""
ADDRESS_VARIABLE: Final = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS"
"""The controller's own variable, the address of templates that set none."""
JSON_STATUSES: Final = {400, 422}
"""The error statuses whose body the controller's client parses: Prometheus describes the error there."""
# What Go's net/http sends: a token as name, and in the value no control character but tabs.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CONTROL_OR_TAB: Final = re.compile(r"[\x00-\x1f\x7f]")
_INVALID_IN_HOST: Final = re.compile(r"[ \"<>^`{|}]")
"""What Go's net/url refuses in a host, and Python's urlsplit does not."""
_SUCCESS: Final = range(200, 300)
_CLIENT_ERROR: Final = range(400, 500)
_SERVER_ERROR: Final = range(500, 600)


@dataclass(frozen=True, slots=True)
class MetricEvaluation:
    """An outcome, and the trace of each condition; None for one that is absent or was not reached."""

    outcome: MeasurementOutcome
    success: ConditionTrace | None = None
    failure: ConditionTrace | None = None
    hint: str = ""
    """What the outcome means and how to fix it, where the controller's text does not show it."""


def error_outcome(message: str, *, was_queried: bool = True) -> MeasurementOutcome:
    """Return the outcome of a query without a result."""
    return MeasurementOutcome(AnalysisPhase.ERROR, message=message, was_queried=was_queried)


def request_error(provider: PrometheusProvider) -> MeasurementOutcome | None:
    """Return the outcome of a metric for which the controller sends no request, None if it does."""
    message = _provider_message(provider)
    if message is not None:
        return error_outcome(message, was_queried=False)
    message = _client_message(provider)
    return None if message is None else error_outcome(message)


def _provider_message(provider: PrometheusProvider) -> str | None:
    """Return why the controller cannot create a provider."""
    if not provider.address:
        return "prometheus address is not configured"
    if not is_url(provider.address):
        return "prometheus address is not is url format"  # sic
    basic, oauth2 = provider.authentication.basic_auth, provider.authentication.oauth2
    if bool(basic.username) != bool(basic.password):
        missing = "password" if basic.username else "username"
        return f"missing mandatory parameter in metric for basic auth setup: {missing}"
    if oauth2.token_url and not (oauth2.client_id and oauth2.client_secret):
        return "missing mandatory parameter in metric for OAuth2 setup"
    if provider.timeout is not None and provider.timeout < 0:
        return "prometheus timeout should not be negative"
    return None


def is_url(text: str) -> bool:
    """Return whether the controller accepts an address: it has a scheme and a host, and a port that is a number.

    Python ignores spaces and line breaks around a URL, Go does not.
    """
    if _CONTROL_OR_TAB.search(text) or text.startswith(" "):
        return False
    try:
        url = urlsplit(text)
        host = url.netloc.rpartition("@")[2]
        return bool(url.scheme and host and not _INVALID_IN_HOST.search(host) and (url.port is None or url.port >= 0))
    except ValueError:
        return False


def _client_message(provider: PrometheusProvider) -> str | None:
    """Return why Go's client rejects to send a request, as with a line break in a header."""
    url = f"{provider.address.rstrip('/')}/api/v1/query{'' if provider.range_query is None else '_range'}"
    masked_url = re.sub(r"(://[^/@:]*:)[^/@]*@", r"\1***@", url)  # as Go's errors do
    scheme = urlsplit(provider.address).scheme
    if scheme not in {"http", "https"}:
        return f'Post "{masked_url}": unsupported protocol scheme {go_format.quote(scheme)}'
    for header in provider.headers:
        name = "-".join(part.capitalize() for part in header.key.split("-"))  # as Go's Header.Set spells it
        if not _HEADER_NAME.fullmatch(header.key):
            return f'Post "{masked_url}": net/http: invalid header field name {go_format.quote(header.key)}'
        if _CONTROL.search(header.value):
            return f'Post "{masked_url}": net/http: invalid header field value for {go_format.quote(name)}'
    return None


def status_error(status: int, body: bytes = b"") -> str | None:
    """Return the controller's message for an HTTP status, None for a success."""
    if status in JSON_STATUSES:
        return _api_error(body)
    if status in _SUCCESS:
        return None
    if status in _CLIENT_ERROR:
        return f"client_error: client error: {status}"
    if status in _SERVER_ERROR:
        return f"server_error: server error: {status}"
    return f"bad_response: bad response code {status}"


def _api_error(body: bytes) -> str:
    try:
        document = json.loads(body)
        return f"{document['errorType']}: {document['error']}"
    except (ValueError, KeyError, TypeError):
        return "bad_response: the error is not in the format of the Prometheus API"


def evaluate_result(
    metric: Metric, value: QueryValue, controller: ControllerVersion, warnings: tuple[str, ...] = ()
) -> MetricEvaluation:
    """Evaluate the conditions of a metric for a query result. Raises UnsupportedError for a condition."""
    if isinstance(value, StringValue):
        return MetricEvaluation(error_outcome('unmarshalerDecoder: unexpected value type "string"'))
    if isinstance(value, Matrix) and not controller.supports(Feature.RANGE_QUERY):
        return MetricEvaluation(error_outcome("Prometheus metric type not supported"))
    result = plain_result(value)
    # In this order, and no further after an error: the failure condition is then never evaluated.
    success = _trace(metric.success_condition, result, controller)
    if success and isinstance(success.outcome, EngineFailure):
        message = _failure_message("successCondition", metric.success_condition, result, success.outcome, controller)
        return MetricEvaluation(error_outcome(message), success)
    failure = _trace(metric.failure_condition, result, controller)
    if failure and isinstance(failure.outcome, EngineFailure):
        message = _failure_message("failureCondition", metric.failure_condition, result, failure.outcome, controller)
        return MetricEvaluation(error_outcome(message), success, failure)
    text = format_result(result)
    phase = decide_phase(*(None if condition is None else bool(condition.outcome) for condition in (success, failure)))
    return MetricEvaluation(MeasurementOutcome(phase, text, warnings=warnings), success, failure)


def plain_result(value: Scalar | Vector | Matrix) -> float | list[float]:
    """Return what the conditions call `result`: a number, or the list of all values."""
    # Labels are dropped, as in the controller: a condition sees values in the order of the response.
    match value:
        case Scalar(value=number):
            return number
        case Vector(samples=samples):
            return [sample.value for sample in samples]
        case Matrix(series=series):
            return [number for row in series for _, number in row.points]


def format_result(result: float | list[float]) -> str:
    """Return the value of a measurement."""
    if isinstance(result, list):
        return f"[{','.join(map(go_format.format_plain, result))}]"
    return go_format.format_plain(result)


def decide_phase(success: bool | None, failure: bool | None) -> AnalysisPhase:  # noqa: FBT001 - a truth table
    """Return the phase of two conditions; None is an absent one, which is the opposite of the other."""
    # Failure takes precedence over success; undecided needs two conditions.
    if failure if failure is not None else success is False:
        return AnalysisPhase.FAILED
    if success is False:
        return AnalysisPhase.INCONCLUSIVE
    return AnalysisPhase.SUCCESSFUL


def _trace(text: str, result: float | list[float], controller: ControllerVersion) -> ConditionTrace | None:
    if not text:
        return None
    try:
        return trace(parse(text, controller.engine), result)
    except UnsupportedError:  # a ConditionError, too, but not one of the engine
        raise
    except ConditionError as error:
        return ConditionTrace(EngineFailure(error.message, compiled=False))


def _failure_message(
    condition: str, text: str, result: float | list[float], failure: EngineFailure, controller: ControllerVersion
) -> str:
    if not controller.supports(Feature.NAMED_CONDITIONS):
        return failure.message
    # From 1.10 on an empty result is given as the reason, whatever the engine's error is. 0 is not empty.
    empty = "metric result is nil or empty: no data returned from the metric provider"
    return f'could not evaluate {condition} "{text}": {failure.message if result or result == 0 else empty}'
