"""Header values and Secrets: what the controller sends byte for byte. No text here ever shows one."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.gate.lint.inputs import mapping, rows
from exporter.gate.placeholders import TAG, named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.gate.lint.finding import Spot
    from exporter.gate.lint.inputs import Argument, Gate, Gates, Metric
    from exporter.gate.lint.manifest import Document, Path

HEADERS: Final = ("provider", "prometheus", "headers")
AUTHORIZATION: Final = "authorization"
_MAKE: Final = (
    "write the Secret with `gate render`, or with: printf '%s' \"Basic $(printf '%s' USER:TOKEN | base64 -w0)\""
)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A header value as it goes out, and the place where it is written; `secret` says that a Secret holds it."""

    header: str
    value: str
    document: Document
    path: Path
    secret: bool

    def spot(self, why: str, cure: str) -> Spot:
        return self.document.spot(self.path, why, cure)


def newline(gates: Gates) -> Iterator[Spot]:
    """Find values with a line break or another control character: Go's client refuses to send them."""
    for sent in _sent(gates):
        inner = [letter for letter in sent.value if (letter < " " and letter != "\t") or letter == "\x7f"]
        if inner:
            what = "a line break" if {"\n", "\r"} & set(inner) else "a control character"
            why = f"the value of header {sent.header} holds {what}: every measurement becomes Error (invalid header)"
            yield sent.spot(why, _MAKE if sent.secret else "take it out")


def space(gates: Gates) -> Iterator[Spot]:
    """Find values with white space that nobody means."""
    for sent in _sent(gates):
        value = sent.value.replace("\r", "").replace("\n", "")
        doubled = sent.header.lower() == AUTHORIZATION and len(value.split()) > 1 and value != " ".join(value.split())
        if value != value.strip() or doubled or (value.lower().startswith("basic ") and len(value.split()) > 2):  # noqa: PLR2004 - scheme and credential
            why = f"the value of header {sent.header} holds white space that does not belong there"
            yield sent.spot(why, _MAKE if sent.secret else "take it out")


def scheme(gates: Gates) -> Iterator[Spot]:
    """Find Authorization without the word that says of what kind it is."""
    for sent in _sent(gates):
        if sent.header.lower() == AUTHORIZATION and len(sent.value.split()) == 1:
            yield sent.spot(
                "header Authorization holds a credential without its scheme: the store answers 401",
                "put 'Basic ' before it",
            )


def shape(gates: Gates) -> Iterator[Spot]:
    """Find Basic credentials that are not base64 of user:password."""
    for sent in _sent(gates):
        scheme, _, credential = sent.value.strip().partition(" ")
        if sent.header.lower() == AUTHORIZATION and scheme.lower() == "basic" and credential:
            decoded = _decoded("".join(credential.split()))
            if decoded is None or b":" not in decoded:
                yield sent.spot(
                    "what follows Basic is not base64 of user:password: the store answers 401",
                    f"at Last9 user is the cluster id, password its read token; {_MAKE}",
                )


def literal(gates: Gates) -> Iterator[Spot]:
    """Find credentials that stand in the gate itself."""
    for metric in gates.prometheus:
        for index, row in enumerate(rows(metric.raw(*HEADERS))):
            if str(row.get("key", "")).lower() == AUTHORIZATION and _written_out(metric, row.get("value")):
                yield metric.spot(
                    (*HEADERS, index, "value"),
                    "the credential stands in the manifest, and in every AnalysisRun made from it",
                    "put it in a Secret, read it with an argument's valueFrom.secretKeyRef, and write '{{args.NAME}}'",
                )


def secret_key(gates: Gates) -> Iterator[Spot]:
    """Find arguments whose Secret is here, but without the key."""
    for gate, argument, secret in _references(gates):
        if argument.secret and argument.secret[1] not in _keys(secret):
            there = ", ".join(sorted(_keys(secret))) or "none"
            path = ("spec", "args", argument.index, "valueFrom", "secretKeyRef", "key")
            why = f"Secret {secret.name} has no key {argument.secret[1]}: the run becomes Error at once"
            yield gate.document.spot(path, why, f"its keys are: {there}")


def secret_namespace(gates: Gates) -> Iterator[Spot]:
    """Find arguments whose Secret is here, but in another namespace than the runs that read it."""
    for gate in gates.gates:
        for argument in gate.arguments:
            namespace = gate.document.namespace
            alike = [one for one in gates.of("Secret") if argument.secret and one.name == argument.secret[0]]
            if alike and namespace and all(one.namespace not in {"", namespace} for one in alike):
                path = ("spec", "args", argument.index, "valueFrom", "secretKeyRef", "name")
                yield gate.document.spot(
                    path,
                    f"Secret {alike[0].name} is in {alike[0].namespace}; a run reads those of its own namespace alone",
                    f"make the Secret in {namespace}",
                )


def secret_base64(gates: Gates) -> Iterator[Spot]:
    """Find data that is no base64, in the Secrets that gates read."""
    read = {id(secret): secret for _, _, secret in _references(gates)}
    for secret in read.values():
        for key, value in mapping(secret.at("data")).items():
            if not isinstance(value, str) or _decoded("".join(value.split())) is None:
                yield secret.spot(
                    ("data", str(key)), f"{key} is no base64: the API server refuses it", "move it to stringData"
                )


def _sent(gates: Gates) -> Iterator[_Sent]:
    """Return every header value that can be told: written in a gate, or held by a Secret that is here, too."""
    told: set[tuple[int, Path]] = set()
    for metric in gates.prometheus:
        for index, row in enumerate(rows(metric.raw(*HEADERS))):
            for sent in _values(gates, metric, index, row):
                if (id(sent.document), sent.path) not in told:
                    told.add((id(sent.document), sent.path))
                    yield sent


def _values(gates: Gates, metric: Metric, index: int, row: dict[str, object]) -> Iterator[_Sent]:
    header, value = str(row.get("key", "")), row.get("value")
    if not isinstance(value, str):
        return
    tags = {named(tag) for tag in TAG.findall(value)}
    if not TAG.search(metric.text(*HEADERS, index, "value")):
        yield _Sent(header, metric.text(*HEADERS, index, "value"), *_written(metric, index, tags), secret=False)
    elif len(tags) == 1:
        for gate, argument, secret in _references(gates):
            if gate is metric.gate and argument.name in tags and argument.secret:
                yield from _held(header, secret, argument.secret[1], value)


def _written(metric: Metric, index: int, tags: set[str]) -> tuple[Document, Path]:
    """Return where a literal header value is written: in the argument that gives it, if one does."""
    document = metric.gate.document
    for argument in metric.gate.arguments:
        if argument.name in tags:
            return document, ("spec", "args", argument.index, "value")
    return document, metric.path(*HEADERS, index, "value")


def _held(header: str, secret: Document, key: str, template: str) -> Iterator[_Sent]:
    for field in ("stringData", "data"):
        value = secret.at(field, key)
        if isinstance(value, str):
            raw = _decoded("".join(value.split())) if field == "data" else value.encode()
            if raw is not None:
                text = TAG.sub(lambda _: raw.decode(errors="replace"), template)  # noqa: B023 - used at once
                yield _Sent(header, text, secret, (field, key), secret=True)
            return


def _references(gates: Gates) -> Iterator[tuple[Gate, Argument, Document]]:
    """Return the arguments that a Secret gives which is here, in the gate's namespace or in none."""
    for gate in gates.gates:
        for argument in gate.arguments:
            for secret in gates.of("Secret"):
                near = secret.namespace in {"", gate.document.namespace} or not gate.document.namespace
                if argument.secret and near and secret.name == argument.secret[0]:
                    yield gate, argument, secret


def _keys(secret: Document) -> set[str]:
    return {str(key) for field in ("data", "stringData") for key in mapping(secret.at(field))}


def _written_out(metric: Metric, value: object) -> bool:
    """Say whether a credential is a literal: in the header, or as the value of the argument that it names."""
    if not isinstance(value, str) or not value.strip():
        return False
    left = TAG.sub("", value).strip().lower()
    return left not in {"", "basic", "bearer"} or any(named(tag) in metric.gate.literals for tag in TAG.findall(value))


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
