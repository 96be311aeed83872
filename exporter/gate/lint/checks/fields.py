"""Fields that the named controller does not know, or wants of another type: the CRD as a table."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from exporter.gate.controller import SINCE, Ability, Line
from exporter.gate.load import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.gate.lint.finding import Spot
    from exporter.gate.lint.inputs import Gates
    from exporter.gate.lint.manifest import Document, Path

ALWAYS: Final[Line] = (0, 0)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the CRD: its type, the first minor version that has it, what it holds (None: not looked into)."""

    kind: str = "map"
    since: Line = ALWAYS
    inside: Mapping[str, Field] | None = None


def _all(kind: str, *names: str) -> dict[str, Field]:
    return {name: Field(kind) for name in names}


BASIC_AUTH: Final = "basicAuth"
_AUTHENTICATION: Final = {
    "sigv4": Field(inside=_all("text", "region", "profile", "roleArn")),
    "oauth2": Field(
        since=SINCE[Ability.OAUTH2],
        inside={**_all("text", "tokenUrl", "clientId", "clientSecret"), "scopes": Field("list")},
    ),
    BASIC_AUTH: Field(since=SINCE[Ability.BASIC_AUTH], inside=_all("text", "username", "password")),
}
_PROMETHEUS: Final = {
    **_all("text", "address", "query"),
    "authentication": Field(inside=_AUTHENTICATION),
    "timeout": Field("integer"),
    "insecure": Field("flag"),
    "headers": Field("list", since=SINCE[Ability.HEADERS], inside=_all("text", "key", "value")),
    "rangeQuery": Field(since=SINCE[Ability.RANGE_QUERY], inside=_all("text", "start", "end", "step")),
}
_METRIC: Final = {
    **_all("text", "name", "interval", "initialDelay", "successCondition", "failureCondition"),
    **_all("number", "count", "failureLimit", "inconclusiveLimit", "consecutiveErrorLimit"),
    "consecutiveSuccessLimit": Field("number", since=SINCE[Ability.CONSECUTIVE_SUCCESS_LIMIT]),
    "provider": Field(inside={"prometheus": Field(inside=_PROMETHEUS), **_all("map", *PROVIDERS, "plugin")}),
}
_ORIGIN: Final = {
    "secretKeyRef": Field(inside=_all("text", "name", "key")),
    "fieldRef": Field(inside=_all("text", "fieldPath")),
}
SPEC: Final = {
    "metrics": Field("list", inside=_METRIC),
    "args": Field("list", inside={**_all("text", "name", "value"), "valueFrom": Field(inside=_ORIGIN)}),
    "dryRun": Field("list", inside=_all("text", "metricName")),
    "measurementRetention": Field("list", inside={"metricName": Field("text"), "limit": Field("integer")}),
    "templates": Field("list", since=(1, 7), inside={"templateName": Field("text"), "clusterScope": Field("flag")}),
    "terminate": Field("flag"),
    "ttlStrategy": Field(since=(1, 7)),
}
"""What a spec holds, as the CRDs of 1.6 to the one after 1.10 have it."""

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "text": (str,),
    "number": (int, str),
    "integer": (int,),
    "flag": (bool,),
    "map": (dict,),
    "list": (list,),
}
_WANTED: Final = {"text": "text", "number": "a whole number", "integer": "a whole number", "flag": "true or false"}


@dataclass(frozen=True, slots=True)
class _Met:
    """A field as it was met in a document; `known` is None when the CRD has none of that name."""

    document: Document
    path: Path
    value: object
    known: Field | None
    beside: Mapping[str, Field]


def basic_auth(gates: Gates) -> Iterator[Spot]:
    """Find basicAuth where the controller does not have it: it is dropped, and the request goes out without."""
    for met in _early(gates):
        if met.path[-1] == BASIC_AUTH:
            yield met.document.spot(
                met.path,
                f"the Prometheus provider of {gates.around.controller.version} has no basicAuth; it comes after 1.10",
                "give a header instead: key Authorization, value '{{args.NAME}}', from a Secret that holds 'Basic …'",
            )


def too_early(gates: Gates) -> Iterator[Spot]:
    """Find fields that a later controller has."""
    for met in _early(gates):
        if met.path[-1] != BASIC_AUTH and met.known:
            since = ".".join(map(str, met.known.since))
            yield met.document.spot(
                met.path,
                f"{met.path[-1]} comes with {since}; {gates.around.controller.version} refuses it or drops it unread",
                f"leave it out, or lint with --controller {since} if that is what runs",
            )


def unknown(gates: Gates) -> Iterator[Spot]:
    """Find fields that no controller has."""
    for met in _met(gates):
        if met.known is None:
            near = get_close_matches(str(met.path[-1]), met.beside, 1)
            yield met.document.spot(
                met.path,
                f"there is no field {met.path[-1]} here: kubectl refuses it, or the API server drops it unread",
                f"write {near[0]}, if that is meant" if near else f"there are: {', '.join(sorted(met.beside))}",
            )


def wrong_type(gates: Gates) -> Iterator[Spot]:
    """Find values of a type that the API server refuses."""
    for met in _met(gates):
        if met.known is None or met.value is None or met.path[-1] == "timeout" or _fits(met.value, met.known.kind):
            continue
        wanted = _WANTED.get(met.known.kind, f"a {met.known.kind}")
        cure = f"write {wanted}" if met.known.kind != "text" else "write it in quotes" + _number(met)
        yield met.document.spot(met.path, f"{met.path[-1]} must be {wanted}: the API server refuses it", cure)


def _number(met: _Met) -> str:
    """Show a number that wants quotes, unless it may be a credential."""
    shown = isinstance(met.value, int | float) and not {"headers", "authentication"} & set(met.path)
    return f': "{met.value}"' if shown else ""


def _fits(value: object, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "flag" or not isinstance(value, bool))


def _early(gates: Gates) -> Iterator[_Met]:
    return (met for met in _met(gates) if met.known and met.known.since > gates.around.controller.line)


def _met(gates: Gates) -> Iterator[_Met]:
    for gate in gates.gates:
        yield from _walk(gate.document, ("spec",), gate.document.at("spec"), SPEC)


def _walk(document: Document, path: Path, value: object, inside: Mapping[str, Field]) -> Iterator[_Met]:
    """Return the fields of a mapping, or of each mapping of a list, and what is inside of them."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(document, (*path, index), item, inside)
    if not isinstance(value, dict):
        return
    for name, one in value.items():
        known = inside.get(name)
        yield _Met(document, (*path, str(name)), one, known, inside)
        if known and known.inside is not None:
            yield from _walk(document, (*path, str(name)), one, known.inside)
