"""What the OTLP endpoint responded, and whether clocks agree. Pure."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from exporter.commands.doctor.model import Examination, ExaminedDelivery, Symptom
from exporter.net.response import HttpResponse
from exporter.otlp.result import Accepted, Blocked
from exporter.otlp.transport.grpc_status import GrpcResponse
from exporter.otlp.transport.response import CredentialRefused, NoResponse, NotSent, UnreadableResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Find = Callable[[Examination], Iterator[Symptom]]

_OTHER_NAME: Final = re.compile(r"(hostname|ip address) mismatch|not valid for", re.IGNORECASE)
_SIGNALS: Final = re.compile(r"(/v1/(metrics|traces|logs))+/v1/metrics/?$")
_METRICS: Final = "/v1/metrics"
MAX_SKEW: Final = 30.0
"""Seconds between two clocks: more than a Date header's resolution and a slow response explain, and enough to show an
update before its start."""
_SUCCESS: Final = range(200, 300)


def kinds_of(examination: Examination) -> Iterator[tuple[str, Symptom]]:
    """Yield the kind of failure at the endpoint with its symptom: one at most, that which explains most."""
    delivery = examination.delivery
    if delivery is None or (isinstance(delivery.result, Accepted) and not _is_web_page(delivery)):
        return
    kind = next((name for name, applies in _KINDS.items() if applies(delivery)), "refused")
    if kind == "unauthorized" and any(issue.kind.startswith("credential_") for issue in examination.issues):
        return  # the misspelling is reported by itself
    message = getattr(delivery.result, "message", "")
    text, _, hint = message.partition("; see ")
    hint, _, sent = hint.partition("; ")
    evidence = f"{text}{f'; {sent}' if sent else ''}"
    yield kind, Symptom(delivery.endpoint, evidence or kind, _values(delivery, hint))


def endpoint(kind: str) -> Find:
    """Return a check for one kind of failure at the endpoint."""

    def find(examination: Examination) -> Iterator[Symptom]:
        yield from (symptom for name, symptom in kinds_of(examination) if name == kind)

    return find


def no_credential(examination: Examination) -> Iterator[Symptom]:
    """No credential is set, and the endpoint requires one: by its own answer, or since it is Last9's."""
    symptoms = [symptom for kind, symptom in kinds_of(examination) if kind == "no_credential"]
    missing = [issue for issue in examination.issues if issue.kind == "no_credential"]
    yield from symptoms or [Symptom(issue.location, issue.message) for issue in missing]


def _values(delivery: ExaminedDelivery, hint: str) -> Mapping[str, str]:
    parts = urlsplit(delivery.endpoint if "://" in delivery.endpoint else f"//{delivery.endpoint}")
    protocol, address = delivery.spoken or ("", "")
    base = f"{parts.scheme}://{parts.netloc}" if parts.scheme else parts.netloc
    names = {"host": parts.hostname or "", "port": str(parts.port or (80 if parts.scheme == "http" else 443))}
    base_path = parts.path.partition("/v1/")[0].rstrip("/")
    return names | {
        "endpoint": delivery.endpoint, "base": f"{base}{base_path}", "protocol": protocol, "address": address,
        "proxy": delivery.proxy, "hint": hint or "otlp.endpoint",
    }  # fmt: skip # a table


def _code(delivery: ExaminedDelivery) -> str:
    """Return the code of an attempt without a response, "" if there was one."""
    match delivery.outcome:
        case NoResponse(code=code):
            return code
        case GrpcResponse(code="UNAVAILABLE" | "DEADLINE_EXCEEDED", message=message):
            return next((code for code, pattern in _GRPC_CODES.items() if pattern.search(message)), "connect")
        case _:
            return ""


_GRPC_CODES: Final = {
    "timeout": re.compile("deadline exceeded", re.IGNORECASE),
    "dns": re.compile("DNS|name resolution|Domain name", re.IGNORECASE),
    "tls": re.compile("handshake|certificate|SSL|TLS|peer name", re.IGNORECASE),
}
"""In the texts of gRPC's C core, which has one status for all of them."""


def _response(delivery: ExaminedDelivery) -> HttpResponse | GrpcResponse | None:
    outcome = delivery.outcome
    if isinstance(outcome, CredentialRefused):
        return outcome.response
    return outcome if isinstance(outcome, HttpResponse | GrpcResponse) else None


def _status(delivery: ExaminedDelivery) -> int:
    response = _response(delivery)
    return response.status if isinstance(response, HttpResponse) else 0


def _is_web_page(delivery: ExaminedDelivery) -> bool:
    """Return whether a success is a web page, or another answer that is not of the protocol."""
    return _status(delivery) in _SUCCESS and isinstance(delivery.result, Blocked)


def _is_other_name(delivery: ExaminedDelivery) -> bool:
    return _code(delivery) == "tls" and _OTHER_NAME.search(getattr(delivery.result, "message", "")) is not None


def _is_behind_proxy(delivery: ExaminedDelivery) -> bool:
    no_response = _code(delivery) != "" or isinstance(delivery.outcome, UnreadableResponse)
    return _status(delivery) == 407 or _code(delivery) == "proxy" or (bool(delivery.proxy) and no_response)  # noqa: PLR2004 - the status of a proxy that requires a login


def _is_doubled(delivery: ExaminedDelivery) -> bool:
    return _status(delivery) in {404, 405} and _SIGNALS.search(_path(delivery)) is not None


def _path(delivery: ExaminedDelivery) -> str:
    """Return the path that was requested."""
    path = urlsplit(delivery.endpoint).path.rstrip("/")
    return f"{path.removesuffix(_METRICS)}{_METRICS}"


def _spoken(delivery: ExaminedDelivery, protocol: str) -> bool:
    return delivery.spoken is not None and delivery.spoken[0] == protocol != delivery.protocol


def _refuses_credential(delivery: ExaminedDelivery) -> bool:
    return isinstance(delivery.outcome, CredentialRefused)


_KINDS: Final[Mapping[str, Callable[[ExaminedDelivery], bool]]] = {
    "unsent": lambda delivery: isinstance(delivery.outcome, NotSent),
    "proxy": _is_behind_proxy,
    "grpc_port": lambda delivery: _spoken(delivery, "grpc"),
    "http_port": lambda delivery: _spoken(delivery, "http/protobuf"),
    "scheme": lambda delivery: delivery.spoken is not None,
    "unresolved": lambda delivery: _code(delivery) == "dns",
    "tls_name": _is_other_name,
    "tls": lambda delivery: _code(delivery) == "tls",
    "timeout": lambda delivery: _code(delivery) == "timeout",
    "unreachable": lambda delivery: _code(delivery) != "" or isinstance(delivery.outcome, UnreadableResponse),
    "no_credential": lambda delivery: (
        isinstance(delivery.outcome, CredentialRefused) and delivery.outcome.sent == "no credential was sent"
    ),
    "unauthorized": _refuses_credential,
    "doubled_path": _is_doubled,
    "not_found": lambda delivery: _status(delivery) in {404, 405},
    "web_page": _is_web_page,
}
"""Kinds of failures at the endpoint; the first that applies counts. "refused" is all others."""


def clock_skew(examination: Examination) -> Iterator[Symptom]:
    """A server's Date header differs from the clock of this machine."""
    for subject, date, received_at in _dates(examination):
        try:
            offset = received_at - parsedate_to_datetime(date).timestamp()
        except (ValueError, TypeError, OverflowError):
            continue
        if abs(offset) > MAX_SKEW:
            order = "ahead of" if offset > 0 else "behind"
            yield Symptom(subject, f"the clock of this machine is {abs(offset):,.0f} s {order} its Date header")


def _dates(examination: Examination) -> Iterator[tuple[str, str, float]]:
    """Yield each server, its Date header and when it came; a response that a cache stored shows an old time."""
    for page in examination.last_pages:
        if "date" in page.headers and "age" not in page.headers:
            yield f"{page.result.source} {page.result.target}", page.headers["date"], page.received_at
    delivery = examination.delivery
    response = _response(delivery) if delivery is not None else None
    if delivery is not None and isinstance(response, HttpResponse) and "date" in response.headers:
        yield delivery.endpoint, response.headers["date"], delivery.received_at
