"""Header values and Secrets, which the controller sends byte for byte. No message here contains a value."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exporter.gate.arguments import PLACEHOLDER, argument_name, argument_names
from exporter.gate.lint.findings import issue
from exporter.gate.lint.inputs import mapping, rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.gate.kubernetes import KubernetesObject
    from exporter.gate.lint.findings import Issue
    from exporter.gate.lint.inputs import ArgumentView, GateView, LintInput, MetricView
    from exporter.yaml_nodes import Path

HEADERS: Final = ("provider", "prometheus", "headers")
AUTHORIZATION: Final = "authorization"
WORDS_OF_BASIC: Final = 2
"""The scheme and the credential."""
_RENDER_HINT: Final = (
    "create the Secret with `gate render`, or with: printf '%s' \"Basic $(printf '%s' USER:TOKEN | base64 -w0)\""
)


@dataclass(frozen=True, slots=True)
class SentHeader:
    """A header value as it is sent, and the place that contains it; `is_secret` if that is a Secret."""

    name: str
    value: str
    document: KubernetesObject
    path: Path
    is_secret: bool

    @property
    def is_authorization(self) -> bool:
        """Return whether it is the header Authorization."""
        return self.name.lower() == AUTHORIZATION

    def issue(self, reason: str, hint: str) -> Issue:
        """Return an issue with the value."""
        return issue(self.document, self.path, reason, hint)


def check_newline(lint_input: LintInput) -> Iterator[Issue]:
    """Report values with a line break or another control character, which Go's client rejects to send."""
    for header in _sent_headers(lint_input):
        control = {char for char in header.value if (char < " " and char != "\t") or char == "\x7f"}
        if control:
            what = "a line break" if {"\n", "\r"} & control else "a control character"
            reason = (
                f"the value of header {header.name} contains {what}: every measurement is an Error (invalid header)"
            )
            yield header.issue(reason, _RENDER_HINT if header.is_secret else "remove it")


def check_space(lint_input: LintInput) -> Iterator[Issue]:
    """Report values with unintended white space."""
    for header in _sent_headers(lint_input):
        value = header.value.replace("\r", "").replace("\n", "")  # check_newline reports these
        words = value.split()
        is_doubled = header.is_authorization and len(words) > 1 and value != " ".join(words)
        is_split = value.lower().startswith("basic ") and len(words) > WORDS_OF_BASIC
        if value != value.strip() or is_doubled or is_split:
            reason = f"the value of header {header.name} contains unintended white space"
            yield header.issue(reason, _RENDER_HINT if header.is_secret else "remove it")


def check_scheme(lint_input: LintInput) -> Iterator[Issue]:
    """Report Authorization values without a scheme."""
    for header in _sent_headers(lint_input):
        if header.is_authorization and len(header.value.split()) == 1:
            reason = "the header Authorization has a credential without a scheme: the server responds with status 401"
            yield header.issue(reason, "put 'Basic ' before it")


def check_shape(lint_input: LintInput) -> Iterator[Issue]:
    """Report Basic credentials that are not base64 of user:password."""
    for header in _sent_headers(lint_input):
        scheme, _, credential = header.value.strip().partition(" ")
        if header.is_authorization and scheme.lower() == "basic" and credential:
            decoded = _decode("".join(credential.split()))
            if decoded is None or b":" not in decoded:
                reason = "the text after Basic is not base64 of user:password: the server responds with status 401"
                hint = f"at Last9, use the cluster id as user and its read token as password; {_RENDER_HINT}"
                yield header.issue(reason, hint)


def check_literal(lint_input: LintInput) -> Iterator[Issue]:
    """Report credentials that are written in the gate itself."""
    for metric in lint_input.prometheus_metrics:
        for index, row in enumerate(rows(metric.raw(*HEADERS))):
            if str(row.get("key", "")).lower() == AUTHORIZATION and _is_literal_credential(metric, row.get("value")):
                yield metric.issue(
                    (*HEADERS, index, "value"),
                    "the credential is written in the manifest, and in every AnalysisRun created from it",
                    "put it in a Secret, read it with an argument's valueFrom.secretKeyRef, and write '{{args.NAME}}'",
                )


def check_secret_key(lint_input: LintInput) -> Iterator[Issue]:
    """Report arguments whose Secret is in the input, but does not have the key."""
    for gate, argument, secret in _secret_references(lint_input):
        if argument.secret and argument.secret.key not in _secret_keys(secret):
            keys = ", ".join(sorted(_secret_keys(secret))) or "none"
            path = ("spec", "args", argument.index, "valueFrom", "secretKeyRef", "key")
            reason = f"Secret {secret.name} has no key {argument.secret.key}: the run ends in Error at once"
            yield gate.issue(path, reason, f"use one of its keys: {keys}")


def check_secret_namespace(lint_input: LintInput) -> Iterator[Issue]:
    """Report arguments whose Secret is in the input, but not in the namespace of the runs."""
    for gate in lint_input.gates:
        namespace = gate.document.namespace
        for argument in gate.arguments if namespace else ():
            name = argument.secret.name if argument.secret else None
            namespaces = [secret.namespace for secret in lint_input.of_kind("Secret") if secret.name == name]
            if namespaces and not {"", namespace} & set(namespaces):
                path = ("spec", "args", argument.index, "valueFrom", "secretKeyRef", "name")
                reason = f"Secret {name} is in {namespaces[0]}, and a run reads only Secrets of its own namespace"
                yield gate.issue(path, reason, f"create the Secret in {namespace}")


def check_secret_base64(lint_input: LintInput) -> Iterator[Issue]:
    """Report data that is not base64, in the Secrets that gates read."""
    secrets = {id(secret): secret for _, _, secret in _secret_references(lint_input)}
    for secret in secrets.values():
        for key, value in mapping(secret.get("data")).items():
            if not isinstance(value, str) or _decode("".join(value.split())) is None:
                reason = f"{key} is not base64: the API server rejects the Secret"
                yield issue(secret, ("data", str(key)), reason, "move it to stringData")


def _sent_headers(lint_input: LintInput) -> Iterator[SentHeader]:
    """Yield every known header value once: written in a gate, or in a Secret of the input."""
    yielded: set[tuple[int, Path]] = set()
    for metric in lint_input.prometheus_metrics:
        for index, row in enumerate(rows(metric.raw(*HEADERS))):
            for header in _header_values(lint_input, metric, index, row):
                key = id(header.document), header.path
                if key not in yielded:
                    yielded.add(key)
                    yield header


def _header_values(
    lint_input: LintInput, metric: MetricView, index: int, row: Mapping[str, Any]
) -> Iterator[SentHeader]:
    name, template = str(row.get("key", "")), row.get("value")
    if not isinstance(template, str):
        return
    names = set(argument_names(template))
    value = metric.text(*HEADERS, index, "value")
    if not PLACEHOLDER.search(value):
        yield SentHeader(name, value, metric.gate.document, _literal_path(metric, index, names), is_secret=False)
    elif len(names) == 1:
        for gate, argument, secret in _secret_references(lint_input):
            if gate is metric.gate and argument.name in names and argument.secret:
                yield from _secret_header(name, secret, argument.secret.key, template)


def _literal_path(metric: MetricView, index: int, names: set[str]) -> Path:
    """Return the path of a literal header value: that of the argument that contains it, if there is one."""
    for argument in metric.gate.arguments:
        if argument.name in names:
            return ("spec", "args", argument.index, "value")
    return metric.path(*HEADERS, index, "value")


def _secret_header(name: str, secret: KubernetesObject, key: str, template: str) -> Iterator[SentHeader]:
    # The API server lets stringData override data.
    for field in ("stringData", "data"):
        value = secret.get(field, key)
        if isinstance(value, str):
            content = _decode("".join(value.split())) if field == "data" else value.encode()
            if content is not None:
                text = content.decode(errors="replace")
                sent = text.join(PLACEHOLDER.split(template)[::2])  # without the insides of the placeholders
                yield SentHeader(name, sent, secret, (field, key), is_secret=True)
            return


def _secret_references(lint_input: LintInput) -> Iterator[tuple[GateView, ArgumentView, KubernetesObject]]:
    """Yield the arguments that come from a Secret of the input, in the gate's namespace or without one."""
    for gate in lint_input.gates:
        for argument in gate.arguments:
            for secret in lint_input.of_kind("Secret"):
                is_near = secret.namespace in {"", gate.document.namespace} or not gate.document.namespace
                if argument.secret and is_near and secret.name == argument.secret.name:
                    yield gate, argument, secret


def _secret_keys(secret: KubernetesObject) -> set[str]:
    return {str(key) for field in ("data", "stringData") for key in mapping(secret.get(field))}


def _is_literal_credential(metric: MetricView, value: object) -> bool:
    """Return whether a credential is written in the header, or in the value of the argument that it names."""
    if not isinstance(value, str) or not value.strip():
        return False
    literal = PLACEHOLDER.sub("", value).strip().lower()
    return literal not in {"", "basic", "bearer"} or any(
        argument_name(tag) in metric.gate.literals for tag in PLACEHOLDER.findall(value)
    )


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
