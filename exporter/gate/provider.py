"""The controller's Prometheus provider, all of it that is no network: what it refuses, and how it judges an answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from exporter.gate import go_format
from exporter.gate.analysis_run import Outcome, Phase
from exporter.gate.controller import Ability
from exporter.gate.expr import EngineFailure, ConditionTrace, trace, parse
from exporter.gate.expr.errors import ConditionError, UnsupportedError
from exporter.net.prometheus_response import Matrix, Scalar, Text, Value, Vector

if TYPE_CHECKING:
    from exporter.gate.controller import Controller
    from exporter.gate.template import Metric, Prometheus

TIMEOUT: Final = 30
"""Seconds before a question is given up, where `timeout` does not say."""
ADDRESS_VARIABLE: Final = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS"
"""The controller's own variable, for templates without an address."""
JSON_STATUSES: Final = {400, 422}
"""The refusals whose body is read: Prometheus says there what is wrong."""
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CONTROL_OR_TAB: Final = re.compile(r"[\x00-\x1f\x7f]")
_NO_HOST: Final = re.compile(r"[ \"<>^`{|}]")
_OK: Final = range(200, 300)
_CLIENT: Final = range(400, 500)
_SERVER: Final = range(500, 600)


@dataclass(frozen=True, slots=True)
class Judged:
    """An outcome, and how the conditions came to it: success first, None for one that is not given or not reached."""

    outcome: Outcome
    success: ConditionTrace | None = None
    failure: ConditionTrace | None = None
    hint: str = ""
    """What the outcome means and what cures it, where the controller's own words say too little."""


def failed(message: str, *, asked: bool = True) -> Outcome:
    """Return the outcome of a question without an answer."""
    return Outcome(Phase.ERROR, message=message, asked=asked)


def refusal(asked: Prometheus, default_address: str = "") -> Outcome | None:
    """Return the outcome of a metric whose provider cannot be made, None where it can."""
    address = asked.address or default_address
    if not address:
        return failed("prometheus address is not configured", asked=False)
    if not is_url(address):
        return failed("prometheus address is not is url format", asked=False)  # sic
    basic, oauth2 = asked.authentication.basic_auth, asked.authentication.oauth2
    if bool(basic.username) != bool(basic.password):
        lacking = "password" if basic.username else "username"
        return failed(f"missing mandatory parameter in metric for basic auth setup: {lacking}", asked=False)
    if oauth2.token_url and not (oauth2.client_id and oauth2.client_secret):
        return failed("missing mandatory parameter in metric for OAuth2 setup", asked=False)
    if asked.timeout is not None and asked.timeout < 0:
        return failed("prometheus timeout should not be negative", asked=False)
    return None


def is_url(text: str) -> bool:
    """Say whether the controller takes an address: it has a scheme and a host, and a port that is a number.

    Python forgives spaces and line breaks around a URL, Go does not.
    """
    if _CONTROL_OR_TAB.search(text) or text.startswith(" "):
        return False
    try:
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")[2]
        return bool(parts.scheme and host and not _NO_HOST.search(host) and (parts.port is None or parts.port >= 0))
    except ValueError:
        return False


def unsendable(asked: Prometheus, default_address: str = "") -> Outcome | None:
    """Return the outcome of what Go's client does not send, such as a header with a line break; None where it does."""
    address = asked.address or default_address
    where = f"{address.rstrip('/')}/api/v1/query{'' if asked.range_query is None else '_range'}"
    scheme = urlsplit(address).scheme
    if scheme not in {"http", "https"}:
        return failed(f'Post "{_shown(where)}": unsupported protocol scheme {go_format.quoted(scheme)}')
    for header in asked.headers:
        name = "-".join(part.capitalize() for part in header.key.split("-"))
        if not _TOKEN.fullmatch(header.key):
            return failed(f'Post "{_shown(where)}": net/http: invalid header field name {go_format.quoted(header.key)}')
        if _CONTROL.search(header.value):
            return failed(f'Post "{_shown(where)}": net/http: invalid header field value for {go_format.quoted(name)}')
    return None


def _shown(url: str) -> str:
    """Return a URL without its password, as Go's errors show it."""
    return re.sub(r"(://[^/@:]*:)[^/@]*@", r"\1***@", url)


def refused_status(status: int, body: bytes = b"") -> str | None:
    """Return what the controller says of an HTTP status that is no success, None for one that is."""
    if status in JSON_STATUSES:
        return _said(body)
    if status in _OK:
        return None
    if status in _CLIENT:
        return f"client_error: client error: {status}"
    if status in _SERVER:
        return f"server_error: server error: {status}"
    return f"bad_response: bad response code {status}"


def _said(body: bytes) -> str:
    try:
        document = json.loads(body)
        return f"{document['errorType']}: {document['error']}"
    except (ValueError, KeyError, TypeError):
        return "bad_response: the refusal is not of the form that Prometheus gives"


def judged(metric: Metric, value: Value, controller: Controller, warnings: tuple[str, ...] = ()) -> Judged:
    """Judge an answer. Raises UnsupportedError for a condition that is not judged here."""
    result: float | list[float]
    match value:
        case Scalar(value=number):
            result, shown = number, go_format.plain(number)
        case Vector(samples=samples):
            result = [sample.value for sample in samples]
            shown = _listed(result)
        case Matrix(rows=rows) if controller.can(Ability.RANGE_QUERY):
            result = [number for row in rows for _, number in row.points]
            shown = _listed(result)
        case Text():
            return Judged(failed('unmarshalerDecoder: unexpected value type "string"'))
        case _:
            return Judged(failed("Prometheus metric type not supported"))
    return _concluded(metric, result, shown, controller, warnings)


def _listed(values: list[float]) -> str:
    return f"[{','.join(map(go_format.plain, values))}]"


def _concluded(
    metric: Metric, result: float | list[float], shown: str, controller: Controller, warnings: tuple[str, ...]
) -> Judged:
    success = _evaluated(metric.success_condition, result, controller)
    if success and isinstance(success.outcome, EngineFailure):
        told = _told("successCondition", metric.success_condition, result, success.outcome, controller)
        return Judged(failed(told), success)
    failure = _evaluated(metric.failure_condition, result, controller)
    if failure and isinstance(failure.outcome, EngineFailure):
        told = _told("failureCondition", metric.failure_condition, result, failure.outcome, controller)
        return Judged(failed(told), success, failure)
    phase = _phase(*(None if one is None else bool(one.outcome) for one in (success, failure)))
    return Judged(Outcome(phase, shown, warnings=warnings), success, failure)


def _phase(success: bool | None, failure: bool | None) -> Phase:  # noqa: FBT001 - a truth table
    """Return what two conditions mean together; None is one that is not given, which is the other's opposite."""
    if failure if failure is not None else success is False:
        return Phase.FAILED
    if success is False:
        return Phase.INCONCLUSIVE
    return Phase.SUCCESSFUL


def _evaluated(text: str, result: float | list[float], controller: Controller) -> ConditionTrace | None:
    if not text:
        return None
    try:
        return trace(parse(text, controller.engine), result)
    except UnsupportedError:
        raise
    except ConditionError as error:
        return ConditionTrace(EngineFailure(error.message, compiled=False))


def _told(kind: str, text: str, result: float | list[float], fault: EngineFailure, controller: Controller) -> str:
    if not controller.can(Ability.NAMED_CONDITIONS):
        return fault.message
    empty = "metric result is nil or empty: no data returned from the metric provider"
    return f'could not evaluate {kind} "{text}": {fault.message if result or result == 0 else empty}'
