"""YAML documents → templates, runs and Secrets; what a cluster would refuse is refused, with its place."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import yaml

from exporter.gate.template import (
    Argument,
    Authentication,
    BasicAuth,
    Header,
    IntOrText,
    Kind,
    Metric,
    OAuth2,
    Prometheus,
    RangeQuery,
    Reference,
    Retention,
    SecretKey,
    Sigv4,
    Spec,
    Template,
)

T = TypeVar("T")
PROVIDERS: Final = (
    "kayenta", "web", "datadog", "wavefront", "newRelic", "job", "cloudWatch", "graphite", "influxdb", "skywalking",
)  # fmt: skip
"""The providers beside `prometheus` and `plugin`."""


class TemplateError(ValueError):
    """What no cluster would take; the message begins with the place, such as spec.metrics[0].count."""


@dataclass(frozen=True, slots=True)
class Objects:
    """What a file holds for a gate; `secrets` are the values of Secrets, by their name and key."""

    templates: tuple[Template, ...]
    secrets: Mapping[tuple[str, str], str] = field(default_factory=dict, repr=False)


class Place:
    """A value in a document, which knows where it stands."""

    def __init__(self, value: object, path: str) -> None:
        self.value = value
        self.path = path

    def refuse(self, wanted: str) -> TemplateError:
        """Return the refusal of a value that is not what it must be."""
        return TemplateError(f"{self.path} must be {wanted}")

    def __getitem__(self, key: str) -> Place:
        """Return what stands under a key; nothing, where that is missing."""
        if self.value is None:
            return Place(None, f"{self.path}.{key}")
        if not isinstance(self.value, Mapping):
            raise self.refuse("a map")
        return Place(self.value.get(key), f"{self.path}.{key}".removeprefix("."))

    def names(self) -> tuple[str, ...]:
        """Return the keys of a map; nothing has none."""
        if self.value is not None and not isinstance(self.value, Mapping):
            raise self.refuse("a map")
        return tuple(map(str, self.value or ()))

    def each(self, read: Callable[[Place], T]) -> tuple[T, ...]:
        """Read all of a list; nothing is an empty one."""
        if self.value is None:
            return ()
        if not isinstance(self.value, Sequence) or isinstance(self.value, str):
            raise self.refuse("a list")
        return tuple(read(Place(item, f"{self.path}[{index}]")) for index, item in enumerate(self.value))

    def text(self) -> str:
        """Read text; nothing is the empty one."""
        if self.value is None:
            return ""
        if not isinstance(self.value, str):
            raise self.refuse(f"text; put quotes around {self.value}")
        return self.value

    def number(self) -> int | None:
        """Read a whole number, if there is one."""
        if self.value is not None and (not isinstance(self.value, int) or isinstance(self.value, bool)):
            raise self.refuse("a whole number")
        return self.value

    def count(self) -> IntOrText:
        """Read a whole number or text, if there is one."""
        if isinstance(self.value, str):
            return self.value
        return self.number()

    def flag(self) -> bool:
        """Read true or false; nothing is false."""
        if self.value is not None and not isinstance(self.value, bool):
            raise self.refuse("true or false")
        return bool(self.value)


def read(text: str) -> Objects:
    """Read a file of YAML documents; other kinds than templates, runs and Secrets are passed over.

    Raises TemplateError.
    """
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise TemplateError(f"it is no YAML: {' '.join(str(error).split())}") from None
    found = [one for document in documents for one in _listed(document)]
    templates = tuple(template(one) for one in found if one.get("kind") in set(Kind))
    secrets = {key: value for one in found if one.get("kind") == "Secret" for key, value in _secret(one)}
    return Objects(templates, secrets)


def _listed(document: object) -> list[Mapping[str, Any]]:
    """Return the objects of a document: itself, or the items of a List."""
    if not isinstance(document, Mapping):
        return []
    if document.get("kind") == "List" and isinstance(document.get("items"), list):
        return [item for item in document["items"] if isinstance(item, Mapping)]
    return [document]


def template(document: Mapping[str, Any]) -> Template:
    """Read one template or run. Raises TemplateError."""
    whole = Place(document, "")
    name, namespace = whole["metadata"]["name"].text(), whole["metadata"]["namespace"].text()
    return Template(Kind(document["kind"]), name, namespace, spec(document.get("spec"), "spec"))


def spec(document: object, path: str = "spec") -> Spec:
    """Read a spec. Raises TemplateError."""
    at = Place(document, path)
    return Spec(
        metrics=at["metrics"].each(_metric),
        args=at["args"].each(_argument),
        dry_run=at["dryRun"].each(lambda one: one["metricName"].text()),
        retention=at["measurementRetention"].each(
            lambda one: Retention(one["metricName"].text(), one["limit"].number() or 0)
        ),
        templates=at["templates"].each(lambda one: Reference(one["templateName"].text(), one["clusterScope"].flag())),
        terminate=at["terminate"].flag(),
    )


def _argument(at: Place) -> Argument:
    source = at["valueFrom"]
    secret = source["secretKeyRef"]
    return Argument(
        name=at["name"].text(),
        value=None if at["value"].value is None else at["value"].text(),
        secret=None if secret.value is None else SecretKey(secret["name"].text(), secret["key"].text()),
        field_path=source["fieldRef"]["fieldPath"].text() or None,
    )


def _metric(at: Place) -> Metric:
    return Metric(
        name=at["name"].text(),
        interval=at["interval"].text(),
        initial_delay=at["initialDelay"].text(),
        count=at["count"].count(),
        success_condition=at["successCondition"].text(),
        failure_condition=at["failureCondition"].text(),
        failure_limit=at["failureLimit"].count(),
        inconclusive_limit=at["inconclusiveLimit"].count(),
        consecutive_error_limit=at["consecutiveErrorLimit"].count(),
        consecutive_success_limit=at["consecutiveSuccessLimit"].count(),
        prometheus=None if at["provider"]["prometheus"].value is None else _prometheus(at["provider"]["prometheus"]),
        others=_others(at["provider"]),
    )


def _others(provider: Place) -> tuple[str, ...]:
    plugins = provider["plugin"].value
    named = tuple(name for name in PROVIDERS if provider[name].value is not None)
    return named + (tuple(plugins) if isinstance(plugins, Mapping) else ())


def _prometheus(at: Place) -> Prometheus:
    ranged = at["rangeQuery"]
    return Prometheus(
        address=at["address"].text(),
        query=at["query"].text(),
        authentication=_authentication(at["authentication"]),
        timeout=at["timeout"].number(),
        insecure=at["insecure"].flag(),
        headers=at["headers"].each(lambda one: Header(one["key"].text(), one["value"].text())),
        range_query=None
        if ranged.value is None
        else RangeQuery(ranged["start"].text(), ranged["end"].text(), ranged["step"].text()),
    )


def _authentication(at: Place) -> Authentication:
    sigv4, oauth2, basic = at["sigv4"], at["oauth2"], at["basicAuth"]
    return Authentication(
        Sigv4(sigv4["region"].text(), sigv4["profile"].text(), sigv4["roleArn"].text()),
        OAuth2(
            oauth2["tokenUrl"].text(),
            oauth2["clientId"].text(),
            oauth2["clientSecret"].text(),
            oauth2["scopes"].each(Place.text),
        ),
        BasicAuth(basic["username"].text(), basic["password"].text()),
    )


def _secret(document: Mapping[str, Any]) -> list[tuple[tuple[str, str], str]]:
    """Return the values of a Secret: `data` is in base64, `stringData` is not and wins."""
    at = Place(document, "")
    name = at["metadata"]["name"].text()
    found: dict[str, str] = {}
    for key in at["data"].names():
        try:
            found[key] = base64.b64decode(at["data"][key].text(), validate=False).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise at["data"][key].refuse("base64 of text") from None
    found.update({key: at["stringData"][key].text() for key in at["stringData"].names()})
    return [((name, key), value) for key, value in found.items()]
